"""Policies at work: what happens around a call that may fail."""

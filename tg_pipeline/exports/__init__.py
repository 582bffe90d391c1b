"""Exports of Telegram Desktop (`result.json`), read without trusting them; what is made of them is up to others."""

"""Benchmarks: `make bench [ONLY=group]`. docs/benchmarks.md says what each table means."""

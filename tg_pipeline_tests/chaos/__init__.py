"""Chaos: seeded schedules of faults, kills and jumps, and what must hold whatever happens. See docs/chaos.md."""

"""Reproducible pseudo-random numbers addressed by position, so that any message can be made without the others."""

from zlib import crc32

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def draw(seed: int, position: int) -> int:
    """The 64-bit number at `position` of the stream `seed`: that output of Vigna's splitmix64 started at `seed`."""
    z = (seed + (position + 1) * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def derive(seed: int, label: str) -> int:
    """An independent stream for one purpose (`label`) of one world (`seed`)."""
    return draw(seed & _MASK, crc32(label.encode()))

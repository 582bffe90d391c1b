"""The picture of the group `rate`."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Protocol

WINDOWS = 60


class Seen(Protocol):
    """When calls were let through and refused, in seconds."""

    passed: list[float]
    refused: list[float]


def plot(seen: Mapping[float, Mapping[str, Seen]]) -> bytes:
    """PNG: one panel a rate that the server allows, one line a reader; a cross for each flood."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4), layout="constrained")
    for axes, (rate, readers) in zip(figure.subplots(1, len(seen), squeeze=False)[0], seen.items(), strict=True):
        end = max(next(iter(readers.values())).passed[-1], rate)
        window = end / WINDOWS
        for name, traffic in readers.items():
            times = [window * step for step in range(1, WINDOWS + 1) if window * (step - 1) <= traffic.passed[-1]]
            (line,) = axes.plot(times, [_used(traffic.passed, time, window) for time in times], label=name)
            floods = [time for time in traffic.refused if time <= end]
            axes.plot(floods, [0.0] * len(floods), "x", color=line.get_color())
        axes.axhline(rate, color="black", linestyle="--", label="allowed")
        axes.set(title=f"{rate:g} calls/s", xlabel="virtual seconds", ylabel="calls/s", xlim=(0, end))
        axes.set_ylim(bottom=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def _used(passed: Sequence[float], end: float, window: float) -> float:
    """Calls a second over the window that ends there."""
    return (bisect_left(passed, end) - bisect_left(passed, end - window)) / window

"""What counting and logging cost a bulk fetch, as a share of its CPU time.

Pairs in turn, each fetch in a process of its own, the server in another: what the machine does besides hits both alike.
"""

from statistics import median

from tg_pipeline_tests.bench.children import measured
from tg_pipeline_tests.bench.local_telegram import ChatSpec, serving
from tg_pipeline_tests.bench.report import Aim, Group, Row, Table
from tg_pipeline_tests.http_sink import http_sink

PAIRS = 15
SHARE = 0.03
CHAT = ChatSpec("busy", 1_013, 50)
QUICK_CHAT = ChatSpec("busy", 101, 2)


def measure(*, quick: bool) -> Group:
    """The median of the pairs' ratios."""
    chat, pairs = (QUICK_CHAT, 1) if quick else (CHAT, PAIRS)
    cpu: dict[str, list[float]] = {"observed": [], "unobserved": []}
    with serving([chat]) as telegram, http_sink(lambda *_: 200) as url:
        measured("unobserved", telegram, chat, 2)  # so that the server has made every message once
        for number in range(pairs):
            for what in sorted(cpu, reverse=bool(number % 2)):
                cpu[what].append(measured(what, telegram, chat, 2, url)["cpu_seconds"])
    ratios = sorted(one / other for one, other in zip(*cpu.values(), strict=True))
    middle = median(ratios)
    row: Row = {
        "messages": chat.messages,
        "pairs": pairs,
        "CPU s unobserved": median(cpu["unobserved"]),
        "observed / unobserved": middle,
        "least / least": min(cpu["observed"]) / min(cpu["unobserved"]),
        "second least": ratios[min(1, pairs - 1)],
        "second most": ratios[max(-2, -pairs)],
    }
    note = "CPU of a fetch with metrics kept and pushed and JSON lines from INFO on, over one with neither."
    aim = f"less than {SHARE:.0%} more CPU"
    return Group([Table("observability", note, [row])], [Aim(aim, middle - 1, met=middle - 1 < SHARE)])

"""What a soak must show. Pure: figures in, complaints out."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

MIB = 1024 * 1024


def slope(samples: Sequence[tuple[float, int]]) -> float:
    """Bytes an hour by least squares over (seconds, bytes)."""
    if len(samples) < 2:
        return 0.0
    line = statistics.linear_regression([at for at, _ in samples], [size for _, size in samples])
    return line.slope * 3600


def growth(samples: Sequence[tuple[float, int]]) -> float:
    """Bytes from the median of the first third to that of the last: one spike at either end says nothing."""
    sizes = [size for _, size in samples]
    third = max(1, len(sizes) // 3)
    return statistics.median(sizes[-third:]) - statistics.median(sizes[:third])


def memory(samples: Sequence[tuple[float, int]], *, peak_mib: float, growth_mib: float) -> list[str]:
    """Resident memory (seconds, bytes) after the warming up: bounded and flat."""
    if len(samples) < 30:
        return [f"only {len(samples)} samples of the memory: soak for longer"]
    complaints = []
    peak = max(size for _, size in samples) / MIB
    if peak > peak_mib:
        complaints.append(f"resident memory reached {peak:.1f} MiB, more than {peak_mib:g}")
    grown = growth(samples) / MIB
    if grown > growth_mib:
        complaints.append(f"resident memory grew by {grown:.1f} MiB, more than {growth_mib:g}")
    return complaints


def balance(name: str, report: dict[str, Any]) -> list[str]:
    """One reader's last report: the library's balance sheet, and the same by the reader's own count."""
    stats = report["stats"]
    complaints = []
    total = Counter(stats["delivered"]) + Counter(stats["lost"])
    if dict(total) != stats["published"]:
        complaints.append(f"{name}: published {stats['published']} is not delivered + lost {dict(total)}")
    if report["delivered"] != stats["delivered"]:
        complaints.append(f"{name}: {report['delivered']} came, but it counts {stats['delivered']} as delivered")
    if report["gaps"] != stats["gaps"] or (not report["open_gaps"] and report["lost"] != stats["lost"]):
        complaints.append(f"{name}: gaps {report['gaps']} of {report['lost']}, but it counts {stats['lost']} as lost")
    for what, count in (
        ("out of order", report["out_of_order"]),
        ("unreadable", stats["unreadable"]),
        ("of unknown kinds", stats["unknown_kinds"]),
    ):
        if count:
            complaints.append(f"{name}: {count} {what}")
    if not sum(report["delivered"].values()):
        complaints.append(f"{name}: nothing came")
    return complaints


def whole(name: str, report: dict[str, Any], sent: dict[str, int]) -> list[str]:
    """What the publisher says that it sent is what the reader knows of, from before it joined to the last heartbeat."""
    known = Counter(report["stats"]["published"]) + Counter(report["before"])
    return [
        f"{name}: {count:,} {word} events were published, and it knows of {known[word]:,}"
        for word, count in sent.items()
        if word in ("book", "ticker", "bar") and not report["open_gaps"] and known[word] != count
    ]

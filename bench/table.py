"""The report: one line per metric, in plain text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench.cases import Metric

Samples = Mapping[str, Mapping[str, Sequence[float]]]
"""Samples by side and metric."""

_STOCK = "stock"
_CHATRACK = "chatrack"


def _row(metric: Metric, samples: Samples, sides: Sequence[str]) -> list[str]:
    medians = {side: statistics.median(samples[side][metric.name]) for side in sides}
    row = [metric.name, metric.unit, *(f"{medians[side]:.{metric.digits}f}" for side in sides)]
    if _STOCK not in medians or _CHATRACK not in medians:
        return row
    ratio = medians[_CHATRACK] / medians[_STOCK] if medians[_STOCK] else float("nan")
    if metric.target is None:
        return [*row, f"{ratio:.2f}", "-", "-"]
    bound = f"{metric.target:g} {metric.unit}" if metric.absolute else f"{metric.target:.2f}"
    sign = ">=" if metric.more_is_better else "<="
    ok = metric.holds(medians[_CHATRACK] if metric.absolute else ratio)
    return [*row, f"{ratio:.2f}", f"{sign} {bound}", "yes" if ok else "NO"]


def render(metrics: Sequence[Metric], samples: Samples, sides: Sequence[str]) -> str:
    """Return the table of medians, with ratio, target and ok if both sides were measured."""
    header = ["metric", "unit", *sides]
    if _STOCK in sides and _CHATRACK in sides:
        header += ["ratio", "target", "ok"]
    rows = [header, *(_row(metric, samples, sides) for metric in metrics)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def missed(metrics: Sequence[Metric], samples: Samples) -> list[str]:
    """Return the names of the metrics that miss their targets; none unless both sides were measured."""
    if not samples.get(_STOCK) or not samples.get(_CHATRACK):
        return []
    names = []
    for metric in metrics:
        stock, ours = (statistics.median(samples[side][metric.name]) for side in (_STOCK, _CHATRACK))
        ok = metric.holds(ours) if metric.absolute else not stock or metric.holds(ours / stock)
        if not ok:
            names.append(metric.name)
    return names

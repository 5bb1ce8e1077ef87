"""Numbers as people read them."""

from __future__ import annotations

from mitds.benchmark.results import Estimate


def number_text(value: float | None, digits: int = 3) -> str:
    """Write a number with some significant digits; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"


def interval_text(estimate: Estimate | None, digits: int = 3) -> str:
    """Write "value [low, high]"; without bounds where they cannot be had."""
    if estimate is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return number_text(estimate.value, digits)
    low, high = number_text(estimate.low, digits), number_text(estimate.high, digits)
    return f"{number_text(estimate.value, digits)} [{low}, {high}]"

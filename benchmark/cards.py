"""The cards of all metrics; asking for them imports every metric's module."""

from __future__ import annotations

from typing import cast

from mitds.benchmark.contracts import Card, Metric, SetMetric
from mitds.benchmark.registries import METRICS


def card_of(metric: str) -> Card:
    """Return a metric's card."""
    return cast("type[Metric | SetMetric]", METRICS.get(metric)).card


def all_cards() -> list[Card]:
    """Return all cards, sorted by id."""
    return [card_of(metric) for metric in METRICS.names()]

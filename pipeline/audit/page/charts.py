"""Geometry of the report's small diagrams: reliability, and what abstaining buys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, sqrt

from mitds.pipeline.audit.page.words import LABELS
from mitds.pipeline.audit.results import Audit, Reliability

WIDTH, HEIGHT = 340, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 326, 14, 250
"""The plot's edges inside of the picture, px."""

_LARGEST_DOT, _SMALLEST_DOT = 9.0, 2.5
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Dot:
    """A measured point, px, with what it says when pointed at."""

    x: float
    y: float
    radius: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A diagram as the template draws it; all places in px of a WIDTH x HEIGHT picture.

    Attributes:
        title: Its caption.
        alt: What it shows, in words.
        x_title: What lies along.
        y_title: What lies upwards.
        x_ticks: (place, text).
        y_ticks: (place, text).
        ideal: Polyline of what would be perfect; empty where nothing is.
        line: Polyline through the dots.
        dots: The measured points.
    """

    title: str
    alt: str
    x_title: str
    y_title: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    ideal: str
    line: str
    dots: tuple[Dot, ...]


def charts(audit: Audit) -> list[Chart]:
    """Return an audit's diagrams: one a kind of probability, and the abstention curve if there is one."""
    found = [_reliability(curve) for curve in audit.reliability]
    return [*found, _abstention(audit.abstention)] if audit.abstention else found


def _reliability(curve: Reliability) -> Chart:
    total = max(sum(curve.count), 1)
    dots = tuple(
        Dot(_x(said), _y(true), _radius(n / total), f"said {said:.3f}, came true {true:.3f}, {n:,} cases")
        for said, true, n in zip(curve.said, curve.found, curve.count, strict=True)
        if said is not None and true is not None
    )
    name = LABELS[curve.label].capitalize()
    return Chart(
        title=f"{name}: calibration error {curve.error:.3f} over {total:,} cases",
        alt=f"{name}, stated probability against what came true: {_told(dots)}",
        x_title="stated probability",
        y_title="share that came true",
        x_ticks=_ticks(_x, 0.0),
        y_ticks=_ticks(_y, 0.0),
        ideal=_polyline([(_x(0), _y(0)), (_x(1), _y(1))]),
        line=_polyline([(dot.x, dot.y) for dot in dots]),
        dots=dots,
    )


def _abstention(curve: Sequence[tuple[float, float]]) -> Chart:
    """Draw the share right over the share answered; the upward axis begins at the tenth below the curve."""
    points = sorted(curve)
    bottom = min(floor(10 * min(right for _, right in points)) / 10, 0.9)
    dots = tuple(
        Dot(_x(a), _y(r, bottom), _SMALLEST_DOT, f"{a:.1%} answered, {r:.1%} of it right") for a, r in points
    )
    return Chart(
        title="Binding: right of what is answered, as more is asked of a binding",
        alt=f"Share of speech answered against the share of it right: {_told(dots)}",
        x_title="share of speech answered",
        y_title="share of it right",
        x_ticks=_ticks(_x, 0.0),
        y_ticks=_ticks(lambda value: _y(value, bottom), bottom),
        ideal="",
        line=_polyline([(dot.x, dot.y) for dot in dots]),
        dots=dots,
    )


def _x(value: float) -> float:
    return round(LEFT + value * (RIGHT - LEFT), 2)


def _y(value: float, bottom: float = 0.0) -> float:
    return round(BOTTOM - (value - bottom) / (1 - bottom) * (BOTTOM - TOP), 2)


def _radius(share: float) -> float:
    """Return a dot whose area grows with its share of the cases, and that can always be seen."""
    return round(max(_SMALLEST_DOT, _LARGEST_DOT * sqrt(share)), 2)


def _ticks(place: Callable[[float], float], bottom: float) -> tuple[tuple[float, str], ...]:
    values = [bottom + (1 - bottom) * k / _TICKS for k in range(_TICKS + 1)]
    return tuple((place(value), f"{value:.2g}") for value in values)


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _told(dots: Sequence[Dot]) -> str:
    return "; ".join(dot.title for dot in dots) or "nothing measured"

"""Small plots as inline SVG. Colours come from the style sheet by class, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from mitds.benchmark.results import Estimate
from mitds.benchmark.site import wording

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_WIDTH, _HEIGHT = 300.0, 120.0
_LEFT, _RIGHT, _TOP, _FLOOR = 34.0, 8.0, 14.0, 96.0
_BINS = 20


def tag(name: str, *children: str | Markup, **attributes: object) -> Markup:
    """Return an element; text and attribute values are escaped, `class_` and `text_anchor` lose their underscores."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _written(value))
        for key, value in attributes.items()
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{}{}>{}</{}>").format(Markup(name), written, inside, Markup(name))  # noqa: S704 - own names


def _written(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _svg(label: str, width: float, height: float, *children: Markup, class_: str = "plot") -> Markup:
    return tag(
        "svg", *children, class_=class_, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label
    )


def _text(x: float, y: float, text: str, anchor: str = "middle", class_: str = "") -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def score_bar(score: Estimate | None, band: float | None = None) -> Markup:
    """Draw a score 0..1 as a bar with its interval, and the floor band behind it."""
    value = score.value if score is not None else 0.0
    low, high = (
        (value if v is None else v for v in (score.low, score.high)) if score is not None else (0.0, 0.0)
    )
    label = (
        f"score {wording.fixed(value, 2)} {wording.span(score, 2)}".strip()
        if score is not None
        else "no score"
    )
    parts = (
        tag("rect", class_="band", width=100 * min(1.0, band or 0.0), height=12),
        tag("rect", class_="fill", y=3, height=6, width=100 * value),
        tag("rect", class_="whisker", x=100 * low, y=5, height=2, width=100 * (high - low)),
    )
    return tag(
        "svg",
        *parts,
        **{"class_": "bar", "viewBox": "0 0 100 12", "preserveAspectRatio": "none", "role": "img"},
        aria_label=label,
    )


def histogram(
    measured: Sequence[float],
    failed: Sequence[float],
    *,
    mean: Estimate | None,
    ends: Sequence[tuple[str, float]] = (),
    title: str,
) -> Markup:
    """Draw how the items' values are spread.

    Args:
        measured: Values of items that were measured.
        failed: What failed items were charged; stacked on top, in the colour of failure.
        mean: The release's value, drawn as a line over its interval.
        ends: Named places on the scale: ("floor", 10.0), ("real", 40.0).
        title: What is shown, for those who cannot see it.
    """
    low, high = _range([*measured, *failed, *(v for _, v in ends)])
    edges = np.linspace(low, high, _BINS + 1)
    good_K, bad_K = (np.histogram(values, edges)[0] for values in (measured, failed))
    tallest = max(1, int((good_K + bad_K).max()))
    place = _scale(low, high, _LEFT, _WIDTH - _RIGHT)
    parts = [*_interval(mean, place), *_columns(edges, good_K, bad_K, tallest, place)]
    parts += [_end(name, place(value)) for name, value in ends]
    places = wording.decimals([low, high])
    parts += [
        tag("line", class_="axis-line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_FLOOR, y2=_FLOOR),
        _text(_LEFT, _FLOOR + 12, wording.fixed(low, places), "start"),
        _text(_WIDTH - _RIGHT, _FLOOR + 12, wording.fixed(high, places), "end"),
        _text(_LEFT - 4, _TOP + 6, str(tallest), "end"),
        _text(_LEFT - 4, _FLOOR, "0", "end"),
    ]
    label = f"{title}: {len(measured)} measured, {len(failed)} failed, from {low:.4g} to {high:.4g}"
    return _svg(label, _WIDTH, _HEIGHT, *parts)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low == high:
        reach = max(abs(low) * 0.05, 1e-6)
        return low - reach, high + reach
    return low, high


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """Map low..high to first..last, linearly."""
    slope = (last - first) / (high - low)
    return lambda value: first + (float(value) - low) * slope


def _columns(
    edges_K: Floats, good_K: Counts, bad_K: Counts, tallest: int, place: Callable[[float], float]
) -> Iterator[Markup]:
    unit = (_FLOOR - _TOP) / tallest
    for left, right, good, bad in zip(edges_K, edges_K[1:], good_K, bad_K, strict=False):
        x, width = place(left) + 0.5, place(right) - place(left) - 1
        top = _FLOOR - unit * float(good)
        if good:
            yield tag("rect", class_="column", x=x, width=width, y=top, height=unit * float(good))
        if bad:
            height = unit * float(bad)
            yield tag("rect", class_="column failed", x=x, width=width, y=top - height, height=height)


def _interval(mean: Estimate | None, place: Callable[[float], float]) -> Iterator[Markup]:
    if mean is None:
        return
    x, height = place(mean.value), _FLOOR - _TOP
    if mean.low is not None and mean.high is not None:
        low, high = place(mean.low), place(mean.high)
        yield tag("rect", class_="interval", x=low, width=max(high - low, 0.5), y=_TOP, height=height)
    yield tag("line", class_="mean", x1=x, x2=x, y1=_TOP, y2=_FLOOR)


def _end(name: str, x: float) -> Markup:
    """Draw a named place of the scale; names keep inside the picture."""
    anchor = "start" if x < _WIDTH / 4 else "end" if x > _WIDTH * 3 / 4 else "middle"
    line = tag("line", class_="end", x1=x, x2=x, y1=_TOP, y2=_FLOOR)
    return Markup("").join((line, _text(x, _TOP - 4, name, anchor, "end-name")))


def ladder(points: Sequence[tuple[str, Estimate]], *, title: str, unit_range: bool) -> Markup:
    """Draw estimates in order, joined, each with its interval: how a metric moves with the number of people.

    Args:
        points: (name, estimate), at least one.
        title: What is shown, for those who cannot see it.
        unit_range: The axis is 0..1, as for scores; else it fits the values.
    """
    bounds = [v for _, e in points for v in (e.value, e.low, e.high) if v is not None]
    low, high = (0.0, 1.0) if unit_range else _range(bounds)
    height = _scale(low, high, _FLOOR, _TOP)
    step = (_WIDTH - _LEFT - _RIGHT) / len(points)
    placed = [(_LEFT + step * (k + 0.5), name, e) for k, (name, e) in enumerate(points)]
    path = " ".join(f"{x:.1f},{height(e.value):.1f}" for x, _, e in placed)
    places = wording.decimals([low, high]) if not unit_range else 1
    parts = [
        tag("line", class_="axis-line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=_FLOOR, y2=_FLOOR),
        _text(_LEFT - 4, _TOP + 4, wording.fixed(high, places), "end"),
        _text(_LEFT - 4, _FLOOR, wording.fixed(low, places), "end"),
        tag("polyline", class_="path", points=path),
        *(_point(x, name, e, height) for x, name, e in placed),
    ]
    said = ", ".join(f"{name} {e.value:.3g}" for name, e in points)
    return _svg(f"{title}: {said}", _WIDTH, _HEIGHT, *parts)


def _point(x: float, name: str, estimate: Estimate, height: Callable[[float], float]) -> Markup:
    parts = [tag("circle", class_="dot", cx=x, cy=height(estimate.value), r=3.5)]
    if estimate.low is not None and estimate.high is not None:
        ends = {"y1": height(estimate.low), "y2": height(estimate.high)}
        parts.insert(0, tag("line", class_="whisker", x1=x, x2=x, **ends))
    parts += [_text(x, _FLOOR + 12, name), _text(x, _FLOOR + 22, f"n = {estimate.n}", class_="faint")]
    return Markup("").join(parts)


def heat_map(matrix: Sequence[Sequence[float | None]], names: Sequence[str], *, title: str) -> Markup:
    """Draw a square matrix, voices down and faces across; a cell is the darker the larger its value.

    Args:
        matrix: Rows of numbers; None where there is none.
        names: Persons, in order.
        title: What is shown, for those who cannot see it.
    """
    side, head = 34.0, 30.0
    known = [v for row in matrix for v in row if v is not None and math.isfinite(v)]
    # Probabilities keep one scale on every item: faint differences must not look like strong ones.
    low, high = _range([0.0, 1.0, *known])
    strength = _scale(low, high, 0.06, 0.92)
    parts = [_text(head + side * (n + 0.5), head - 6, name) for n, name in enumerate(names)]
    parts += [_text(head - 4, head + side * (n + 0.5) + 3, name, "end") for n, name in enumerate(names)]
    for n, row in enumerate(matrix):
        for m, value in enumerate(row):
            parts.append(_cell(head + side * m, head + side * n, side, value, strength, own=n == m))
    size = head + side * len(matrix) + 2
    return _svg(f"{title}: voices down, faces across", size, size, *parts, class_="plot heat")


def _cell(
    x: float, y: float, side: float, value: float | None, strength: Callable[[float], float], *, own: bool
) -> Markup:
    known = value is not None and math.isfinite(value)
    depth = strength(value) if known and value is not None else 0.0
    box = {"x": x + 1, "y": y + 1, "width": side - 2, "height": side - 2, "rx": 3}
    middle = (x + side / 2, y + side / 2 + 3.5)
    return Markup("").join(
        (
            tag("rect", class_="cell own" if own else "cell", fill_opacity=depth, **box),
            _text(*middle, wording.fixed(value, 2), class_="strong" if depth > 0.5 else ""),
        )
    )

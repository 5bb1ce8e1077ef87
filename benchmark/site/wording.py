"""Numbers and states in words: one way to write a value, an interval, a failure, a tier."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mitds.benchmark.contracts import Card
from mitds.benchmark.results import Estimate

NONE = "–"

STATUSES = {
    "ok": "measured",
    "undefined": "not defined here: the real footage gives nothing to measure",
    "no_face": "no face where one belongs",
    "missing": "no output",
    "unreadable": "the output does not decode",
    "wrong_shape": "wrong frame count, frame rate or size",
    "crashed": "reading the output killed its process",
    "timeout": "took longer than the time allowed",
}
"""How an output or a measurement ended, for people."""

TIERS = {
    "claimed": "The bundle passed the checks of form; nobody has measured its videos again. Not ranked.",
    "spot-checked": "The host measured again a sample drawn after the upload; it agreed within tolerance.",
    "rescored": "The host measured every video again.",
    "regenerated": "The host ran the system itself, on items that nobody outside has seen.",
}
"""What each tier of trust means, least first."""

BETTER = {
    "higher": ("↑", "higher is better"),
    "lower": ("↓", "lower is better"),
    "closer": ("→", "nearer to real footage is better"),
}

KINDS = {
    "model": "a registered model",
    "control": "a degenerate control",
    "videos": "a folder of videos",
    "submission": "a submission",
}

_GROUPS = (
    ("Picture", ("psnr", "ssim", "lpips")),
    ("Realism of the set", ("fid", "fvd", "mmd")),
    ("Identity", ("identity", "face")),
    ("Who speaks", ("binding", "leakage", "lag")),
    ("Lip sync", ("sync",)),
    ("Listening", ("interactivity", "rpcc", "var", "sid", "fd")),
)
_OTHER = "Other"
GROUPS: tuple[str, ...] = (*(title for title, _ in _GROUPS), _OTHER)


def group_of(card: Card) -> str:
    """Return the family of metrics a card belongs to, by the first word of its name."""
    first = card.name.partition(".")[0].partition("-")[0]
    return next((title for title, names in _GROUPS if first in names), _OTHER)


def decimals(values: Iterable[float | None]) -> int:
    """Return how many decimals a column of such values needs: four digits of its largest, three below one."""
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v)]
    largest = max(sizes, default=0.0)
    if largest == 0:
        return 2
    magnitude = math.floor(math.log10(largest))
    return min(6, max(0, (3 if magnitude >= 0 else 2) - magnitude))


def fixed(value: float | None, places: int = 3) -> str:
    """Write a number; a dash where there is none, no minus before a zero."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{places}f}"
    negative = text.startswith("-") and float(text) != 0
    return ("−" if negative else "") + text.lstrip("-")


def percent(share: float | None) -> str:
    """Write a share; 100 % only where nothing is missing."""
    if share is None:
        return NONE
    shown = math.floor(share * 1000) / 10
    return f"{shown:.0f} %" if shown in (0, 100) else f"{shown:.1f} %"


def span(estimate: Estimate | None, places: int = 3) -> str:
    """Write an interval; empty where it cannot be had."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"[{fixed(estimate.low, places)}, {fixed(estimate.high, places)}]"


def estimates_decimals(estimates: Sequence[Estimate | None]) -> int:
    """Return the decimals of a column of estimates."""
    return decimals(e.value for e in estimates if e is not None)


def count(number: int, one: str, several: str = "") -> str:
    """Write a number of things."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def people_of(subset: str) -> str:
    """Write a subset's name: "people-2" becomes "2 people"."""
    head, _, tail = subset.rpartition("-")
    if head == "people" and tail.isdigit():
        return "1 person" if tail == "1" else f"{tail} people"
    return subset.replace("-", " ")

"""Numbers pooled over videos, and how far they would move if other videos had been drawn.

A statistic keeps what each of V videos contributes, so that it can be computed anew with each video weighted
by how often a bootstrap draw took it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mitds.pipeline.audit.results import Measure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Spec:
    """What a measure is, whatever its value; see `Measure`."""

    id: str
    title: str
    definition: str
    unit: str
    better: Literal["higher", "lower", ""] = "higher"


class Statistic(Protocol):
    """A number over weighted videos."""

    @property
    def cases_V(self) -> Floats:
        """How many cases each video contributes."""

    @property
    def used_V(self) -> Flags:
        """Which videos the number rests on; the others are left out of draws."""

    def value(self, weight_V: Floats) -> float | None:
        """Compute the number with each video counted `weight_V` times; None where nothing can be scored."""


@dataclass(frozen=True, slots=True)
class Found:
    """A measure before intervals: what it is, the numbers it rests on, and the condition."""

    spec: Spec
    statistic: Statistic
    by: str = ""


@dataclass(frozen=True, slots=True)
class Sums:
    """A formula of K sums over videos (of hits, misses, seconds).

    Attributes:
        parts_VK: What each video adds to each sum.
        cases_V: Cases of each video.
        formula: From the K sums to the number.
        known_V: Videos that count though they may hold no case, as silent ones do in which speech is said to be;
            None where every video that counts has one.
    """

    parts_VK: Floats
    cases_V: Floats
    formula: Callable[[Floats], float | None]
    known_V: Flags | None = None

    @property
    def used_V(self) -> Flags:
        """Videos that are known, or else those with cases."""
        return self.cases_V > 0 if self.known_V is None else self.known_V

    def value(self, weight_V: Floats) -> float | None:
        """Apply the formula to the weighted sums."""
        return self.formula(weight_V @ self.parts_VK)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Average precision or area under the ROC curve of R scored cases.

    Attributes:
        score_R: Scores; -inf where a case cannot be retrieved (a face that was not found).
        positive_R: What is true.
        video_R: Which video each case belongs to.
        kind: "ap": a positive that cannot be retrieved adds nothing, a negative never harms; the sum of
            (R_n - R_n-1) P_n over distinct scores. "auc": over the cases that can be retrieved.
        videos: V.
    """

    score_R: Floats
    positive_R: Flags
    video_R: Ints
    kind: Literal["ap", "auc"]
    videos: int

    @property
    def cases_V(self) -> Floats:
        """Cases of each video."""
        return np.bincount(self.video_R, minlength=self.videos).astype(np.float64)

    @property
    def used_V(self) -> Flags:
        """Videos with cases."""
        return self.cases_V > 0

    def value(self, weight_V: Floats) -> float | None:
        """Rank all cases together; equal scores are one step."""
        return self.values(weight_V[None])[0]

    def values(self, weight_DV: Floats) -> list[float | None]:
        """Compute D draws with one sorting."""
        found_R = np.isfinite(self.score_R)
        order_F = np.flatnonzero(found_R)[np.argsort(-self.score_R[found_R], kind="stable")]
        score_F, positive_F, video_F = self.score_R[order_F], self.positive_R[order_F], self.video_R[order_F]
        last_F = np.append(score_F[1:] != score_F[:-1], True) if len(order_F) else np.zeros(0, np.bool_)
        all_V = np.bincount(self.video_R[self.positive_R], minlength=self.videos)
        return [
            self._one(weight_V[video_F], positive_F, last_F, float(weight_V @ all_V))
            for weight_V in weight_DV
        ]

    def _one(self, weight_F: Floats, positive_F: Flags, last_F: Flags, positives: float) -> float | None:
        hits_S = np.cumsum(weight_F * positive_F)[last_F]
        false_S = np.cumsum(weight_F * ~positive_F)[last_F]
        if self.kind == "auc":
            return _roc_area(hits_S, false_S)
        if positives == 0:
            return None
        precision_S = hits_S / np.maximum(hits_S + false_S, 1)
        return float((np.diff(hits_S / positives, prepend=0.0) * precision_S).sum())


def _roc_area(hits_S: Floats, false_S: Floats) -> float | None:
    if not len(hits_S) or hits_S[-1] == 0 or false_S[-1] == 0:
        return None
    new_S, before_S = np.diff(false_S, prepend=0.0), np.concatenate([[0.0], hits_S[:-1]])
    return float((new_S * (before_S + hits_S) / 2).sum() / (hits_S[-1] * false_S[-1]))


def ratio(sums_2: Floats) -> float | None:
    """Divide the first sum by the second."""
    return float(sums_2[0] / sums_2[1]) if sums_2[1] > 0 else None


def f1(sums_3: Floats) -> float | None:
    """Return the F1 of hits, false alarms and misses."""
    hits, false, missed = sums_3
    return float(2 * hits / (2 * hits + false + missed)) if hits + false + missed > 0 else None


def shares(parts: Sequence[tuple[float, float]]) -> Sums:
    """Return a ratio of sums: one (hits, cases) a video."""
    parts_V2 = np.array(parts, np.float64).reshape(-1, 2)
    return Sums(parts_V2, parts_V2[:, 1], ratio)


def interval(statistic: Statistic, draws: int, seed: int) -> tuple[float, float] | None:
    """Resample the videos that contribute, and return the 2.5th and 97.5th percentile.

    None where fewer than two videos contribute. Equal settings give equal numbers.
    """
    used = np.flatnonzero(statistic.used_V)
    if len(used) < 2 or draws < 1:
        return None
    weight_DV = np.zeros((draws, len(statistic.used_V)))
    drawn = np.random.default_rng(seed).multinomial(len(used), np.full(len(used), 1 / len(used)), size=draws)
    weight_DV[:, used] = drawn
    many = statistic.values(weight_DV) if isinstance(statistic, Ranking) else map(statistic.value, weight_DV)
    values = [value for value in many if value is not None]
    if not values:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def measured(found: Found, draws: int, seed: int) -> Measure:
    """Return the measure with its value over all videos and its interval."""
    spec, cases_V = found.spec, found.statistic.cases_V
    value = found.statistic.value(found.statistic.used_V.astype(np.float64))
    bounds = interval(found.statistic, draws, seed) if value is not None else None
    return Measure(
        id=spec.id,
        label=spec.id.partition(".")[0],
        title=spec.title,
        definition=spec.definition,
        value=value,
        low=bounds[0] if bounds else None,
        high=bounds[1] if bounds else None,
        n=float(cases_V.sum()),
        unit=spec.unit,
        better=spec.better,
        by=found.by,
    )


def alone(found: Found, video: int) -> float | None:
    """Return the number of one video."""
    cases_V = found.statistic.cases_V
    if cases_V[video] == 0:
        return None
    return found.statistic.value((np.arange(len(cases_V)) == video).astype(np.float64))

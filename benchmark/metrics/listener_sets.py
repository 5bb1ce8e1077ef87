"""How listeners of a whole set move: richness (SID) and distribution (FD) of expression and head pose.

Rows are listening frames on which the real face shows, the same for real and generated footage. A row on which the
output shows no face is the person's mean real face: whoever is not there does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.contracts import Arrays, Card, Scene, SetScore
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.face_motion import PARAMETERS, Kind, Signal
from mitds.benchmark.metrics.frechet import frechet
from mitds.benchmark.metrics.listener import AVATAR_FORCING, EXPRESSION_WORDS, POSE_WORDS, WEIGHTS
from mitds.benchmark.metrics.listener_watch import watch

EXPRESSION_CLUSTERS, POSE_CLUSTERS = 15, 9
"""As published."""
ROWS_PER_CLUSTER = 10
"""Rows below which a cluster is not to be had."""
ROUNDS = 100
"""Of Lloyd's algorithm, at most."""


def observe(scene: Scene, footage: Footage, kind: Kind) -> Arrays:
    """Return rows_RD, and person_R: which person of the scene each row is of."""
    people = [who for who in watch(scene, footage) if who.is_listener]
    size = len(PARAMETERS[kind])
    rows = [np.nan_to_num(who.generated.of(kind)[who.asked_T]) for who in people]
    persons = [np.full(int(who.asked_T.sum()), who.person, np.int16) for who in people]
    return {
        "rows_RD": np.concatenate([np.empty((0, size)), *rows]),
        "person_R": np.concatenate([np.empty(0, np.int16), *persons]),
    }


def sorted_rows(rows_RD: Signal) -> Signal:
    """Sort rows, so that no sum over them depends on the order of videos."""
    return np.asarray(rows_RD[np.lexsort(rows_RD.T[::-1])])


def clusters(rows_RD: Signal, count: int) -> Signal:
    """Return the centres_KD of k-means: Lloyd's algorithm from farthest points, the first nearest to the mean.

    Nothing is random, and the order of rows has no part in it.
    """
    rows_RD = sorted_rows(rows_RD)
    centres_KD = _farthest(rows_RD, count)
    for _ in range(ROUNDS):
        nearest_R = nearest(rows_RD, centres_KD)
        moved_KD = np.stack(
            [
                rows_RD[nearest_R == k].mean(axis=0) if (nearest_R == k).any() else centres_KD[k]
                for k in range(count)
            ]
        )
        if np.array_equal(moved_KD, centres_KD):
            break
        centres_KD = moved_KD
    return centres_KD


def _farthest(rows_RD: Signal, count: int) -> Signal:
    chosen = [int(((rows_RD - rows_RD.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    gap_R = np.full(len(rows_RD), np.inf)
    for _ in range(count - 1):
        gap_R = np.minimum(gap_R, ((rows_RD - rows_RD[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(gap_R.argmax()))
    return np.asarray(rows_RD[chosen])


def nearest(rows_RD: Signal, centres_KD: Signal) -> NDArray[np.intp]:
    """Return the index of each row's nearest centre; the first of equals."""
    gap_KR = np.stack([((rows_RD - centre_D) ** 2).sum(axis=1) for centre_D in centres_KD])
    return np.asarray(gap_KR.argmin(axis=0))


def shannon(labels_R: NDArray[np.integer]) -> float:
    """Return the Shannon index of labels, nats: 0 where all are the same, log k where k are equally frequent."""
    share_K = np.unique(labels_R, return_counts=True)[1] / len(labels_R)
    return float(-(share_K * np.log(share_K)).sum()) + 0.0


def scale_of(rows_RD: Signal) -> Signal:
    """Return the standard deviation of each parameter, so that all weigh alike; 1 where a parameter never moves."""
    spread_D = sorted_rows(rows_RD).std(axis=0)
    return np.where(spread_D > 0, spread_D, 1.0)


def _together(videos: Sequence[Arrays]) -> Signal:
    return np.concatenate([video["rows_RD"] for video in videos])


def _sequences(videos: Sequence[Arrays]) -> list[Signal]:
    """Return each person's rows in each video."""
    return [v["rows_RD"][v["person_R"] == n] for v in videos for n in np.unique(v["person_R"])]


def _mean(values: Sequence[float]) -> float:
    return float(np.sort(np.array(values)).mean())


class _Sid:
    """Richness of motion: how evenly a listener visits the states that real listeners have."""

    card: ClassVar[Card]
    _kind: ClassVar[Kind]
    _clusters: ClassVar[int]

    def observe(self, scene: Scene, footage: Footage) -> Arrays:
        """Return the rows of one video; see `observe`."""
        return observe(scene, footage, self._kind)

    def reduce(self, real: Sequence[Arrays], generated: Sequence[Arrays]) -> SetScore:
        """Fit the states on the real rows; the value is the mean index over the generated listeners."""
        rows_RD = _together(real)
        least = ROWS_PER_CLUSTER * self._clusters
        if len(rows_RD) < least:
            return SetScore(
                value=None, n=len(rows_RD), reason=f"fewer than {least} frames of real listeners' faces"
            )
        scale_D = scale_of(rows_RD)
        centres_KD = clusters(rows_RD / scale_D, self._clusters)

        def richness(videos: Sequence[Arrays]) -> float:
            return _mean([shannon(nearest(rows / scale_D, centres_KD)) for rows in _sequences(videos)])

        detail = {"real": richness(real), "listeners": len(_sequences(real))}
        return SetScore(value=richness(generated), n=len(rows_RD), detail=detail)


class _Fd:
    """Distance between the distributions of real and generated listeners' parameters."""

    card: ClassVar[Card]
    _kind: ClassVar[Kind]

    def observe(self, scene: Scene, footage: Footage) -> Arrays:
        """Return the rows of one video; see `observe`."""
        return observe(scene, footage, self._kind)

    def reduce(self, real: Sequence[Arrays], generated: Sequence[Arrays]) -> SetScore:
        """Compare all rows; `detail` has the distance between two halves of the real videos."""
        rows_RD, seen_RD = _together(real), _together(generated)
        least = ROWS_PER_CLUSTER * rows_RD.shape[1]
        if len(rows_RD) < least:
            return SetScore(
                value=None, n=len(rows_RD), reason=f"fewer than {least} frames of real listeners' faces"
            )
        scale_D = scale_of(rows_RD)
        halves = [half / scale_D for half in _halves(real) if len(half) >= least]
        detail = {"floor_halves": frechet(*halves)} if len(halves) == 2 else {}
        value = frechet(rows_RD / scale_D, seen_RD / scale_D)
        return SetScore(value=value, n=len(rows_RD), detail=detail)


def _halves(videos: Sequence[Arrays]) -> list[Signal]:
    """Deal videos into two halves, in the order of what they show."""
    shown = sorted((video["rows_RD"] for video in videos if len(video["rows_RD"])), key=lambda r: r.tobytes())
    return [np.concatenate(half) for half in (shown[::2], shown[1::2]) if half]


_SID = (
    "Shannon index, nats, of how often a listener visits each of {} k-means states of the real listeners' {}; "
    "mean over listeners."
)
_FD = (
    "Fréchet distance between all real and all generated listeners' {}, each in units of its real deviation."
)


def _card(metric: str, title: str, says: str, states: int | None = None) -> Card:
    return Card(
        id=metric,
        title=title,
        says=says,
        unit="nats" if states else "",
        better="closer" if states else "lower",
        needs="set",
        bounds=(0.0, float(np.log(states)) if states else None),
        floor="copy",
        tolerance=5e-2,
        weights=WEIGHTS,
        source=AVATAR_FORCING,
    )


class SidExp(_Sid):
    """Richness of facial expression while listening."""

    card: ClassVar[Card] = _card(
        "sid-exp.mesh@1", "SID-Exp", _SID.format(EXPRESSION_CLUSTERS, EXPRESSION_WORDS), EXPRESSION_CLUSTERS
    )
    _kind: ClassVar[Kind] = "expression"
    _clusters: ClassVar[int] = EXPRESSION_CLUSTERS


class SidPose(_Sid):
    """Richness of head pose while listening."""

    card: ClassVar[Card] = _card(
        "sid-pose.mesh@1", "SID-Pose", _SID.format(POSE_CLUSTERS, POSE_WORDS), POSE_CLUSTERS
    )
    _kind: ClassVar[Kind] = "pose"
    _clusters: ClassVar[int] = POSE_CLUSTERS


class FdExp(_Fd):
    """Distribution of facial expression while listening."""

    card: ClassVar[Card] = _card("fd-exp.mesh@1", "FD-Exp", _FD.format(EXPRESSION_WORDS))
    _kind: ClassVar[Kind] = "expression"


class FdPose(_Fd):
    """Distribution of head pose while listening."""

    card: ClassVar[Card] = _card("fd-pose.mesh@1", "FD-Pose", _FD.format(POSE_WORDS))
    _kind: ClassVar[Kind] = "pose"

"""Sync-C, Sync-D and binding by SyncNet v2: as the release computes them, and as an item with labels allows.

Three families, which must never share a column:

- `compat`, to compare with papers (LSE-C, LSE-D are the same): the release's detector, tracks, crops, lossy copies,
  zero padding and lost window. One value a face track, the mean over tracks a person. It knows no persons' voices:
  every face is scored against all that sounds, so that a silent listener is scored against somebody else's voice;
  faces under 100 px or seen for 100 frames or fewer get nothing; values grow with length (see `sync_maths`).
- `overlap`: crops at the places where the item shows each person, no padding, any length. Against the item's sound.
- `speaking` and `binding`: the same, on windows where one person alone speaks.

Sync-D and Sync-C are two-sided: generators trained on a sync loss surpass real footage, which is a symptom.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.metrics.sync_persons import binding, by_person
from mitds.benchmark.metrics.sync_readings import compat, confidence, distance

_RELEASE = "Chung and Zisserman 2016; joonson/syncnet_python (SyncNetInstance.py, run_pipeline.py)"
_STARRED = f"{_RELEASE}; on speaking time as Sync-C*, Sync-D* of AnyTalker"
_SHARED: dict[str, Any] = {"better": "closer", "bounds": (0.0, None), "floor": "wrong-voice"}
_AT_PLACES: dict[str, Any] = {**_SHARED, "needs": "scene", "tolerance": 1e-3}
_AS_RELEASED: dict[str, Any] = {
    **_SHARED,
    "needs": "one",
    "tolerance": 0.05,  # the lossy copies: another encoder build rounds other coefficients
    "weights": ("metrics.syncnet", "metrics.s3fd"),
    "source": _RELEASE,
}
_WEIGHTS = ("metrics.syncnet", "faces.yunet")


class SyncCCompat:
    """Sync-C (LSE-C) as released."""

    card: ClassVar[Card] = Card(
        id="sync-c.syncnet-v2.compat@1",
        title="Sync-C (release)",
        says="SyncNet's confidence, median less least distance over shifts, by the release's own pipeline: "
        "faces over 100 px on more than 100 frames, against all that sounds; depends on length.",
        **_AS_RELEASED,
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Score each face that the release would, by person where the item names persons."""
        return [one.score(confidence) for one in compat(scene, generated)]


class SyncDCompat:
    """Sync-D (LSE-D) as released."""

    card: ClassVar[Card] = Card(
        id="sync-d.syncnet-v2.compat@1",
        title="Sync-D (release)",
        says="SyncNet's least mean distance over shifts, by the release's own pipeline: "
        "faces over 100 px on more than 100 frames, against all that sounds; depends on length.",
        **_AS_RELEASED,
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Score each face that the release would, by person where the item names persons."""
        return [one.score(distance) for one in compat(scene, generated)]


class SyncCOverlap:
    """Sync-C at each person's place, without padding."""

    card: ClassVar[Card] = Card(
        id="sync-c.syncnet-v2.overlap@1",
        title="Sync-C",
        says="SyncNet's confidence of each person's mouth, at its place, against the item's sound; "
        "only pairs that exist count, so that length does not matter.",
        weights=_WEIGHTS,
        source=_RELEASE,
        **_AT_PLACES,
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Score each person on all windows with the face in view."""
        return [one.score(confidence) for one in by_person(scene, generated, "seen")]


class SyncDOverlap:
    """Sync-D at each person's place, without padding."""

    card: ClassVar[Card] = Card(
        id="sync-d.syncnet-v2.overlap@1",
        title="Sync-D",
        says="SyncNet's least mean distance of each person's mouth, at its place, to the item's sound; "
        "only pairs that exist count, so that length does not matter.",
        weights=_WEIGHTS,
        source=_RELEASE,
        **_AT_PLACES,
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Score each person on all windows with the face in view."""
        return [one.score(distance) for one in by_person(scene, generated, "seen")]


class SyncCSpeaking:
    """Sync-C on each person's own speech."""

    card: ClassVar[Card] = Card(
        id="sync-c-speaking.syncnet-v2@1",
        title="Sync-C*",
        says="SyncNet's confidence of each person's mouth on windows where that person alone speaks.",
        weights=_WEIGHTS,
        source=_STARRED,
        **_AT_PLACES,
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Score each person who speaks alone for a second or more."""
        return [one.score(confidence) for one in by_person(scene, generated, "speaking")]


class SyncDSpeaking:
    """Sync-D on each person's own speech."""

    card: ClassVar[Card] = Card(
        id="sync-d-speaking.syncnet-v2@1",
        title="Sync-D*",
        says="SyncNet's least mean distance of each person's mouth on windows where that person alone speaks.",
        weights=_WEIGHTS,
        source=_STARRED,
        **_AT_PLACES,
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Score each person who speaks alone for a second or more."""
        return [one.score(distance) for one in by_person(scene, generated, "speaking")]


class BindingSyncNet:
    """The voice-by-face matrix of SyncNet, and its diagonal margin."""

    card: ClassVar[Card] = Card(
        id="binding.syncnet-v2@1",
        title="Binding (SyncNet)",
        says="SyncNet's confidence of a voice, where it sounds alone, with its own face less that with the best "
        "other face; the mean over voices.",
        better="higher",
        needs="scene",
        floor="wrong-voice",
        tolerance=2e-3,
        weights=_WEIGHTS,
        source="mitds; the confidence of Chung and Zisserman 2016 as their active-speaker test",
    )

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Score an item in which two persons or more speak alone for a second."""
        return [binding(scene, generated)]

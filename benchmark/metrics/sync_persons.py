"""What SyncNet reads of an item's persons, each at the place where the item shows it ("overlap").

Crops come from the item's own face tracks, not from a detector, so that every person is scored alike; the pictures
are seen as they were drawn; shifts that leave the sound are left out instead of padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mitds.annotators.asd.rows import SAMPLES_PER_FRAME
from mitds.benchmark.contracts import Scene, Score
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.faces import faces, places
from mitds.benchmark.judges.syncnet import network, person_features, sound_features
from mitds.benchmark.judges.syncnet_net import WINDOW
from mitds.benchmark.metrics.sync_maths import SHIFT, Sync, overlap_curve, reading
from mitds.benchmark.metrics.sync_readings import Reading
from mitds.benchmark.metrics.talk import listed, margins, solo_NT, undefined
from mitds.manifests.records import Array, ClipArrays

MIN_WINDOWS = 25
"""Windows that a value rests on, at least: one second, so that every shift keeps some pairs."""
MIN_FOUND = 0.5
"""Share of the frames with a face in the real footage on which the output must show one at the same place."""

_BARE = "no persons or no sound"

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Item:
    """An item that can be read at its persons' places.

    Attributes:
        real: The real footage.
        arrays: Its labels.
        wave_S: Its sound.
        visible_NW: Windows on which each person's face is in view.
        solo_NW: Windows on which each person alone speaks.
        sound_windows: Windows that the sound lasts for; the windows above end there, too.
    """

    real: Footage
    arrays: ClipArrays
    wave_S: Array
    visible_NW: Bools
    solo_NW: Bools
    sound_windows: int

    def enough(self, wanted_W: Bools) -> bool:
        """Tell whether there are windows enough, and every shift keeps a pair."""
        at_W = np.flatnonzero(wanted_W)
        return len(at_W) >= MIN_WINDOWS and at_W[-1] >= SHIFT and bool(at_W[0] + SHIFT < self.sound_windows)

    def sync(self, footage: Footage, face: int, wanted_W: Bools) -> Sync:
        """Compare one face with the item's sound on some of its windows."""
        lips_WD = person_features(footage, places(self.arrays)[face])
        sound_VD = sound_features(self.real, self.wave_S, self.sound_windows)
        return reading(overlap_curve(lips_WD, sound_VD, wanted_W))

    def confirmed_N(self) -> Bools:
        """Tell whose faces are found in the real footage at all."""
        return np.asarray(faces(self.arrays, self.real).found_NT.any(axis=1), bool)

    def shown_N(self, footage: Footage) -> Bools:
        """Tell whose faces an output shows where the real footage does."""
        real_NT, made_NT = (faces(self.arrays, one).found_NT for one in (self.real, footage))
        share_N = (real_NT & made_NT).sum(axis=1) / np.maximum(real_NT.sum(axis=1), 1)
        return np.asarray(share_N >= MIN_FOUND, bool)


def _item(scene: Scene) -> _Item | None:
    network()
    if scene.clip is None or scene.arrays is None or scene.real.wave_S is None or not scene.clip.persons:
        return None
    wave_S, arrays = scene.real.wave_S, scene.arrays
    heard = max(min(scene.real.shape.frames, len(wave_S) // SAMPLES_PER_FRAME) - WINDOW + 1, 0)
    visible_NW = _windows(np.isfinite(places(arrays).sum(axis=2)))[:, :heard]
    return _Item(scene.real, arrays, wave_S, visible_NW, _windows(solo_NT(scene.clip))[:, :heard], heard)


def _windows(good_NT: Bools) -> Bools:
    """Return the windows all five frames of which are good."""
    if good_NT.shape[1] < WINDOW:
        return np.zeros((len(good_NT), 0), bool)
    return np.asarray(sliding_window_view(good_NT, WINDOW, axis=1).all(axis=2), bool)


def by_person(scene: Scene, generated: Footage, when: Literal["seen", "speaking"]) -> list[Reading]:
    """Read each person of an item against the item's sound, at the person's place.

    Args:
        scene: The item.
        generated: The output.
        when: All windows on which the face is in view, or those on which the person alone speaks.
    """
    item = _item(scene)
    if item is None:
        return [Reading.undefined(_BARE)]
    wanted_NW = item.visible_NW & item.solo_NW if when == "speaking" else item.visible_NW
    confirmed_N = item.confirmed_N()
    return [_person(item, generated, n, wanted_W, confirmed_N[n]) for n, wanted_W in enumerate(wanted_NW)]


def _person(item: _Item, generated: Footage, person: int, wanted_W: Bools, confirmed: bool) -> Reading:
    if not confirmed:
        return Reading.undefined("no face is found at this person's place in the real footage", person)
    if not item.enough(wanted_W):
        return Reading.undefined("less than a second to read", person)
    if not item.shown_N(generated)[person]:
        return Reading(status="no_face", person=person)
    sync = item.sync(generated, person, wanted_W)
    return Reading(syncs=(sync,), person=person, n=int(wanted_W.sum()))


def binding(scene: Scene, generated: Footage) -> Score:
    """Return by how much each voice agrees better with its own face than with the best other one.

    Entry (i, j) of the matrix is Sync-C of face j on the windows where voice i alone sounds. Sync-C rather than the
    distance, because it is free of what a face adds to all its distances (still or lively, sharp or soft): a face
    that suits no voice has a flat curve, and 0; and rather than at shift 0, because a constant delay is not a
    wrong binding.
    """
    item = _item(scene)
    if item is None:
        return undefined(_BARE)
    wanted_NNW = item.solo_NW[:, None] & item.visible_NW[None] & item.confirmed_N()[None, :, None]
    enough_NN = np.apply_along_axis(item.enough, 2, wanted_NNW)
    voice_N = np.isfinite(margins(np.where(enough_NN, 0.0, np.nan)))
    if voice_N.sum() < 2:
        return undefined("fewer than two persons speak alone for a second with two faces in view")
    asked_NN = enough_NN & voice_N[:, None]
    if not item.shown_N(generated)[asked_NN.any(axis=0)].all():
        return Score(value=None, status="no_face")
    matrix_NN = np.full(asked_NN.shape, np.nan)
    for i, j in np.argwhere(asked_NN).tolist():
        matrix_NN[i, j] = item.sync(generated, j, wanted_NNW[i, j]).confidence
    margin = float(margins(matrix_NN)[voice_N].mean())
    windows = int(wanted_NNW.diagonal()[:, voice_N].sum())
    return Score(value=margin, n=windows, detail={"matrix": listed(matrix_NN)})

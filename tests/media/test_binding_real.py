"""Who owns a voice, on real footage that deceives: silent faces, foreign voices, voices of nobody in view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mitds.annotators.asd.joint import JointScorer
from mitds.annotators.asd.lip_net import LipNet
from mitds.annotators.asd.lr_asd import LrAsd
from mitds.annotators.asd.rows import visits
from mitds.annotators.binding.binder import fitted_binder
from mitds.annotators.binding.fusion import fitted
from mitds.annotators.binding.joint import Joint, JointConfig, ShotView, solve
from mitds.annotators.faces.tracker import YuNetTracker
from mitds.annotators.speech.diarizer import SegmentationEcapa
from mitds.manifests.records import Array, FaceTrack, SpeakingScores
from mitds.media import grid_frames, probe, read_sound
from mitds.time import Grid

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("lr_asd_weights")]

SCORERS = ("lip-net", "lr-asd-lip-net")
"""Of the embedded and the standard profile."""


@dataclass(frozen=True)
class Case:
    """A stretch of footage: seconds from its beginning, and whose sound it is given instead of its own."""

    clip: str
    start: Fraction
    seconds: int
    sound: str | None = None


STATEMENT = Case("multi/statement_2visible_1speaks.mp4", Fraction(2), 3)
MASK = Case("multi/lateshow_host_and_mask.mp4", Fraction(5), 3)
SILENT = Case("silent_faces/liveportrait_d18.mp4", Fraction(0), 2, sound="single/wda_aoc.mp4")
STAND_UP = Case("multi/standup_2men_overlap.mp4", Fraction(6), 6)
MIXED = Case("single/l2l_face_vs_foreign_voice_mix.mp4", Fraction(0), 10)
DUBBED = Case("single/l2l_dubbed_voiceover.mp4", Fraction(0), 13)


def heard(path: Path, start: Fraction, seconds: int) -> Array:
    sound = read_sound(path)
    assert sound is not None
    return sound.part(sound.start + start, sound.start + start + seconds).mono()


@cache
def solved(media: Path, case: Case) -> dict[str, Joint]:
    """Solve one shot by both scorers; faces in view for a second or more are people, from left to right."""
    path = media / case.clip
    grid = Grid(probe(path).start + case.start, 25 * case.seconds)
    wave_S = heard(media / (case.sound or case.clip), case.start, case.seconds)
    tracks = [t for t in YuNetTracker().track(grid_frames(path, grid)) if len(t.score_T) >= 25]
    tracks.sort(key=lambda t: float(t.xyxy_T4[:, 0].mean()))
    people = [replace(t, identity=f"P{n}") for n, t in enumerate(tracks)]
    voices = SegmentationEcapa().diarize(wave_S)
    scores = scores_of(path, grid, people, wave_S)
    names = [p.identity or "" for p in people]
    return {
        scorer: solve(
            [ShotView(grid, people, scores[scorer])], names, voices, grid.start,
            JointConfig(binder=fitted_binder(scorer), fusion=fitted(scorer)),
        )
        for scorer in SCORERS
    }  # fmt: skip


def scores_of(
    path: Path, grid: Grid, tracks: list[FaceTrack], wave_S: Array
) -> dict[str, list[SpeakingScores]]:
    """Score the tracks by both scorers in one pass over the frames."""
    pixels, lips = LrAsd().watch(tracks, wave_S), LipNet().watch(tracks, wave_S)
    for frame_HWC, number, row in visits(grid_frames(path, grid), tracks):
        pixels.see(frame_HWC, number, row)
        lips.see(frame_HWC, number, row)
    by_lips, both = lips.scores(), JointScorer()
    joined = [both.join(t, p, n) for t, p, n in zip(tracks, pixels.scores(), by_lips, strict=True)]
    return dict(zip(SCORERS, (by_lips, joined), strict=True))


def speaks(joint: Joint) -> list[float]:
    """Return the share of frames in which each person speaks."""
    return [float((row[np.isfinite(row)] > 0.5).mean()) for row in joint.speaking[0]]


@pytest.mark.parametrize("scorer", SCORERS)
def test_of_two_men_in_view_the_one_who_speaks_owns_the_voice(shared_media: Path, scorer: str) -> None:
    joint = solved(shared_media, STATEMENT)[scorer]
    assert {b.identity for b in joint.bindings} == {"P1"}
    behind, front = speaks(joint)
    assert behind < 0.05
    assert front > 0.5


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("case", [MASK, SILENT], ids=["a guest in a mask", "a foreign voice"])
def test_a_silent_face_owns_no_voice_and_does_not_speak(shared_media: Path, case: Case, scorer: str) -> None:
    joint = solved(shared_media, case)[scorer]
    assert joint.voices is not None
    assert sum(t.end_s - t.start_s for t in joint.voices.turns) > 1
    assert {b.identity for b in joint.bindings} == {None}
    assert max(speaks(joint)) < 0.05


@pytest.mark.parametrize("scorer", SCORERS)
def test_two_men_who_talk_over_each_other_both_speak(shared_media: Path, scorer: str) -> None:
    joint = solved(shared_media, STAND_UP)[scorer]
    assert min(speaks(joint)) > 0.1


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("case", [MIXED, DUBBED], ids=["a foreign voice mixed in", "an interpreter"])
def test_a_face_under_two_voices_all_through_owns_none_for_sure(
    shared_media: Path, case: Case, scorer: str
) -> None:
    joint = solved(shared_media, case)[scorer]
    assert len(joint.bindings) > 1
    assert {b.identity for b in joint.bindings} == {None}

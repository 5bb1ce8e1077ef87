"""lip-net with the weights that come with mitds, on real faces and voices; and real footage turned into takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from mitds.annotators.asd.lip_net import LipNet, steady
from mitds.annotators.asd.lip_net_features import KEPT, PATCH_HW
from mitds.annotators.asd.rows import visits
from mitds.annotators.asd.teach.footage import Clip, Studio
from mitds.annotators.faces.tracker import YuNetTracker
from mitds.manifests.records import FaceTrack, SpeakingScores
from mitds.media import grid_frames, probe, read_sound
from mitds.time import Grid
from mitds.weights import resolve

pytestmark = pytest.mark.media


@dataclass(frozen=True)
class Scene:
    """Two men in view; the one in front, on the right, speaks. Their faces are looked at once."""

    scorer: LipNet
    tracks: list[FaceTrack]
    points: list[np.ndarray]
    patches: list[np.ndarray]
    wave_S: np.ndarray

    def score(self, wave_S: np.ndarray) -> list[SpeakingScores]:
        """Return the scores of the man behind and of the man in front, under a sound."""
        sound = self.scorer.listen(wave_S, max(track.last for track in self.tracks) + 1)
        seen = zip(self.tracks, self.points, self.patches, strict=True)
        return [self.scorer.judge(*face, sound) for face in seen]


@pytest.fixture(scope="module")
def statement() -> Scene:
    path = resolve("media.statement")
    about = probe(path)
    grid = Grid.over(about.start + 2, about.start + about.duration)
    sound = read_sound(path)
    assert sound is not None
    tracks = [track for track in YuNetTracker().track(grid_frames(path, grid)) if len(track.score_T) > 100]
    tracks.sort(key=lambda track: float(track.xyxy_T4[:, 0].mean()))
    assert len(tracks) == 2
    scorer = LipNet()
    points = [np.full((len(t.score_T), len(KEPT), 3), np.nan, np.float32) for t in tracks]
    patches = [np.zeros((len(t.score_T), *PATCH_HW), np.uint8) for t in tracks]
    for frame_HWC, n, row in visits(grid_frames(path, grid), tracks):
        box_4, marks_52 = steady(tracks[n].xyxy_T4)[row], steady(tracks[n].landmarks_T52)[row]
        points[n][row], patches[n][row] = scorer.look(frame_HWC, box_4, marks_52)
    return Scene(scorer, tracks, points, patches, sound.part(grid.start, grid.end).mono())


def test_the_man_in_front_speaks_and_the_one_behind_listens(statement: Scene) -> None:
    behind, front = statement.score(statement.wave_S)
    frames = min(len(front.logit_T), len(behind.logit_T))
    heard_T = front.probability_T[:frames] > 0.4
    assert heard_T.mean() > 0.3
    assert (front.logit_T[:frames] > behind.logit_T[:frames])[heard_T].mean() > 0.95
    assert np.nanmean(behind.probability_T) < 0.6 * np.nanmean(front.probability_T)
    np.testing.assert_array_equal(front.logit_T, statement.score(statement.wave_S)[1].logit_T)


def test_nobody_speaks_in_a_hush(statement: Scene) -> None:
    hush = np.random.default_rng(1).normal(0, 1e-4, len(statement.wave_S)).astype(np.float32)
    for said in statement.score(hush):
        assert np.nanmean(said.probability_T) < 0.15


def test_a_face_scores_lower_with_its_own_sound_a_second_late(statement: Scene) -> None:
    own, late = (statement.score(np.roll(statement.wave_S, by))[1].logit_T for by in (0, 16_000))
    assert np.nanmean(np.sort(late)[-50:]) < np.nanmean(np.sort(own)[-50:]) - 0.5


def test_frames_and_tracks_become_scores(statement: Scene) -> None:
    path = resolve("media.statement")
    start = probe(path).start + 2
    track = statement.tracks[1]
    short = FaceTrack(
        track=track.track, first=track.first, xyxy_T4=track.xyxy_T4[:30], score_T=track.score_T[:30],
        landmarks_T52=track.landmarks_T52[:30], detected_T=track.detected_T[:30], embedding_D=None,
    )  # fmt: skip
    frames = track.first + 30
    wave_S = statement.wave_S[: frames * 640]
    (score,) = statement.scorer.score(grid_frames(path, Grid(start, frames)), [short], wave_S)
    assert len(score.logit_T) == 30
    assert np.isfinite(score.logit_T).all()


def test_footage_of_one_speaker_becomes_labelled_takes() -> None:
    clip = Clip(name="introduction", path=resolve("media.introduction"), kind="speaker", seconds=4)
    (take,) = Studio(None).takes(clip)
    assert take.clip == "introduction"
    assert 95 <= take.frames <= 100
    assert len(take.power_FM) == 4 * take.frames
    assert len(take.own_T) == len(take.speech_T) == take.frames
    speaking_T, silent_T = take.own_T == 1, take.own_T == 0
    assert 0.3 < speaking_T.mean() < 1
    speed_T = np.abs(np.gradient(take.lip_TC[:, 0]))
    assert speed_T[speaking_T].mean() > 1.5 * speed_T[silent_T].mean()

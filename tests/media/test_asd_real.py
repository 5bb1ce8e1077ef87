"""Active speaker detection with the published weights on real faces and voices."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from mitds.annotators.asd import lr_asd_net
from mitds.annotators.asd.joint import JointScorer
from mitds.annotators.asd.lip_motion import LipMotion
from mitds.annotators.asd.lr_asd import PARTS, LrAsd, LrAsdConfig, exported
from mitds.annotators.asd.mfcc import mfcc
from mitds.annotators.contracts import SpeakerScorer
from mitds.annotators.faces.tracker import YuNetTracker
from mitds.annotators.runtime import onnx_session
from mitds.manifests.records import FaceTrack, SpeakingScores
from mitds.media import grid_frames, probe, read_sound
from mitds.time import Grid
from mitds.weights import resolve

pytestmark = pytest.mark.media

BACKENDS: dict[str, Callable[[], SpeakerScorer]] = {
    "lr-asd": LrAsd,
    "lip-motion": LipMotion,
    "lr-asd-lip-net": JointScorer,
}


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest) -> Callable[[], SpeakerScorer]:
    """Each backend in turn."""
    if request.param != "lip-motion":
        request.getfixturevalue("lr_asd_weights")
    return BACKENDS[request.param]


needs_lr_asd = pytest.mark.usefixtures("lr_asd_weights")

# The authors' network and python_speech_features on `waves` and `stripes`: log odds of five of 48 frames.
AUTHORS_LOGITS = {0: -6.9060, 7: -8.1091, 20: -8.0905, 33: -8.6483, 47: -6.0475}


@dataclass(frozen=True)
class Scene:
    """A video with everything a scorer is given."""

    path: Path
    grid: Grid
    wave_S: np.ndarray
    tracks: list[FaceTrack]

    def score(self, scorer: SpeakerScorer, wave_S: np.ndarray | None = None) -> list[SpeakingScores]:
        return scorer.score(
            grid_frames(self.path, self.grid), self.tracks, self.wave_S if wave_S is None else wave_S
        )


def wave_of(path: Path, grid: Grid) -> np.ndarray:
    sound = read_sound(path)
    assert sound is not None
    return sound.part(grid.start, grid.end).mono()


@pytest.fixture(scope="module")
def statement() -> Scene:
    """Two men; the front one, whose face is larger, speaks two thirds of the time."""
    path = resolve("media.statement")
    found = probe(path)
    grid = Grid.over(found.start, found.start + found.duration)
    tracks = YuNetTracker().track(grid_frames(path, grid))
    return Scene(path, grid, wave_of(path, grid), [t for t in tracks if len(t.score_T) >= 50])


def side(track: FaceTrack) -> float:
    return float((track.xyxy_T4[:, 3] - track.xyxy_T4[:, 1]).mean())


def mean_probability(scene: Scene, scores: list[SpeakingScores], *, front: bool) -> float:
    middle = (max(map(side, scene.tracks)) + min(map(side, scene.tracks))) / 2
    chosen = [s for t, s in zip(scene.tracks, scores, strict=True) if (side(t) > middle) == front]
    return float(np.nanmean(np.concatenate([s.probability_T for s in chosen])))


def test_the_man_who_speaks_scores_above_the_one_behind_him(
    make: Callable[[], SpeakerScorer], statement: Scene
) -> None:
    scores = statement.score(make())
    assert mean_probability(statement, scores, front=True) > 0.35
    assert mean_probability(statement, scores, front=False) < 0.1


def test_without_a_voice_nobody_speaks(make: Callable[[], SpeakerScorer], statement: Scene) -> None:
    hiss_S = np.random.default_rng(1).standard_normal(len(statement.wave_S)).astype(np.float32) * 1e-4
    scores = statement.score(make(), hiss_S)
    assert max(np.nanmean(s.probability_T) for s in scores) < 0.1


def test_a_frozen_face_does_not_speak(make: Callable[[], SpeakerScorer], statement: Scene) -> None:
    first_HWC = next(iter(grid_frames(statement.path, statement.grid)))
    front = max((t for t in statement.tracks if t.first == 0), key=side)
    still = FaceTrack(
        track=0,
        first=0,
        xyxy_T4=np.repeat(front.xyxy_T4[:1], 150, axis=0),
        score_T=np.ones(150, np.float32),
        landmarks_T52=np.repeat(front.landmarks_T52[:1], 150, axis=0),
        detected_T=np.ones(150, bool),
        embedding_D=None,
    )
    (score,) = make().score([first_HWC] * 150, [still], statement.wave_S)
    assert np.nanmean(score.probability_T) < 0.25


def waves() -> np.ndarray:
    t = np.arange(3 * 16_000) / 16_000
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    return (0.3 * np.sin(2 * np.pi * (200 * t + 300 * t * t)) * swell).astype(np.float32)


def stripes() -> np.ndarray:
    y, x = np.mgrid[:112, :112]
    pictures = [128 + 100 * np.sin(x / 9 + t * 0.7) * np.cos(y / (11 + 3 * np.sin(t))) for t in range(48)]
    return np.stack(pictures).round().astype(np.float32)


@needs_lr_asd
def test_network_gives_the_authors_scores() -> None:
    net = lr_asd_net.load(resolve("asd.lr_asd"))
    visual, audio, backend = (net.part(part) for part in PARTS)
    with torch.no_grad():
        sound_BTD = audio(torch.from_numpy(mfcc(waves(), 192))[None])
        logit_T = backend(sound_BTD, visual(torch.from_numpy(stripes())[None]))[0].numpy()
    for frame, logit in AUTHORS_LOGITS.items():
        assert logit_T[frame] == pytest.approx(logit, abs=1e-3)


@needs_lr_asd
def test_exported_graphs_compute_what_torch_computes() -> None:
    net = lr_asd_net.load(resolve("asd.lr_asd"))
    inputs = {"visual": stripes()[None, :30], "audio": mfcc(waves(), 120)[None]}
    for part, value in inputs.items():
        with torch.no_grad():
            expected = net.part(part)(torch.from_numpy(value)).numpy()
        (got,) = onnx_session(exported(part)).run(None, {"x0": value})
        assert np.abs(got - expected).max() < 1e-5
        inputs[part] = expected
    with torch.no_grad():
        logit_BT = net.part("backend")(*(torch.from_numpy(inputs[p]) for p in ("audio", "visual"))).numpy()
    (got,) = onnx_session(exported("backend")).run(None, {"x0": inputs["audio"], "x1": inputs["visual"]})
    assert np.abs(got - logit_BT).max() < 1e-5


@needs_lr_asd
def test_chunks_do_not_show_in_the_scores(statement: Scene) -> None:
    small, whole = (statement.score(LrAsd(LrAsdConfig(chunk=chunk))) for chunk in (25, 1000))
    for a, b in zip(small, whole, strict=True):
        np.testing.assert_allclose(a.logit_T, b.logit_T, atol=1e-4)


def truth_of(labels: Path, width: int, height: int, last: int) -> tuple[list[FaceTrack], list[np.ndarray]]:
    """Read AVA-style rows of the frames up to `last` as one track a face."""
    rows: dict[str, list[tuple[int, list[float], bool]]] = {}
    with labels.open() as file:
        for row in csv.DictReader(file):
            frame = round(float(row["frame_timestamp"]) * 25)
            box = [float(row[f"entity_box_{c}"]) for c in ("x1", "y1", "x2", "y2")]
            if frame <= last:
                rows.setdefault(row["entity_id"], []).append((frame, box, row["label"] == "SPEAKING_AUDIBLE"))
    tracks, speaks = [], []
    for number, seen in enumerate(rows.values()):
        xyxy_T4 = np.array([box for _, box, _ in seen], np.float32) * np.float32(
            [width, height, width, height]
        )
        tracks.append(
            FaceTrack(
                track=number,
                first=seen[0][0],
                xyxy_T4=xyxy_T4,
                score_T=np.ones(len(seen), np.float32),
                landmarks_T52=np.full((len(seen), 5, 2), np.nan, np.float32),
                detected_T=np.ones(len(seen), bool),
                embedding_D=None,
            )
        )
        speaks.append(np.array([label for *_, label in seen]))
    return tracks, speaks


def average_precision(speaks: np.ndarray, score: np.ndarray) -> float:
    hits = speaks[np.argsort(-score, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


@pytest.mark.shared
def test_speakers_of_a_composite_with_exact_truth_are_found(
    make: Callable[[], SpeakerScorer], shared_media: Path
) -> None:
    """Frozen listeners, two shots, 417 frames; measured .99 for LR-ASD and .93 for lip motion."""
    name = shared_media / "composite" / "composite_seed202"
    path, grid = name.with_suffix(".mp4"), Grid(Fraction(0), 417)
    tracks, speaks = truth_of(name.with_suffix(".asd.csv"), 1280, 720, 416)
    scores = make().score(grid_frames(path, grid), tracks, wave_of(path, grid))
    ap = average_precision(np.concatenate(speaks), np.concatenate([s.logit_T for s in scores]))
    assert ap > {"lr-asd": 0.97, "lip-motion": 0.85, "lr-asd-lip-net": 0.97}[make().name]

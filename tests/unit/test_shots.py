"""Shot detection on made-up pictures: the contract, cuts as times, and shots without gap or overlap."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from mitds.annotators.contracts import Cut
from mitds.annotators.shots import transnetv2
from mitds.annotators.shots.cuts import spaced
from mitds.annotators.shots.pyscenedetect import PySceneDetect, PySceneDetectConfig
from mitds.annotators.shots.segment import detect_shots
from mitds.annotators.shots.transnet_net import TransNet
from mitds.annotators.shots.transnetv2 import TransNetV2, TransNetV2Config
from mitds.errors import Undecodable
from mitds.media import Picture, write_video


class MeanJump(torch.nn.Module):
    """Stands in for the network: certain of the last frame before the mean level jumps."""

    def forward(self, frames_BTHWC: torch.Tensor) -> torch.Tensor:
        level_BT = frames_BTHWC.float().mean(dim=(2, 3, 4))
        jump_BT = (level_BT[:, 1:] - level_BT[:, :-1]).abs()
        return torch.nn.functional.pad(jump_BT, (0, 1)) - 25


def fake_transnet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TransNetV2:
    weights = tmp_path / "empty.pth"
    torch.save({}, weights)
    monkeypatch.setattr(transnetv2, "resolve", lambda name: weights)
    monkeypatch.setattr(transnetv2, "TransNet", MeanJump)
    return TransNetV2()


Detector = PySceneDetect | TransNetV2


@pytest.fixture(params=["pyscenedetect", "transnetv2"])
def detector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Detector:
    return PySceneDetect() if request.param == "pyscenedetect" else fake_transnet(monkeypatch, tmp_path)


def scene(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    base = rng.integers(0, 60, (9, 16, 3)) + 70 * (number % 3)
    return base.astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)


def film(times: Iterable[Fraction], cuts: Iterable[int]) -> Iterator[Picture]:
    """Yield pictures of which those at the indices `cuts` open a new scene."""
    opens, number = set(cuts), 0
    for index, pts in enumerate(times):
        number += index in opens
        jitter = np.random.default_rng(index).integers(0, 3, (36, 64, 3), np.uint8)
        yield Picture(pts, index, scene(number) + jitter)


def steady(count: int, fps: int = 25) -> list[Fraction]:
    return [Fraction(k, fps) for k in range(count)]


def test_contract_cuts_are_the_times_of_the_first_frames(detector: Detector) -> None:
    assert detector.name in ("pyscenedetect", "transnetv2")
    found = detector.detect(film(steady(200), [40, 99, 100 + 51]))
    assert [(c.frame, c.pts) for c in found] == [(k, Fraction(k, 25)) for k in (40, 99, 151)]
    assert all(isinstance(c.pts, Fraction) and isinstance(c.score, float) and c.score > 0 for c in found)


def test_contract_cuts_are_exact_where_the_rate_varies(detector: Detector) -> None:
    """20 s at 30 fps, then 10 fps: a cut by frame number over the average rate would be seconds off."""
    times = [Fraction(k, 30) for k in range(150)] + [5 + Fraction(k, 10) for k in range(50)]
    assert [c.pts for c in detector.detect(film(times, [150]))] == [Fraction(5)]


def test_contract_late_starts_and_no_cuts(detector: Detector) -> None:
    late = [Fraction(7, 3) + t for t in steady(60)]
    assert [c.pts for c in detector.detect(film(late, [30]))] == [Fraction(7, 3) + Fraction(30, 25)]
    assert detector.detect(film(steady(60), [])) == []
    assert detector.detect(film(steady(1), [])) == []
    assert detector.detect(iter(())) == []


def test_contract_same_pictures_same_cuts(detector: Detector) -> None:
    first, second = (detector.detect(film(steady(150), [50, 90])) for _ in range(2))
    assert first == second


def test_contract_pictures_are_taken_one_by_one(detector: Detector) -> None:
    """A long video must not gather in memory."""
    alive, most = 0, 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def stream() -> Iterator[Picture]:
        nonlocal alive, most
        for picture in film(steady(400), [200]):
            weakref.finalize(picture.frame_HWC, gone)
            alive += 1
            most = max(most, alive)
            yield picture

    assert len(detector.detect(stream())) == 1
    assert most <= 10


def test_spaced_drops_what_follows_too_closely() -> None:
    cuts = [Cut(Fraction(t, 10), t, 1.0) for t in (3, 6, 8, 11, 12, 18)]
    assert [c.frame for c in spaced(cuts, Fraction(0), 0.6)] == [6, 12, 18]
    assert list(spaced(cuts, Fraction(0), 0.0)) == cuts


def test_short_shots_are_merged_by_seconds_not_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    at_50_fps = PySceneDetect().detect(film(steady(200, 50), [60, 85, 120]))
    assert [c.frame for c in at_50_fps] == [60, 120]
    free = PySceneDetect(PySceneDetectConfig(min_shot_s=0.0)).detect(film(steady(200, 50), [60, 85, 120]))
    assert [c.frame for c in free] == [60, 85, 120]


def with_scores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scores: list[float]
) -> list[tuple[int, float]]:
    detector = fake_transnet(monkeypatch, tmp_path)
    detector.config = TransNetV2Config(min_shot_s=0.0)
    monkeypatch.setattr(
        detector, "_probabilities", lambda frames: [s for _, s in zip(frames, scores, strict=True)]
    )
    return [(c.frame, c.score) for c in detector.detect(film(steady(len(scores)), []))]


def test_a_gradual_transition_is_one_cut_after_its_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scores = [0.1, 0.2, 0.6, 0.9, 0.7, 0.1, 0.0, 0.5, 0.4, 0.8]
    assert with_scores(monkeypatch, tmp_path, scores) == [(5, 0.9), (8, 0.5)]


@pytest.mark.parametrize("count", [1, 26, 49, 50, 51, 75, 100, 101, 149, 150, 151, 260])
def test_windows_cover_each_frame_once_with_its_context(count: int) -> None:
    frames = [np.full((1, 1, 3), k % 256, np.uint8) for k in range(count)]
    middle: list[int] = []
    for window_THWC, wanted in transnetv2._windows(iter(frames)):
        assert window_THWC.shape == (100, 1, 1, 3)
        start = len(middle) - 25
        expected = [min(max(k, 0), count - 1) % 256 for k in range(start, start + 100)]
        assert window_THWC[:, 0, 0, 0].tolist() == expected
        middle += window_THWC[25 : 25 + wanted, 0, 0, 0].tolist()
    assert middle == [k % 256 for k in range(count)]


def test_the_network_has_the_published_shape_and_sees_colour_change() -> None:
    torch.manual_seed(0)
    net = TransNet().eval()
    assert sum(p.numel() for p in net.parameters()) == 7_616_258
    frames = torch.zeros(2, 20, 27, 48, 3, dtype=torch.uint8)
    frames[1, 10:] = 200
    with torch.inference_mode():
        logit_BT = net(frames)
    assert logit_BT.shape == (2, 20)
    assert not torch.allclose(logit_BT[0, 5:15], logit_BT[1, 5:15])


class Fixed:
    """A detector with a fixed answer that looks at every picture."""

    name, max_side = "fixed", 32

    def __init__(self, cuts: Callable[[list[Picture]], list[Cut]]) -> None:
        self.cuts = cuts
        self.passes = 0

    def detect(self, pictures: Iterable[Picture]) -> list[Cut]:
        self.passes += 1
        return self.cuts(list(pictures))


def test_shots_tile_the_video(tmp_path: Path) -> None:
    times = [Fraction(n, 100) for n in (0, 4, 8, 20, 24, 30, 34)]
    frames = ((t, np.zeros((48, 64, 3), np.uint8)) for t in times)
    write_video(tmp_path / "a.mp4", frames, end=Fraction(4, 10))
    detector = Fixed(lambda seen: [Cut(seen[k].pts, k, 0.5 + k) for k in (2, 5)])
    shots = detect_shots(tmp_path / "a.mp4", detector, source_id="0123456789abcdef" * 4)
    assert detector.passes == 1
    assert [s.key for s in shots] == [f"0123456789abcdef-s{k:04d}" for k in range(3)]
    assert [(s.start, s.end) for s in shots] == [
        (Fraction(0), Fraction(8, 100)),
        (Fraction(8, 100), Fraction(30, 100)),
        (Fraction(30, 100), Fraction(40, 100)),
    ]
    assert [(s.first_frame, s.frames, s.cut_score) for s in shots] == [(0, 2, None), (2, 3, 2.5), (5, 2, 5.5)]
    assert {s.detector for s in shots} == {"fixed"}


def test_pictures_come_at_the_size_a_detector_asks_for(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [(Fraction(0), np.zeros((48, 64, 3), np.uint8))])
    sizes: list[tuple[int, ...]] = []
    detector = Fixed(lambda seen: sizes.extend(p.frame_HWC.shape for p in seen) or [])
    (shot,) = detect_shots(tmp_path / "a.mp4", detector, source_id="ab" * 32)
    assert sizes == [(24, 32, 3)]
    assert (shot.frames, shot.start) == (1, 0)


def test_an_undecodable_video_is_an_error_not_an_empty_shot(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, [(Fraction(k, 25), np.zeros((16, 16, 3), np.uint8)) for k in range(3)])
    data = path.read_bytes()
    at = data.index(b"mdat") + 4
    path.write_bytes(data[:at] + b"\xff" * (len(data) - at))
    with pytest.raises(Undecodable):
        detect_shots(path, PySceneDetect(), source_id="ab" * 32)

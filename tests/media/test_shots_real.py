"""Both detectors with real weights on real video, scored against cut lists made by eye or by construction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from mitds.annotators.registries import SHOTS
from mitds.annotators.shots.segment import detect_shots
from mitds.annotators.shots.transnetv2 import TransNetV2
from mitds.media import Picture, pictures, write_video
from mitds.weights import resolve

pytestmark = pytest.mark.media

NAMES = ["pyscenedetect", "transnetv2"]
TOLERANCE = 2


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def found(path: Path, name: str) -> list[int]:
    shots = detect_shots(path, SHOTS.get(name)(), source_id="0" * 64)
    for shot, following in pairwise(shots):
        assert shot.end == following.start
        assert shot.first_frame + shot.frames == following.first_frame
    return [s.first_frame for s in shots[1:]]


def f1(cases: Iterable[tuple[list[int], list[int], list[list[int]]]]) -> float:
    """Pool (found, hard, soft) cut lists; cuts inside a soft transition are neither right nor wrong."""
    right = wrong = truth = 0
    for cuts, hard, soft in cases:
        free = set(cuts)
        for cut in hard:
            match = min((c for c in free if abs(c - cut) <= TOLERANCE), default=None)
            free -= {match}
            right += match is not None
        wrong += sum(not any(a - TOLERANCE <= c <= b + TOLERANCE for a, b in soft) for c in free)
        truth += len(hard)
    return 2 * right / (2 * right + wrong + truth - right)


def test_the_news_item_has_its_cuts() -> None:
    """About ten cuts in the demo clip that the package index carries."""
    cuts = found(resolve("media.interview"), "pyscenedetect")
    assert 9 <= len(cuts) <= 12


@pytest.mark.parametrize("name", NAMES)
def test_a_single_shot_stays_whole(name: str) -> None:
    path = resolve("media.statement")
    (shot,) = detect_shots(path, SHOTS.get(name)(), source_id="ab" * 32)
    seen = list(pictures(path, max_side=32))
    assert (shot.start, shot.frames, shot.cut_score) == (seen[0].pts, len(seen), None)
    assert shot.end > seen[-1].pts


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_at_a_change_of_rate_is_exact(name: str, tmp_path: Path) -> None:
    """5 s of one clip at 30 fps, then 5 s of another at 10 fps, through a real file."""
    first = [p.frame_HWC for p in pictures(resolve("media.introduction"), max_side=320)][:100]
    second = [p.frame_HWC for p in pictures(resolve("media.statement"), max_side=320)][:50]
    times = [Fraction(k, 30) for k in range(100)] + [Fraction(10, 3) + Fraction(k, 10) for k in range(50)]
    write_video(tmp_path / "vfr.mp4", zip(times, first + second, strict=True))
    shots = detect_shots(tmp_path / "vfr.mp4", SHOTS.get(name)(), source_id="ab" * 32)
    assert [s.start for s in shots] == [0, Fraction(10, 3)]


def test_transnetv2_streams_the_same_probabilities_as_one_pass_over_padded_windows() -> None:
    detector = TransNetV2()
    seen: list[Picture] = list(pictures(resolve("media.interview"), max_side=320))[:160]
    from mitds.annotators.shots.transnetv2 import _small

    whole = list(detector._probabilities(_small(seen, [])))
    with torch.inference_mode():
        frames = torch.stack([torch.from_numpy(f) for f in _small(seen, [])])
        alone = torch.sigmoid(detector._net(frames[None, 25:125]))[0, 25:75]
    assert len(whole) == 160
    assert whole[50:100] == pytest.approx(alone.tolist(), abs=1e-5)


@pytest.mark.shared
def test_a_composite_against_its_construction(shared_media: Path) -> None:
    truth = shared_media / "composite" / "composite_seed202.cuts.txt"
    hard = [int(line.split()[0]) for line in truth.read_text().splitlines() if line.strip()]
    assert f1([(found(truth.with_name("composite_seed202.mp4"), "pyscenedetect"), hard, [])]) == 1


@pytest.mark.shared
@pytest.mark.parametrize(("name", "least"), [("pyscenedetect", 0.98), ("transnetv2", 0.98)])
def test_real_clips_against_cuts_seen_by_eye(name: str, least: float, shared_media: Path) -> None:
    truth = json.loads((shared_media / "ground_truth" / "cuts.json").read_text())
    slow = ("guardian", "office") if name == "transnetv2" else ()  # minutes on one core
    cases = [
        (found(shared_media / clip, name), cuts["hard"], [s[:2] for s in cuts.get("soft", [])])
        for clip, cuts in truth.items()
        if not clip.startswith("_") and not any(word in clip for word in slow)
    ]
    assert f1(cases) >= least

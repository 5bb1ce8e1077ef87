"""FVD, MMD and FID on real footage: proof rows, degradation ladders, and bits that nothing moves."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mitds.benchmark.contracts import Arrays, Scene, SetScore
from mitds.benchmark.footage import Footage, Frames, read_footage
from mitds.benchmark.judges import i3d, inception
from mitds.benchmark.metrics.fid import Fid
from mitds.benchmark.metrics.fvd import Fvd, Mmd
from mitds.benchmark.proofs.features import formula, proofs
from mitds.weights import resolve

pytestmark = pytest.mark.media

Damage = Callable[[Frames], Frames]
LENGTH = 32


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")


@functools.cache
def videos() -> list[Footage]:
    """Six videos of 32 frames at half size: three of a woman at a podium, three of a man who introduces himself."""
    files = [read_footage(resolve(f"media.{name}")).frames_THWC for name in ("podium", "introduction")]
    return [
        Footage(frames[start : start + LENGTH, ::2, ::2].copy()) for frames in files for start in (0, 48, 96)
    ]


@functools.cache
def _observed(metric: type[Any], damage: Damage | None) -> list[Arrays]:
    outputs = videos() if damage is None else [Footage(damage(video.frames_THWC)) for video in videos()]
    both = zip(videos(), outputs, strict=True)
    return [metric().observe(Scene(id="", real=real), output) for real, output in both]


def seen(metric: type[Any], damage: Damage | None = None) -> list[Arrays]:
    return _observed(Fvd if metric is Mmd else metric, damage)  # one judge looks for both


def score(metric: type[Any], damage: Damage | None = None) -> SetScore:
    found: SetScore = metric().reduce(seen(metric), seen(metric, damage))
    return found


@functools.cache
def blur(sigma: float) -> Damage:
    return lambda frames: np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])


@functools.cache
def noise(sigma: float) -> Damage:
    def add(frames: Frames) -> Frames:
        grain = np.random.default_rng(0).normal(0, sigma, frames.shape)
        return np.clip(frames + grain, 0, 255).astype(np.uint8)

    return add


@functools.cache
def dropped(step: int) -> Damage:
    """Hold each `step`-th frame in the place of those that follow."""
    return lambda frames: frames[np.arange(len(frames)) // step * step]


@functools.cache
def jpeg(quality: int) -> Damage:
    def through(frame: NDArray[Any]) -> NDArray[Any]:
        return cv2.imdecode(
            cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
        )

    return lambda frames: np.stack([through(frame) for frame in frames])


def grey(frames: Frames) -> Frames:
    return np.full_like(frames, 128)


LADDERS: dict[str, list[Damage]] = {
    "blur": [blur(sigma) for sigma in (1, 2, 4, 8)],
    "noise": [noise(sigma) for sigma in (5, 15, 45)],
    "jpeg": [jpeg(quality) for quality in (50, 10)],
    "dropped frames": [dropped(step) for step in (2, 4, 8)],
}
SEES_TIME = [(metric, name) for metric in (Fvd, Mmd) for name in LADDERS]
SEES_PICTURES = [(Fid, name) for name in LADDERS if name != "dropped frames"]


def test_every_proof_row_holds() -> None:
    assert [row for row in proofs() if not row.holds] == []


@pytest.mark.parametrize(("metric", "name"), SEES_TIME + SEES_PICTURES)
def test_more_damage_is_a_larger_distance(metric: type[Any], name: str) -> None:
    values = [score(metric, damage).value for damage in (None, *LADDERS[name])]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("metric", [Fvd, Mmd, Fid])
def test_real_footage_is_at_0_and_grey_is_far(metric: type[Any]) -> None:
    real, uniform = score(metric), score(metric, grey)
    assert real.value == pytest.approx(0, abs=1e-6)
    assert uniform.value > score(metric, blur(4)).value
    assert np.isfinite(uniform.detail["floor_halves"])


def test_small_n_is_named() -> None:
    assert score(Fvd).detail["note"].startswith("n=12 < 400")
    assert score(Fid).detail["note"].startswith("n=12 < 2048")


@pytest.mark.parametrize("metric", [Fvd, Mmd, Fid])
def test_order_of_files_moves_no_bit(metric: type[Any]) -> None:
    order = np.random.default_rng(0).permutation(6)
    real, output = ([arrays[k] for k in order] for arrays in (seen(metric), seen(metric, blur(2))))
    assert metric().reduce(real, output) == score(metric, blur(2))


def test_a_window_does_not_depend_on_what_it_is_looked_at_with() -> None:
    whole = seen(Fvd)[0]["logits_ND"]
    alone = i3d.windows(Footage(videos()[0].frames_THWC[16:].copy()))["logits_ND"]
    np.testing.assert_array_equal(alone[0], whole[1])
    drawn = videos()[0].sample(inception.STEP)
    np.testing.assert_array_equal(
        inception.pool(videos()[0].frames_THWC[drawn[1]]), seen(Fid)[0]["pool_ND"][1]
    )


def test_bits_are_the_same_in_another_process_with_other_threads() -> None:
    code = (
        "import sys; from mitds.benchmark.judges import i3d, inception;"
        "from mitds.benchmark.proofs.features import formula; frames = formula();"
        "sys.stdout.write(i3d.logits(frames).tobytes().hex() + inception.pool(frames[0]).tobytes().hex())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    frames = formula()
    assert found == i3d.logits(frames).tobytes().hex() + inception.pool(frames[0]).tobytes().hex()

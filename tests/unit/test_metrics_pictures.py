"""PSNR, SSIM and the arithmetic of LPIPS on pictures made here, without weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mitds.benchmark.contracts import Scene
from mitds.benchmark.footage import Footage, Frames
from mitds.benchmark.judges.cache import judge_id
from mitds.benchmark.judges.lpips_net import PLANS, LpipsNet, Plan, weight_name
from mitds.benchmark.metrics import lpips
from mitds.benchmark.metrics.lpips import LpipsAlex, LpipsVgg, lpips_T
from mitds.benchmark.metrics.psnr import CAP_DB, Psnr, mse, psnr_T
from mitds.benchmark.metrics.ssim import Ssim, luma, ssim_T
from mitds.benchmark.proofs.lpips import plain_lpips
from mitds.benchmark.proofs.pictures import HALFWAY, coloured, grey, plain, vectors
from mitds.errors import UsageError

SMALL = Plan(root="Net_0", first=(2, 1), window=3, pooled=(2,), taps=(0, 2, 3), least=16)
"""A network with all that the real ones have: a stride, a pool, a convolution that is not looked at."""


def video(frames: int = 4, seed: int = 0, height: int = 37, width: int = 53) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def disturbed(frames_THWC: Frames, sigma: float = 9) -> Frames:
    noise = np.random.default_rng(7).normal(0, sigma, frames_THWC.shape)
    return np.clip(np.rint(frames_THWC + noise), 0, 255).astype(np.uint8)


def small_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    shapes = [(3, 3, 3, 4), (3, 3, 4, 5), (5, 5, 5, 6), (3, 3, 6, 3)]
    arrays = {
        f"Net_0/Conv_{k}/kernel": random.normal(0, 0.3, shape).astype(np.float32)
        for k, shape in enumerate(shapes)
    }
    arrays |= {
        f"Net_0/Conv_{k}/bias": random.normal(0, 0.1, shape[3]).astype(np.float32)
        for k, shape in enumerate(shapes)
    }
    return arrays | {
        f"NetLinLayer_{k}/Conv_0/kernel": random.random((1, 1, shapes[tap][3], 1), dtype=np.float32)
        for k, tap in enumerate(SMALL.taps)
    }


def test_reference_values_of_the_vectors() -> None:
    a, b = vectors()
    assert mse(a, b) == 23.513427734375
    assert psnr_T(grey(a), grey(b))[0] == pytest.approx(34.41764416659454, abs=1e-12)
    assert ssim_T(grey(a), grey(b))[0] == pytest.approx(0.98573496247455, abs=1e-10)


@pytest.mark.parametrize(
    ("error", "expected"), [(1, 48.130803608679), (2, 42.110203695399), (128, 5.986604215722)]
)
def test_psnr_of_a_constant_error(error: int, expected: float) -> None:
    assert psnr_T(plain(0, 0, 0), plain(error, error, error))[0] == pytest.approx(expected, abs=1e-11)


def test_ssim_of_constant_pictures_is_its_closed_form() -> None:
    assert ssim_T(plain(51, 51, 51), plain(*HALFWAY))[0] == pytest.approx(0.5283908696472, abs=1e-12)
    assert ssim_T(plain(0, 0, 0), plain(255, 255, 255))[0] == pytest.approx(1e-4 / 1.0001, abs=1e-14)


def test_luma_is_bt601_of_red_green_blue_in_this_order() -> None:
    assert luma(np.array([[[100, 0, 0], [0, 100, 0], [0, 0, 100]]], np.uint8))[0] == pytest.approx(
        [29.9, 58.7, 11.4]
    )


@pytest.mark.parametrize("size", [(11, 11), (37, 53), (74, 12), (75, 40), (140, 30)])
def test_ssim_agrees_with_scikit_image_whatever_the_bands(size: tuple[int, int]) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    real = video(1, height=size[0], width=size[1])
    other = disturbed(real, 40)
    expected = metrics.structural_similarity(
        luma(real[0]),
        luma(other[0]),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert ssim_T(real, other)[0] == pytest.approx(expected, abs=1e-12)


def test_identical_footage_scores_the_best_there_is() -> None:
    scene = Scene("x", Footage(video()))
    [psnr], [ssim] = Psnr().score(scene, Footage(video())), Ssim().score(scene, Footage(video()))
    assert (psnr.value, psnr.detail, psnr.n) == (CAP_DB, {"capped": 4}, 4)
    assert (ssim.value, ssim.n) == (1.0, 4)


def test_a_single_wrong_value_in_a_large_frame_counts_as_capped() -> None:
    real = np.zeros((2, 360, 640, 3), np.uint8)
    other = real.copy()
    other[0, 5, 5, 1], other[1] = 1, 3
    [score] = Psnr().score(Scene("x", Footage(real)), Footage(other))
    assert score.detail == {"capped": 1}
    assert score.value == pytest.approx((100 + 20 * np.log10(255 / 3)) / 2)


def test_psnr_is_the_mean_of_frames_not_of_the_pooled_error() -> None:
    real = np.concatenate([plain(0, 0, 0)] * 2)
    other = np.concatenate([plain(1, 1, 1), plain(128, 128, 128)])
    [score] = Psnr().score(Scene("x", Footage(real)), Footage(other))
    assert score.value == pytest.approx((48.130803608679 + 5.986604215722) / 2, abs=1e-11)


@pytest.mark.parametrize("measure", [psnr_T, ssim_T])
def test_each_frame_is_measured_by_itself(measure) -> None:  # type: ignore[no-untyped-def]
    real, other = video(), disturbed(video())
    alone = np.concatenate([measure(real[t : t + 1], other[t : t + 1]) for t in (3, 1, 0, 2)])
    assert np.array_equal(measure(real, other)[[3, 1, 0, 2]], alone)
    assert np.array_equal(measure(real[:, ::1], np.asfortranarray(other)), measure(real, other))


@pytest.mark.parametrize("measure", [psnr_T, ssim_T])
def test_more_noise_is_worse(measure) -> None:  # type: ignore[no-untyped-def]
    real = np.stack([cv2.GaussianBlur(frame, None, 3) for frame in video(1)])
    values = [measure(real, disturbed(real, sigma))[0] for sigma in (1, 2, 4, 8, 16, 32)]
    assert np.all(np.diff(values) < 0)


def test_the_threads_of_opencv_do_not_matter() -> None:
    real, other = video(1, height=200, width=301), disturbed(video(1, height=200, width=301))
    before = cv2.getNumThreads()
    try:
        found = set()
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.add(float(ssim_T(real, other)[0]))
    finally:
        cv2.setNumThreads(before)
    assert len(found) == 1


@pytest.mark.parametrize("metric", [Psnr, Ssim])
@pytest.mark.parametrize(
    "other", [np.full_like(video(), 128), np.repeat(video()[:1], 4, axis=0), video(seed=5)]
)
def test_grey_frozen_and_noise_get_a_finite_value_within_bounds(metric, other: Frames) -> None:  # type: ignore[no-untyped-def]
    for real in (video(), np.full_like(video(), 128)):
        [score] = metric().score(Scene("x", Footage(real)), Footage(other))
        low, high = metric.card.bounds
        assert score.status == "ok"
        assert low <= score.value <= high


def lpips_alex(real: Frames, other: Frames) -> object:
    return lpips_T(real, other, trunk="alex")


@pytest.mark.parametrize("measure", [psnr_T, ssim_T, lpips_alex])
@pytest.mark.parametrize(
    ("real", "other"),
    [
        (video() / 255, video() / 255),
        (video().astype(np.float32), video()),
        (video(), video().astype(np.int16)),
        (video()[0], video()[0]),
        (video()[..., :1], video()[..., :1]),
        (video(), video()[:3]),
        (video(), video()[:, :-2]),
        (video()[:0], video()[:0]),
    ],
    ids=["unit-range", "float", "int16", "no-time", "one-channel", "frames", "size", "empty"],
)
def test_what_is_no_pair_of_8_bit_videos_is_refused(measure, real, other) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as caught:
        measure(real, other)
    assert caught.value.remedy


def test_pictures_too_small_for_the_window_or_the_network_are_refused() -> None:
    assert psnr_T(video(1, height=2, width=2), video(1, height=2, width=2))[0] == CAP_DB
    with pytest.raises(UsageError, match="11x11"):
        ssim_T(video(1, height=10), video(1, height=10))
    with pytest.raises(UsageError, match="31x31"):
        lpips_T(video(1, height=30), video(1, height=30), trunk="alex")


def test_lpips_net_agrees_with_the_definition_written_in_numpy() -> None:
    net = LpipsNet(SMALL, small_weights())
    x, y = video(1)[0], video(1, seed=1)[0]
    expected = plain_lpips(x / 127.5 - 1, y / 127.5 - 1, SMALL, small_weights())
    assert expected > 0.1
    assert net.distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_lpips_net_is_zero_for_equal_pictures_symmetric_and_repeats_itself() -> None:
    net = LpipsNet(SMALL, small_weights())
    x, y = video(1)[0], video(1, seed=1)[0]
    found = net.distance(x, y)
    assert net.distance(x, x) == net.distance(plain(9, 9, 9)[0], plain(9, 9, 9)[0]) == 0
    assert found == net.distance(y, x) == LpipsNet(SMALL, small_weights()).distance(x, y)


def test_lpips_of_pictures_without_any_feature_is_finite() -> None:
    arrays = {name: np.zeros_like(array) for name, array in small_weights().items()}
    assert LpipsNet(SMALL, arrays).distance(video(1)[0], plain(0, 0, 0)[0][:37, :53]) == 0


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, int]]:
    """Stand in for the network: notes which frames (by their first value) it is asked about."""
    pairs: list[tuple[int, int]] = []

    class Net:
        def distance(self, x: Frames, y: Frames) -> float:
            pairs.append((int(x[0, 0, 0]), int(y[0, 0, 0])))
            return float(x[0, 0, 0])

    monkeypatch.setattr(lpips, "lpips_net", lambda trunk: Net())
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path))
    monkeypatch.delenv("MITDS_JUDGE_CACHE", raising=False)
    return pairs


def counting(frames: int, start: int = 0) -> Frames:
    return np.repeat(np.arange(start, start + frames, dtype=np.uint8), 40 * 40 * 3).reshape(frames, 40, 40, 3)


def test_lpips_looks_at_one_frame_of_each_five_that_nobody_can_foresee(asked: list[tuple[int, int]]) -> None:
    [score] = LpipsAlex().score(Scene("x", Footage(counting(12))), Footage(counting(12, 100)))
    first = list(asked)
    assert [y - x for x, y in first] == [100, 100, 100]
    assert [x // 5 for x, _ in first] == [0, 1, 2]
    assert (score.value, score.n) == (np.mean([x for x, _ in first]), 3)
    draws = set()
    for start in range(100, 120):
        asked.clear()
        LpipsAlex().score(Scene("x", Footage(counting(12))), Footage(counting(12, start)))
        draws.add(tuple(x for x, _ in asked))
    assert len(draws) > 5, "another output is looked at on other frames"


def test_distances_are_kept_for_this_pair_and_this_network_only(asked: list[tuple[int, int]]) -> None:
    scene = Scene("x", Footage(counting(1)))
    for metric, start in ((LpipsAlex, 1), (LpipsAlex, 1), (LpipsAlex, 2), (LpipsVgg, 1)):
        metric().score(scene, Footage(counting(1, start)))
    LpipsAlex().score(Scene("y", Footage(counting(1, 50))), Footage(counting(1, 1)))
    assert asked == [(0, 1), (0, 2), (0, 1), (50, 1)]


def test_judge_ids_name_the_weights() -> None:
    assert judge_id("lpips-alex", 1, weight_name("alex")) == "lpips-alex@1:443c5bc3"
    assert set(PLANS) == {LpipsAlex.trunk, LpipsVgg.trunk}


@pytest.mark.parametrize("metric", [Psnr, Ssim, LpipsAlex, LpipsVgg])
def test_cards_are_registered_under_their_id(metric) -> None:  # type: ignore[no-untyped-def]
    from mitds.benchmark.registries import METRICS

    assert METRICS.get(metric.card.id) is metric


def test_channels_are_not_averaged() -> None:
    x, y = coloured()
    assert ssim_T(x, y)[0] != pytest.approx(
        np.mean([ssim_T(grey(x[0, ..., c]), grey(y[0, ..., c]))[0] for c in range(3)])
    )

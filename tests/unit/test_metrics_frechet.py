"""Fréchet distance, MMD, what sets of videos share, and the feature networks without their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mitds.benchmark.footage import Footage
from mitds.benchmark.judges import i3d, i3d_net, inception
from mitds.benchmark.metrics.distances import floor, frechet_score, pooled_frechet
from mitds.benchmark.metrics.fid import Fid
from mitds.benchmark.metrics.frechet import frechet, frechet_of_moments, moments
from mitds.benchmark.metrics.fvd import Fvd, Mmd
from mitds.benchmark.metrics.mmd import mmd2, mmd2_error
from mitds.benchmark.proofs.frechet import proofs
from mitds.errors import UsageError

Features = NDArray[Any]


def videos(count: int, seed: int = 0, dimensions: int = 12, shift: float = 0.0) -> list[Features]:
    """Make videos of 1..4 windows; windows of a video are alike."""
    random = np.random.default_rng(seed)
    return [
        (
            random.standard_normal(dimensions) + 0.1 * random.standard_normal((1 + g % 4, dimensions)) + shift
        ).astype(np.float32)
        for g in range(count)
    ]


def test_every_proof_row_holds() -> None:
    rows = list(proofs())
    assert [row for row in rows if not row.holds] == []
    assert {row.metric for row in rows} == {"frechet", "mmd"}


@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 1), (0, 5)])
def test_fewer_than_two_samples_are_refused(n: int, m: int) -> None:
    with pytest.raises(UsageError, match="no covariance"):
        frechet(np.ones((n, 3)), np.ones((m, 3)))


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(UsageError, match="3 and of 4 dimensions"):
        frechet(np.ones((5, 3)), np.ones((5, 4)))


@pytest.mark.parametrize("n", [20, 300])
def test_order_of_samples_and_threads_move_no_bit(n: int) -> None:
    random = np.random.default_rng(n)
    x_ND, y_ND = random.standard_normal((2, n, 64)).astype(np.float32)
    expected = frechet(x_ND, y_ND)
    torch.set_num_threads(2)
    assert frechet(x_ND[random.permutation(n)], y_ND[::-1]) == expected


def test_both_numerical_forms_agree_around_the_switch() -> None:
    x_ND, y_ND = np.random.default_rng(0).standard_normal((2, 33, 32))
    eigen = frechet_of_moments(*moments(x_ND), *moments(y_ND + 1))
    assert frechet(x_ND, y_ND + 1) == pytest.approx(eigen, rel=1e-12)
    few = frechet(x_ND[:32], y_ND[:32] + 1)
    assert few == pytest.approx(frechet_of_moments(*moments(x_ND[:32]), *moments(y_ND[:32] + 1)), abs=1e-5)


def test_distance_is_symmetric_and_grows_with_a_shift() -> None:
    x_ND, y_ND = np.random.default_rng(0).standard_normal((2, 20, 64))
    assert frechet(x_ND, y_ND) == pytest.approx(frechet(y_ND, x_ND), rel=1e-12)
    ladder = [frechet(x_ND, x_ND + shift) for shift in (0, 0.1, 0.2, 0.4)]
    assert ladder == sorted(ladder)
    assert ladder[3] == pytest.approx(64 * 0.16)


def test_identical_samples_have_a_mean_term_only() -> None:
    assert frechet(np.zeros((4, 9)), np.full((5, 9), 2.0)) == 36.0


def test_order_of_items_moves_no_bit_of_the_mmd() -> None:
    x, y = videos(20), videos(20, seed=1, shift=0.5)
    order = np.random.default_rng(0).permutation(20)
    x_again, y_again = [x[g] for g in order], [y[g] for g in order]
    assert mmd2(x_again, y_again, paired=True) == mmd2(x, y, paired=True)
    assert mmd2(x_again, y, paired=False) == mmd2(x, y, paired=False)
    assert mmd2_error(x_again, y_again) == mmd2_error(x, y)


def test_mmd_leaves_out_pairs_within_an_item() -> None:
    x, y = videos(6), videos(6, seed=1)

    def mean(a: list[Features], b: list[Features], skip: bool) -> float:
        pairs = [(p, q) for g, item in enumerate(a) for h, other in enumerate(b) if not (skip and g == h)
                 for p in item.astype(float) for q in other.astype(float)]  # fmt: skip
        return float(np.mean([(p @ q / len(p) + 1) ** 3 for p, q in pairs]))

    within = mean(x, x, True) + mean(y, y, True)
    assert mmd2(x, y, paired=True) == pytest.approx(within - 2 * mean(x, y, True), abs=1e-12)
    assert mmd2(x, y, paired=False) == pytest.approx(within - 2 * mean(x, y, False), abs=1e-12)


def test_a_copy_scores_exactly_0_and_kids_formula_would_not() -> None:
    x = videos(10)
    assert mmd2(x, x, paired=True) == 0.0
    assert mmd2_error(x, x) == 0.0
    assert mmd2(x, x, paired=False) < -0.1


def test_error_is_the_jackknife_over_items() -> None:
    x, y = videos(7), videos(7, seed=1, shift=0.5)
    left = np.array([mmd2(x[:g] + x[g + 1 :], y[:g] + y[g + 1 :], paired=True) for g in range(7)])
    assert mmd2_error(x, y) == pytest.approx(np.sqrt(6 / 7 * np.square(left - left.mean()).sum()), rel=1e-9)


def test_error_is_as_large_as_the_spread_of_repetitions() -> None:
    draws = [(videos(40, seed=k), videos(40, seed=1000 + k, shift=0.5)) for k in range(60)]
    spread = np.std([mmd2(x, y, paired=True) for x, y in draws], ddof=1)
    errors = [mmd2_error(x, y) for x, y in draws]
    assert np.mean(np.array(errors)) == pytest.approx(spread, rel=0.4)


def test_too_few_items_have_no_mmd_and_no_error() -> None:
    with pytest.raises(UsageError, match="1 real"):
        mmd2(videos(1), videos(3), paired=False)
    with pytest.raises(UsageError, match="paired"):
        mmd2(videos(2), videos(3), paired=True)
    assert mmd2_error(videos(2), videos(2, seed=1)) is None


def test_floor_does_not_depend_on_the_order_of_videos() -> None:
    real = videos(15)
    assert floor(real[::-1], pooled_frechet) == floor(real, pooled_frechet)
    assert floor(real[:3], pooled_frechet)["floor_halves"] is None


def test_floor_keeps_videos_whole_and_halves_disjoint() -> None:
    halves: list[tuple[list[Features], list[Features]]] = []

    def distance(one: Any, other: Any) -> float:
        halves.append((one, other))
        return float(len(halves))

    real = videos(9)
    found = floor(real, distance)
    ids = [[sorted(map(id, half)) for half in pair] for pair in halves]
    assert all(sorted(one + other) == sorted(map(id, real)) for one, other in ids)
    assert len({tuple(one) for one, _ in ids}) > 5
    assert found["floor_halves"] == 5.5
    assert found["floor_spread"] == pytest.approx(np.std(np.arange(1, 11), ddof=1))


def test_small_sets_are_named_and_tiny_ones_refused() -> None:
    score = frechet_score(videos(8), videos(8, seed=1), unit="windows", few=400)
    assert score.n == score.detail["n_real"] == 20
    assert score.detail["note"].startswith("n=20 < 400: mostly bias")
    assert "note" not in frechet_score(videos(8), videos(8, seed=1), unit="windows", few=20).detail
    none = [np.empty((0, 12), np.float32)] * 8
    refused = frechet_score(videos(8), none, unit="windows", few=400)
    assert (refused.value, refused.n, refused.reason) == (None, 0, "0 windows: a covariance needs two")


@pytest.mark.parametrize(("metric", "key"), [(Fvd(), "logits_ND"), (Mmd(), "logits_ND"), (Fid(), "pool_ND")])
def test_metrics_reduce_in_any_order_and_refuse_one_video(metric: Any, key: str) -> None:
    real, generated = ([{key: v} for v in videos(6, seed=k)] for k in (0, 1))
    score = metric.reduce(real, generated)
    assert metric.reduce(real[::-1], generated[::-1]) == score
    assert np.isfinite(score.value)
    assert score.detail["floor_halves"] is not None
    refused = metric.reduce(real[:1], generated[:1])
    assert refused.value is None
    assert refused.reason


def test_mmd_leaves_out_items_that_have_no_window_on_one_side() -> None:
    real, generated = ([{"logits_ND": v} for v in videos(6, seed=k)] for k in (0, 1))
    short = {"logits_ND": np.empty((0, 12), np.float32)}
    assert Mmd().reduce([*real, short], [*generated, real[0]]) == Mmd().reduce(real, generated)


def test_frozen_outputs_have_finite_distances() -> None:
    real = [{"logits_ND": v} for v in videos(6)]
    frozen = [{"logits_ND": np.ones_like(v["logits_ND"])} for v in real]
    assert Fvd().reduce(real, frozen).value > 0
    assert Fvd().reduce(frozen, frozen).value == 0
    assert np.isfinite(Mmd().reduce(real, frozen).value)


def test_squashing_is_that_of_tensorflow_1() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(i3d.squashed(frames, 8), frames[:, ::2, ::3])
    doubled = i3d.squashed(frames[:, :8, :8], 16)
    np.testing.assert_array_equal(doubled[:, ::2, ::2], frames[:, :8, :8])
    np.testing.assert_array_equal(doubled[:, 15], doubled[:, 14])
    between = (frames[:, 0, 0].astype(np.float32) + frames[:, 0, 1]) / 2
    np.testing.assert_array_equal(doubled[:, 0, 1], between)


def test_windows_lie_end_to_end_and_the_tail_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")
    monkeypatch.setattr(i3d, "logits", lambda frames: frames[[0, -1], 0, 0, 0].astype(np.float32))
    ramp = np.broadcast_to(np.arange(47, dtype=np.uint8)[:, None, None, None], (47, 4, 4, 3)).copy()
    np.testing.assert_array_equal(i3d.windows(Footage(ramp))["logits_ND"], [[0, 15], [16, 31]])
    assert i3d.windows(Footage(ramp[:15].copy()))["logits_ND"].shape == (0, 400)


def test_one_picture_of_each_25_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")
    monkeypatch.setattr(inception, "pool", lambda frame: frame[0, 0, :1].astype(np.float32))
    ramp = np.broadcast_to(np.arange(51, dtype=np.uint8)[:, None, None, None], (51, 4, 4, 3)).copy()
    seen = inception.pictures(Footage(ramp))["pool_ND"][:, 0]
    np.testing.assert_array_equal(seen, Footage(ramp).sample(25))
    np.testing.assert_array_equal(seen // 25, [0, 1, 2])


def test_resizing_a_grey_picture_keeps_it_grey() -> None:
    grey = np.full((90, 160, 3), 77, np.uint8)
    assert inception.resized(grey, 299).shape == (1, 3, 299, 299)
    torch.testing.assert_close(inception.resized(grey, 299), torch.full((1, 3, 299, 299), 77.0))


@pytest.fixture(scope="module")
def arrays() -> dict[str, Features]:
    """Arrays named and shaped as in the published file, with random numbers."""
    random = np.random.default_rng(0)
    found: dict[str, Features] = {}

    def unit(name: str, inputs: int, outputs: int, side: int) -> None:
        scale = np.sqrt(2 / (inputs * side**3))
        found[f"params/{name}/Conv_0/kernel"] = random.normal(0, scale, (side, side, side, inputs, outputs))
        found[f"params/{name}/BatchNorm_0/bias"] = random.normal(0, 0.1, outputs)
        found[f"batch_stats/{name}/BatchNorm_0/mean"] = random.normal(0, 0.1, (1, 1, 1, 1, outputs))
        found[f"batch_stats/{name}/BatchNorm_0/var"] = random.uniform(0.5, 1.5, (1, 1, 1, 1, outputs))

    unit("Conv3d_1a_7x7", 3, 64, 7)
    unit("Conv3d_2b_1x1", 64, 64, 1)
    unit("Conv3d_2c_3x3", 64, 192, 3)
    for name, (inputs, (b0, b1, b1_out, b2, b2_out, b3)) in i3d_net._BLOCKS.items():
        unit(f"{name}/Branch_0/Conv3d_0a_1x1", inputs, b0, 1)
        unit(f"{name}/Branch_1/Conv3d_0a_1x1", inputs, b1, 1)
        unit(f"{name}/Branch_1/Conv3d_0b_3x3", b1, b1_out, 3)
        unit(f"{name}/Branch_2/Conv3d_0a_1x1", inputs, b2, 1)
        unit(f"{name}/Branch_2/Conv3d_0b_3x3", b2, b2_out, 3)
        unit(f"{name}/Branch_3/Conv3d_0b_1x1", inputs, b3, 1)
    unit("Logits/Conv3d_0c_1x1", 1024, 400, 1)
    found["params/Logits/Conv3d_0c_1x1/Conv_0/bias"] = random.normal(0, 1, 400)
    return {name: array.astype(np.float32) for name, array in found.items()}


def plainly(arrays: dict[str, Features], x: Tensor) -> Tensor:
    """Run I3D layer by layer as the paper draws it: no folding, no merging, pools padded by -inf."""

    def pad(x: Tensor, side: list[int], stride: list[int], value: float) -> Tensor:
        pads: list[int] = []
        for size, k, s in zip(x.shape[2:], side, stride, strict=True):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pads = [total // 2, total - total // 2, *pads]
        return F.pad(x, pads, value=value)

    def unit(name: str, x: Tensor, stride: int = 1) -> Tensor:
        get = lambda part: torch.from_numpy(arrays[part].reshape(-1))  # noqa: E731
        kernel = torch.from_numpy(arrays[f"params/{name}/Conv_0/kernel"].transpose(4, 3, 0, 1, 2).copy())
        x = F.conv3d(pad(x, list(kernel.shape[2:]), [stride] * 3, 0), kernel, None, stride)
        mean, var = (get(f"batch_stats/{name}/BatchNorm_0/{part}") for part in ("mean", "var"))
        return F.batch_norm(x, mean, var, None, get(f"params/{name}/BatchNorm_0/bias"), eps=1e-3).relu()

    def pool(x: Tensor, side: list[int], stride: list[int]) -> Tensor:
        return F.max_pool3d(pad(x, side, stride, -torch.inf), side, stride)

    def block(name: str, x: Tensor) -> Tensor:
        ends: list[Callable[[], Tensor]] = [
            lambda: unit(f"{name}/Branch_0/Conv3d_0a_1x1", x),
            lambda: unit(f"{name}/Branch_1/Conv3d_0b_3x3", unit(f"{name}/Branch_1/Conv3d_0a_1x1", x)),
            lambda: unit(f"{name}/Branch_2/Conv3d_0b_3x3", unit(f"{name}/Branch_2/Conv3d_0a_1x1", x)),
            lambda: unit(f"{name}/Branch_3/Conv3d_0b_1x1", pool(x, [3, 3, 3], [1, 1, 1])),
        ]
        return torch.cat([end() for end in ends], dim=1)

    x = pool(unit("Conv3d_1a_7x7", x, 2), [1, 3, 3], [1, 2, 2])
    x = pool(unit("Conv3d_2c_3x3", unit("Conv3d_2b_1x1", x)), [1, 3, 3], [1, 2, 2])
    x = pool(block("Mixed_3c", block("Mixed_3b", x)), [3, 3, 3], [2, 2, 2])
    for letter in "bcdef":
        x = block(f"Mixed_4{letter}", x)
    x = block("Mixed_5c", block("Mixed_5b", pool(x, [2, 2, 2], [2, 2, 2])))
    x = F.avg_pool3d(x, [2, *x.shape[3:]], 1)
    kernel = torch.from_numpy(
        arrays["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"].transpose(4, 3, 0, 1, 2).copy()
    )
    bias = torch.from_numpy(arrays["params/Logits/Conv3d_0c_1x1/Conv_0/bias"])
    return F.conv3d(x, kernel, bias).mean(dim=(2, 3, 4))[0]


@pytest.mark.parametrize("frames", [16, 30])
def test_network_computes_what_the_paper_draws(arrays: dict[str, Features], frames: int) -> None:
    x_TCHW = torch.rand((frames, 3, 64, 64), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected_D = plainly(arrays, x_TCHW.transpose(0, 1)[None])
        found_D = i3d_net.load(arrays)(x_TCHW)
    assert expected_D.std() > 0.1
    torch.testing.assert_close(found_D, expected_D, rtol=0, atol=2e-5 * float(expected_D.abs().max()))


def test_both_convolutions_compute_the_same(
    arrays: dict[str, Features], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = i3d_net.load(arrays)
    x_TCHW = torch.rand((9, 3, 32, 32), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected_D = net(x_TCHW)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        found_D = net(x_TCHW)
    torch.testing.assert_close(found_D, expected_D, rtol=0, atol=2e-5 * float(expected_D.abs().max()))

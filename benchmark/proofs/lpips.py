"""LPIPS against an implementation without torch, published values, properties and damage by degree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch.nn import functional as F

from mitds.benchmark.footage import Frames
from mitds.benchmark.judges.lpips_net import EPSILON, PLANS, SCALE, SHIFT, Plan, Trunk, lpips_net, weight_name
from mitds.benchmark.metrics.lpips import LpipsAlex, LpipsVgg, lpips_T
from mitds.benchmark.proofs import Proof
from mitds.benchmark.proofs.pictures import coloured, ladders, plain, real_frames, steps_uphill
from mitds.weights import resolve
from mitds.weights.arrays import read_arrays

Planes = NDArray[np.float64]

IDS: dict[Trunk, str] = {"alex": LpipsAlex.card.id, "vgg": LpipsVgg.card.id}


def proofs() -> Iterator[Proof]:
    """Yield the rows of both networks."""
    yield from _black_and_white()
    for trunk in IDS:
        yield from _agreement(trunk)
        yield from _properties(trunk)
    yield from _ladders()


def spatial(x_THWC: Frames, y_THWC: Frames, trunk: Trunk) -> float:
    """Return the spatial variant of one pair: maps brought to the picture's size (bilinear), summed, averaged.

    common_metrics reports this. Enlarging counts the pixels of a map unevenly, so it is near LPIPS, not equal.
    """
    size = x_THWC.shape[1:3]
    maps = lpips_net(trunk).maps(x_THWC[0], y_THWC[0])
    grown = [F.interpolate(map_HW[None, None], size, mode="bilinear", align_corners=False) for map_HW in maps]
    return float(sum(map_BCHW.mean() for map_BCHW in grown))


def plain_lpips(x_HWC: Planes, y_HWC: Planes, plan: Plan, arrays: Mapping[str, NDArray[Any]]) -> float:
    """Return LPIPS of two pictures in -1..1, from the definition: NumPy in float64, no torch."""
    taps = zip(_taps(x_HWC, plan, arrays), _taps(y_HWC, plan, arrays), strict=True)
    return float(
        sum(
            (
                (_unit(x) - _unit(y)) ** 2 @ arrays[f"NetLinLayer_{k}/Conv_0/kernel"][0, 0].astype(np.float64)
            ).mean()
            for k, (x, y) in enumerate(taps)
        )
    )


def _unit(x_HWC: Planes) -> Planes:
    return np.asarray(x_HWC / (np.linalg.norm(x_HWC, axis=2, keepdims=True) + EPSILON))


def _taps(x_HWC: Planes, plan: Plan, arrays: Mapping[str, NDArray[Any]]) -> Iterator[Planes]:
    x_HWC = (x_HWC - np.array(SHIFT)) / np.array(SCALE)
    for k in range(plan.taps[-1] + 1):
        if k in plan.pooled:
            x_HWC = sliding_window_view(x_HWC, (plan.window, plan.window), (0, 1))[::2, ::2].max((3, 4))
        kernel_HWIO = arrays[f"{plan.root}/Conv_{k}/kernel"].astype(np.float64)
        side = len(kernel_HWIO)
        stride, padding = plan.first if k == 0 else (1, side // 2)
        padded = np.pad(x_HWC, ((padding, padding), (padding, padding), (0, 0)))
        windows = sliding_window_view(padded, (side, side), (0, 1))[::stride, ::stride]
        x_HWC = np.tensordot(windows, kernel_HWIO, ((3, 4, 2), (0, 1, 2)))
        x_HWC = np.maximum(x_HWC + arrays[f"{plan.root}/Conv_{k}/bias"], 0)
        if k in plan.taps:
            yield x_HWC


def _black_and_white() -> Iterator[Proof]:
    black, white = plain(0, 0, 0), plain(255, 255, 255)
    published = 0.8140090703964
    found = spatial(black, white, "alex")
    check = "black against white, 64x64, spatial variant (mitds does not report it)"
    source = "common_metrics README, probably made on a GPU; another revision has 0.8140147: not exact"
    yield _row("alex", check, published, found, 1e-4, source)
    standard = lpips_T(black, white, trunk="alex")[0]
    check = "black against white, 64x64: the spatial variant is not LPIPS"
    yield _row("alex", check, found, standard, 1e-5, "BENCHMARKS 2.3", differs=True)


def _unlike() -> tuple[Frames, Frames]:
    x_THWC, y_THWC = coloured()
    return x_THWC, y_THWC[:, ::-1]


def _agreement(trunk: Trunk) -> Iterator[Proof]:
    arrays = read_arrays(resolve(weight_name(trunk)))
    plan = PLANS[trunk]
    x_THWC, y_THWC = _unlike()
    x, y = x_THWC[0] / 127.5 - 1, y_THWC[0] / 127.5 - 1
    found = lpips_T(x_THWC, y_THWC, trunk=trunk)[0]
    source = "written anew from the definition, without torch"
    yield _row(
        trunk,
        "the vectors in colours, b upside down, NumPy float64",
        plain_lpips(x, y, plan, arrays),
        found,
        1e-6,
        source,
    )
    wrong = plain_lpips((x + 1) / 2, (y + 1) / 2, plan, arrays)
    check = "the same pair is not taken in 0..1"
    yield _row(trunk, check, wrong, found, 5e-3, "the range error of many repositories", differs=True)
    heads = [arrays[f"NetLinLayer_{k}/Conv_0/kernel"] for k in range(5)]
    negative = sum(int((head < 0).sum()) for head in heads)
    yield _row(trunk, "weights of the heads below 0", 0, negative, 0, "Zhang et al. 2018")


def _properties(trunk: Trunk) -> Iterator[Proof]:
    x_THWC, y_THWC = _unlike()
    found, turned = lpips_T(x_THWC, y_THWC, trunk=trunk)[0], lpips_T(y_THWC, x_THWC, trunk=trunk)[0]
    yield _row(trunk, "LPIPS(x, x)", 0, lpips_T(x_THWC, x_THWC, trunk=trunk)[0], 0, "property")
    yield _row(trunk, "LPIPS(x, y) = LPIPS(y, x)", turned, found, 0, "property")


def _ladders() -> Iterator[Proof]:
    climbs = ladders(real_frames())
    tried: dict[Trunk, tuple[str, ...]] = {"alex": ("blur", "noise", "held frames"), "vgg": ("blur", "noise")}
    for trunk, damages in tried.items():
        for damage in damages:
            values = [-lpips_T(*pair, trunk=trunk).mean() for pair in climbs[damage]]
            check = f"{len(values)} degrees of {damage} on real frames: steps that do not rise"
            yield _row(trunk, check, 0, steps_uphill(values), 0, "property")


def _row(
    trunk: Trunk,
    check: str,
    expected: float,
    measured: float,
    tolerance: float,
    source: str,
    *,
    differs: bool = False,
) -> Proof:
    return Proof(
        metric=IDS[trunk],
        check=check,
        expected=float(expected),
        measured=float(measured),
        tolerance=tolerance,
        source=source,
        differs=differs,
    )

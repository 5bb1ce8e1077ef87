"""Proof of Sync-C and Sync-D: their mathematics on synthetic vectors, and the release's example where SyncNet is here.

The example (`media.syncnet_example`; offset 3, least distance 5.353, confidence 10.021 by the release's README) needs
`metrics.syncnet`. Where that file cannot be had those rows are absent, not passed: nothing else can prove them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.metrics.sync_maths import SHIFT, Sync, overlap_curve, padded_curve, reading
from mitds.benchmark.proofs import Proof
from mitds.errors import MissingWeights, NotVideo
from mitds.weights import resolve

COMPAT = "sync-c.syncnet-v2.compat@1"
COMPAT_D = "sync-d.syncnet-v2.compat@1"
OVERLAP = "sync-c.syncnet-v2.overlap@1"
OVERLAP_D = "sync-d.syncnet-v2.overlap@1"

DIM = 1024
DRAWS = 8
_LENGTHS = {20: (1.25, 1.418), 40: (1.34, 1.416), 400: (1.41, 1.414)}
"""Sync-C of perfect sync by windows: measured once with the release's padding, and over pairs that exist only."""
_ONE_DRAW = 0.01
"""Those were single draws, given to two or three digits. One draw of 20 or 40 windows in 512 to 1024 dimensions has
a standard deviation of .003 to .006 with padding and .001 to .003 without (over 40 draws), and rounding adds .005."""

Floats = NDArray[np.float64]


def proofs() -> Iterator[Proof]:
    """Yield the rows."""
    yield from _closed_forms()
    yield from _documented_lengths()
    yield from _shifts()
    yield _by_torch()
    yield from _example()


def _closed_forms() -> Iterator[Proof]:
    """Orthogonal unit vectors: any wrong pair is sqrt(2) apart, a padded one 1; the median is at a shift of 8."""
    root = 2**0.5
    for windows in _LENGTHS:
        unit_WD = np.eye(windows, DIM)
        padded, overlap = reading(padded_curve(unit_WD, unit_WD)), reading(overlap_curve(unit_WD, unit_WD))
        expected = root - 8 * (root - 1) / windows
        # The release adds 1e-6 to each of 1024 differences, which moves a distance by up to 3.2e-5.
        yield _row(COMPAT, f"orthogonal unit vectors, {windows} windows", expected, padded.confidence, 1e-4)
        yield _row(OVERLAP, f"orthogonal unit vectors, {windows} windows", root, overlap.confidence, 1e-12)
        yield _row(OVERLAP_D, f"the same embeddings twice, {windows} windows", 0.0, overlap.distance, 0.0)


def _documented_lengths() -> Iterator[Proof]:
    """The release's dependence on length, and its absence without padding."""
    for windows, (padded, overlap) in _LENGTHS.items():
        random = np.random.default_rng(windows)
        draws = [_unit(random, windows) for _ in range(DRAWS)]
        found_2 = [
            np.mean([reading(curve(x, x)).confidence for x in draws])
            for curve in (padded_curve, overlap_curve)
        ]
        check = f"random unit vectors, {windows} windows, mean of {DRAWS} draws"
        for metric, expected, measured in zip((COMPAT, OVERLAP), (padded, overlap), found_2, strict=True):
            yield _row(metric, check, expected, float(measured), _ONE_DRAW, "measured for mitds, one draw")


def _shifts() -> Iterator[Proof]:
    """Sound that comes 3 frames late gives -3; sound that leads by 5 gives 5."""
    stream_VD = _unit(np.random.default_rng(3), 140)
    lips_WD = stream_VD[SHIFT : SHIFT + 100]
    for lead in (-3, 0, 5, SHIFT, -SHIFT):
        sound_WD = stream_VD[SHIFT + lead : SHIFT + lead + 100]
        words = f"sound {abs(lead)} frames {'early' if lead > 0 else 'late'}: offset"
        for metric, curve in ((COMPAT, padded_curve), (OVERLAP, overlap_curve)):
            yield _row(metric, words, lead, reading(curve(lips_WD, sound_WD)).offset, 0.0)


def _by_torch() -> Proof:
    """The curve of the release, written with the calls that it uses, in float32."""
    import torch

    random = np.random.default_rng(4)
    lips_WD, sound_WD = (torch.from_numpy(random.normal(size=(60, DIM)).astype(np.float32)) for _ in range(2))
    padded_VD = torch.nn.functional.pad(sound_WD, (0, 0, SHIFT, SHIFT))
    mean_K = [
        torch.pairwise_distance(lips_WD, padded_VD[first : first + 60]).mean()
        for first in range(2 * SHIFT + 1)
    ]
    apart = np.abs(
        padded_curve(lips_WD.numpy(), sound_WD.numpy()) - torch.stack(mean_K).double().numpy()
    ).max()
    return _row(
        COMPAT_D,
        "curve against torch.pairwise_distance, largest difference",
        0.0,
        float(apart),
        1e-4,
        "torch",
    )


def _example() -> Iterator[Proof]:
    """The example of the release, through `demo_syncnet.py`'s path; nothing where SyncNet is not here."""
    try:
        resolve("metrics.syncnet")
    except MissingWeights:
        return
    source = "README of joonson/syncnet_python"
    sync = example()
    yield _row(COMPAT, "example clip: offset", 3, sync.offset, 0.0, source)
    # One of the distances is printed as 6.742 elsewhere (thread 8): a build's JPEG coder decides the digits.
    yield _row(COMPAT_D, "example clip: least distance", 5.353, sync.distance, 0.1, source)
    yield _row(COMPAT, "example clip: confidence", 10.021, sync.confidence, 0.1, source)


def example() -> Sync:
    """Read the release's example clip, whose frames are a face crop already.

    Raises:
        MissingWeights: If SyncNet v2 or the clip cannot be had.
    """
    from mitds.annotators.asd.rows import SAMPLES_PER_FRAME
    from mitds.benchmark.footage import read_footage
    from mitds.benchmark.judges.recoding import as_demo
    from mitds.benchmark.judges.syncnet import embed_lips, embed_sound
    from mitds.benchmark.metrics.sync_readings import LOST
    from mitds.media.sound import read_sound

    clip = resolve("media.syncnet_example")
    crops_THWC, sound = as_demo(read_footage(clip).frames_THWC), read_sound(clip)
    if sound is None:
        raise NotVideo("the example has no sound", where=str(clip), remedy="Fetch it anew.")
    wave_S = sound.mono()
    windows = min(len(crops_THWC), len(wave_S) // SAMPLES_PER_FRAME) - LOST
    return reading(padded_curve(embed_lips(crops_THWC)[:windows], embed_sound(wave_S, windows)))


def _unit(random: np.random.Generator, windows: int) -> Floats:
    """Draw directions, windows_WD."""
    drawn_WD = random.normal(size=(windows, DIM))
    unit_WD: Floats = drawn_WD / np.linalg.norm(drawn_WD, axis=1, keepdims=True)
    return unit_WD


def _row(
    metric: str, check: str, expected: float, measured: float, tolerance: float, source: str = "closed form"
) -> Proof:
    return Proof(
        metric=metric,
        check=check,
        expected=float(expected),
        measured=float(measured),
        tolerance=tolerance,
        source=source,
    )

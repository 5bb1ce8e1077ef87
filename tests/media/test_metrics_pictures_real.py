"""PSNR, SSIM and LPIPS with their weights on real footage: the proof table, invariance, degenerate outputs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import av
import numpy as np
import pytest

from mitds.benchmark.contracts import Scene
from mitds.benchmark.footage import Footage, Frames, read_footage
from mitds.benchmark.metrics.lpips import LpipsAlex, LpipsVgg, lpips_T
from mitds.benchmark.metrics.psnr import Psnr
from mitds.benchmark.metrics.ssim import Ssim
from mitds.benchmark.proofs.pictures import real_frames
from mitds.weights import resolve

pytestmark = pytest.mark.media

METRICS = (Psnr, Ssim, LpipsAlex, LpipsVgg)


@pytest.fixture(autouse=True)
def _no_kept_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")


@pytest.mark.parametrize("topic", ["pictures", "lpips"])
def test_every_row_of_the_proof_holds(topic: str) -> None:
    rows = list(import_module(f"mitds.benchmark.proofs.{topic}").proofs())
    assert len(rows) > 10
    assert not [row for row in rows if not row.holds]


@pytest.mark.parametrize("metric", METRICS)
def test_degenerate_outputs_get_a_score_worse_than_the_footage_itself(metric) -> None:  # type: ignore[no-untyped-def]
    real = real_frames()[:2]
    sign = 1 if metric.card.better == "higher" else -1

    def value(frames_THWC: Frames) -> float:
        [score] = metric().score(Scene("x", Footage(real)), Footage(frames_THWC))
        assert score.status == "ok"
        assert np.isfinite(score.value)
        return sign * float(score.value)

    noise = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    others = (np.full_like(real, 128), np.zeros_like(real), real[::-1].copy(), noise)
    best = value(real.copy())
    assert best == {Psnr: 100, Ssim: 1}.get(metric, 0)
    assert all(value(other) < best for other in others)


def test_lpips_of_a_frame_depends_on_nothing_but_the_frame() -> None:
    real = real_frames()[::4]
    other = np.roll(real, 3, axis=2)
    together = lpips_T(real, other, trunk="alex")
    backwards = lpips_T(real[::-1], other[::-1], trunk="alex")
    alone = [lpips_T(real[t : t + 1], other[t : t + 1].copy(), trunk="alex")[0] for t in range(len(real))]
    assert np.array_equal(together, backwards[::-1])
    assert np.array_equal(together, alone)


def test_bits_survive_a_lossless_change_of_container(tmp_path: Path) -> None:
    source, moved = resolve("media.podium"), tmp_path / "moved.mkv"
    _remux(source, moved)
    first, second = _head(source), _head(moved)
    scene = Scene("x", Footage(np.roll(first.frames_THWC, 2, axis=2)))
    for metric in (Psnr, Ssim, LpipsAlex):
        assert metric().score(scene, first) == metric().score(scene, second)


def _head(path: Path) -> Footage:
    return Footage(read_footage(path).frames_THWC[100:106].copy())


def _remux(source: Path, target: Path) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        for packet in given.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                made.mux(packet)

"""The error budget: alterations of videos, their comparison, and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mitds.benchmark.budget import BudgetRow
from mitds.benchmark.budget.alterations import ALTERATIONS, Case, jittered, one_frame, one_pixel, recoded, rgb
from mitds.benchmark.budget.comparing import compared, mean, sample_rows, step_rows
from mitds.benchmark.budget.looking import measured
from mitds.benchmark.budget.measuring import PROCESSORS
from mitds.benchmark.budget.page import page
from mitds.benchmark.budget.prose import PARTS
from mitds.benchmark.budget.steps import BASE, RAW, STEPS
from mitds.benchmark.contracts import Scene
from mitds.benchmark.footage import Footage, Frames, read_footage
from mitds.benchmark.metrics.psnr import Psnr
from mitds.benchmark.metrics.ssim import Ssim
from mitds.benchmark.results import Estimate, MetricResult
from mitds.manifests.items import Item, Release
from mitds.manifests.records import ClipArrays
from mitds.media import write_video
from mitds.time import CLIP_FPS

PSNR, SSIM = "psnr@1", "ssim@1"


def moving(seed: int, frames: int = 10, height: int = 48, width: int = 64) -> Frames:
    """Smooth colours that drift: a codec has something to lose, and threads something to order."""
    rng = np.random.default_rng(seed)
    y, x, t = np.meshgrid(
        *(np.arange(n, dtype=np.float64) for n in (height, width, frames)), indexing="ij", sparse=True
    )
    channels = [
        np.sin(x / a + t / 3 + p) * np.cos(y / b - t / 5) for a, b, p in rng.uniform(6, 16, size=(3, 3))
    ]
    frames_HWTC = 128 + 90 * np.stack(channels, axis=-1)
    return np.ascontiguousarray(np.moveaxis(np.rint(frames_HWTC), 2, 0).astype(np.uint8))


def filed(folder: Path, name: str, frames_THWC: Frames) -> Path:
    path = folder / name
    write_video(path, ((k / CLIP_FPS, frame) for k, frame in enumerate(frames_THWC)), crf=12)
    return path


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    pictures = moving(2)
    real_file, output_file = filed(folder, "real.mp4", moving(1)), filed(folder, "out.mp4", pictures)
    scene = Scene("a", read_footage(real_file))
    return Case(scene, read_footage(output_file), real_file, output_file, lambda: pictures)


@pytest.mark.parametrize("name", [n for n in ALTERATIONS if n in STEPS and STEPS[n].limit == "zero"])
def test_containers_and_threads_move_no_pixel(case: Case, name: str) -> None:
    scene, output = ALTERATIONS[name].change(case)
    assert scene.real.digest == case.scene.real.digest
    assert output.digest == case.output.digest


def test_an_independent_conversion_agrees_with_the_decoder(case: Case) -> None:
    """Rounding sets them apart, and how chroma is interpolated; the wrong matrix would be ten levels off."""
    for name, most in (("held", 1.5), ("linear", 4)):
        scene, output = ALTERATIONS[name].change(case)
        for other, ours in ((scene.real, case.scene.real), (output, case.output)):
            apart = np.abs(other.frames_THWC.astype(int) - ours.frames_THWC)
            assert 0 < apart.mean() < most


@pytest.mark.parametrize("chroma", ["held", "linear"])
@pytest.mark.parametrize(
    ("matrix", "yuv", "wanted"),
    [
        ("709", (16, 128, 128), (0, 0, 0)),
        ("709", (235, 128, 128), (255, 255, 255)),
        ("709", (62.5592, 102.3360, 240), (255, 0, 0)),
        ("709", (31.8118, 240, 117.7292), (0, 0, 255)),
        ("601", (81.481, 90.2036, 240), (255, 0, 0)),
        ("601", (40.966, 240, 109.7864), (0, 0, 255)),
    ],
)
def test_colours_of_the_standards(
    chroma: str, matrix: str, yuv: tuple[float, ...], wanted: tuple[int, ...]
) -> None:
    y, u, v = yuv
    half = np.ones((2, 3))
    frame_HWC = rgb(np.full((4, 6), y), half * u, half * v, matrix, chroma)  # type: ignore[arg-type]
    assert frame_HWC.shape == (4, 6, 3)
    assert (frame_HWC == wanted).all()


def test_chroma_is_interpolated_where_mpeg2_puts_it() -> None:
    """A ramp of chroma stays a ramp: its samples lie on even columns, and between two rows."""
    across = np.tile([100.0, 110.0, 120.0, 130.0], (2, 1))
    grey = np.full((4, 8), 126.0)
    flat = np.full((2, 4), 128.0)
    red_W = rgb(grey, flat, across, "709", "linear")[0, :, 0].astype(int)
    assert red_W[6] == red_W[7]  # beyond the last sample
    steps = np.diff(red_W[:7])
    assert steps.min() >= 8
    assert steps.max() <= 10  # half of 10 levels times 1.79, evenly
    held_W = rgb(grey, flat, across, "709", "held")[0, :, 0].astype(int)
    assert (np.diff(held_W)[::2] == 0).all()


def test_lower_quality_moves_further(case: Case) -> None:
    sheets = measured([case], [Psnr(), Ssim()], [RAW, BASE, "crf18", "crf23", "crf28", "real12", "real23"])
    truth = Footage(case.raw())
    errors = [
        Psnr().score(Scene("a", truth), Footage(recoded(case.raw(), crf)))[0].value for crf in (12, 23, 40)
    ]
    assert errors == sorted(errors, key=lambda value: -(value or 0))
    assert sheets["real12"][PSNR]["a"] > sheets["real23"][PSNR]["a"] > sheets[RAW][PSNR]["a"]
    assert sheets[BASE][PSNR] != sheets[RAW][PSNR]


def test_a_pixel_and_a_frame() -> None:
    frames_THWC = moving(3)
    assert (one_pixel(frames_THWC)[:, :, 1:] == frames_THWC[:, :, :-1]).all()
    assert (one_pixel(frames_THWC)[:, :, 0] == frames_THWC[:, :, 0]).all()
    assert (one_frame(frames_THWC)[1:] == frames_THWC[:-1]).all()
    assert (one_frame(frames_THWC)[0] == frames_THWC[0]).all()


def test_boxes_move_by_one_pixel_and_stay_absent() -> None:
    boxes_NT4 = np.random.default_rng(0).uniform(10, 50, (2, 6, 4)).astype(np.float32)
    boxes_NT4[0, 2] = np.nan
    arrays = ClipArrays(
        face_xyxy_NT4=boxes_NT4,
        face_score_NT=np.ones((2, 6), np.float32),
        speaking_NT=np.ones((2, 6), np.float32),
        pose_NTK3=np.zeros((2, 6, 133, 3), np.float32),
        visible_NT=np.isfinite(boxes_NT4[..., 0]),
    )
    scene = Scene("a", Footage(moving(1, frames=6)), arrays=arrays)
    moved = jittered(scene).arrays
    assert moved is not None
    apart_NT4 = np.abs(moved.face_xyxy_NT4 - boxes_NT4)
    assert np.isnan(apart_NT4[0, 2]).all()
    np.testing.assert_allclose(apart_NT4[np.isfinite(apart_NT4)], 1, rtol=1e-5)
    assert (np.nan_to_num(jittered(scene).arrays.face_xyxy_NT4) == np.nan_to_num(moved.face_xyxy_NT4)).all()  # type: ignore[union-attr]
    assert jittered(replace(scene, arrays=None)).arrays is None


def test_equal_content_is_scored_alike_and_metrics_of_scenes_alone_feel_boxes(case: Case) -> None:
    sheets = measured([case], [Psnr(), Ssim()], [BASE, "mkv", "pixel", "boxes"])
    assert sheets["mkv"] == sheets[BASE]
    assert sheets["pixel"][SSIM]["a"] != sheets[BASE][SSIM]["a"]
    assert sheets["boxes"] == {}


def test_changes_shares_and_losses() -> None:
    row = compared("crf23", PSNR, {"a": 30.0, "b": 20.0}, {"a": 29.5, "b": 20.25}, {PSNR: 10.0}, None)
    assert row is not None
    assert (row.change, row.share, row.values, row.lost, row.holds) == (0.5, 0.05, 2, 0, True)
    lost = compared("threads", PSNR, {"a": 1.0, "b/0": 1.0}, {"a": 1.0}, {}, 1e-3)
    assert lost is not None
    assert (lost.change, lost.share, lost.lost, lost.holds) == (0.0, None, 1, False)
    assert compared("crf23", PSNR, {}, {}, {}, None) is None
    beyond = compared("mkv", PSNR, {"a": 1.0}, {"a": 1.0 + 1e-12}, {}, 0.0)
    assert beyond is not None
    assert not beyond.holds


def test_the_mean_is_over_items_of_persons() -> None:
    values = {"a/0": 1.0, "a/1": 3.0, "b/0": 7.0}
    assert mean(values) == 4.5
    assert mean(dict(reversed(values.items()))) == 4.5


def test_the_sample_is_half_of_the_widest_interval() -> None:
    def result(low: float | None, high: float | None, **detail: float) -> MetricResult:
        return MetricResult(raw=Estimate(value=1.0, low=low, high=high, n=5), detail=detail)

    rows = sample_rows(
        [
            {PSNR: result(0.0, 2.0), "mmd": result(None, None, error=2.0)},
            {PSNR: result(0.0, 4.0), SSIM: result(None, None)},
        ],
        {PSNR: 8.0},
    )
    assert {row.metric: row.change for row in rows} == {PSNR: 2.0, "mmd": pytest.approx(3.92)}
    assert rows[0].share == 0.25


def a_release() -> Release:
    item = Item(
        id="0" * 16, clip="c", source="s", cluster="C0", people=("H0",), first=0, frames=64, width=400,
        height=224, reference_frame=0, subsets=(), files={}, pixels="p",
    )  # fmt: skip
    return Release(name="tiny", items=(item,), train=(), held_out=(), config={}, models={})


def some_rows(numeric: float, exact: float) -> list[BudgetRow]:
    return [
        BudgetRow(step="mkv", metric=PSNR, change=exact, share=exact / 10, values=2, limit=0.0),
        BudgetRow(step="crf28", metric=PSNR, change=2.0, share=0.2, values=2),
        BudgetRow(step="crf28", metric=SSIM, change=0.001, share=0.001, values=2),
        BudgetRow(step="threads", metric=SSIM, change=numeric, share=numeric, values=2, limit=1e-9),
        BudgetRow(step="sample", metric=SSIM, change=0.05, share=0.05, values=2),
    ]


def test_the_page_tells_what_holds() -> None:
    text = page(some_rows(numeric=1e-10, exact=0.0), a_release())
    assert "Nothing, not one bit" in text
    assert "Below the card's tolerance" in text
    assert "  - x264 at crf 28: PSNR 20 %\n" in text
    assert "| 4 x264 at crf 28 | 2 | 0.001 |" in text
    assert "| `ssim@1` | 1e-09 | 1e-10 | yes |" in text
    assert "The sample is the largest term** in 1 of 1 metrics" in text


def test_the_page_flags_what_does_not() -> None:
    text = page(some_rows(numeric=1e-6, exact=1e-12), a_release())
    assert "These must move nothing, and do:** PSNR, mp4 re-muxed to mkv: 1e-12 where 0 is allowed" in text
    assert "Beyond the card's tolerance:** SSIM" in text
    assert "**NO**" in text
    assert "not one bit" not in text


def test_every_step_is_measured_and_explained() -> None:
    elsewhere = {*PROCESSORS, "threads", "workers", "cache", "sample"}
    assert {step.varied or name for name, step in STEPS.items()} <= {*ALTERATIONS, *elsewhere}
    assert {step.against for step in STEPS.values()} <= ALTERATIONS.keys()
    assert {step.part for step in STEPS.values()} == PARTS.keys()


def test_step_rows_know_what_each_step_may_move() -> None:
    cards = {PSNR: Psnr.card}
    one = {PSNR: {"a": 30.0, "b": 40.0}}
    found = {BASE: one, RAW: {PSNR: {"a": 32.0, "b": 40.0}}, "mkv": one, "threads": one, "boxes": {}}
    rows = {row.step: row for row in step_rows(found, cards, {PSNR: 20.0})}
    assert set(rows) == {"mkv", "crf12", "threads"}
    assert (rows["crf12"].change, rows["crf12"].share, rows["crf12"].limit) == (2.0, 0.1, None)
    assert (rows["mkv"].limit, rows["threads"].limit) == (0.0, Psnr.card.tolerance)

"""The benchmark from clips to numbers, with real weights on real video that needs nothing but the package index."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from mitds.benchmark.evaluation.anchors import measure_anchors
from mitds.benchmark.evaluation.engine import EngineConfig, choose
from mitds.benchmark.evaluation.evaluate import Evaluation, evaluate
from mitds.benchmark.evaluation.summary import Anchors
from mitds.benchmark.release import OpenRelease, ReleaseConfig, build_release, open_release
from mitds.benchmark.results import Results, read_results, read_rows
from mitds.cli import app
from mitds.media import write_video

pytestmark = pytest.mark.media

METRICS = (
    "psnr@1",
    "ssim@1",
    "lpips.alex@1",
    "mmd.i3d400.squash224.t16@1",
    "identity.sface@1",
    "face-found.yunet@1",
    "binding.lip-motion@1",
    "leakage.lip-motion@1",
    "lag-onset.lips@1",
    "var-exp.mesh@1",
)


def quiet(what: str, done: int, total: int) -> None:
    """Show nothing."""


@pytest.fixture(scope="session")
def release(demo_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> OpenRelease:
    """Items of 2.2 s from both clips of the demo, controls measured."""
    out = tmp_path_factory.mktemp("release") / "rel"
    config = ReleaseConfig(name="test", seconds=2.2, max_side=320, items_per_clip=2, test_share=1.0)
    built = build_release([str(demo_clips / "clips-*.tar")], out, config)
    measure_anchors(out, built.release, choose(METRICS), EngineConfig(workers=2), quiet)
    return open_release(out)


@pytest.fixture(scope="session")
def anchors(release: OpenRelease) -> Anchors:
    from mitds.benchmark.evaluation.anchors import read_anchors

    return read_anchors(release.folder, release.release)


def scored(release: OpenRelease, videos: Path, out: Path, workers: int = 1) -> Evaluation:
    return evaluate(
        [str(release.folder / "test-*.tar")], out, videos=videos, name="system", metrics=METRICS,
        config=EngineConfig(workers=workers), progress=quiet,
    )  # fmt: skip


def control(release: OpenRelease, name: str) -> Path:
    return release.folder / "controls" / name / "videos"


def result(release: OpenRelease, name: str) -> Results:
    return read_results(release.folder / "controls" / name / "results.json")


def test_the_release_has_items_of_both_clips_and_two_clusters(release: OpenRelease):
    assert len(release.release.items) >= 3
    assert len({item.cluster for item in release.release.items}) == 2


@pytest.mark.parametrize("name", ["copy", "wrong-voice", "always-talking", "blurred", "shuffled", "grey"])
def test_no_control_ranks_above_the_floor_band(release: OpenRelease, anchors: Anchors, name: str):
    found = result(release, name)
    assert found.aggregate is not None
    assert anchors.floor_band is not None
    assert found.aggregate.value <= anchors.floor_band


def test_real_footage_encoded_once_more_is_the_other_end_of_every_scale(release: OpenRelease):
    found = result(release, "real")
    assert found.aggregate is not None
    assert found.aggregate.value == pytest.approx(1.0)
    assert set(found.axes) == {"likeness", "identity", "binding", "silence", "motion"}


def test_a_control_fails_the_ability_it_lacks(release: OpenRelease):
    lacking = {"copy": "motion", "blurred": "likeness", "always-talking": "silence", "wrong-voice": "binding"}
    for name, axis in lacking.items():
        assert result(release, name).axes[axis].value < 0.1, name


def test_rows_are_the_same_bytes_for_any_number_of_workers_and_any_container(
    release: OpenRelease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")
    videos = control(release, "wrong-voice")
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(videos.glob("*.mp4"), reverse=True):
        remux(path, other / path.name)
    runs = [(videos, 1), (videos, 2), (videos, 4), (other, 2)]
    digests = []
    for number, (folder, workers) in enumerate(runs):
        found = scored(release, folder, tmp_path / str(number), workers)
        assert found.results.outputs == {"ok": len(release.release.items)}
        digests.append(
            [sha(tmp_path / str(number) / "rows.parquet"), json.dumps(sets(found.results), sort_keys=True)]
        )
    assert digests == [digests[0]] * len(runs)


def sets(results: Results) -> dict[str, float | None]:
    return {m: r.raw.value if r.raw else None for m, r in results.metrics.items()}


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remux(path: Path, target: Path) -> None:
    """Put the same packets into Matroska, under the name that is asked for."""
    with av.open(str(path)) as source, av.open(str(target), "w", format="matroska") as sink:
        streams = {s.index: sink.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                sink.mux(packet)


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def gone(path: Path) -> None:
    path.unlink()


def faceless(path: Path) -> None:
    rewritten(path, lambda frames: [np.full_like(f, 128) for f in frames], 25)


def shortened(path: Path) -> None:
    rewritten(path, lambda frames: frames[:-5], 25)


def at_another_rate(path: Path) -> None:
    rewritten(path, lambda frames: frames, 30)


def noise(path: Path) -> None:
    generator = np.random.default_rng(0)
    rewritten(path, lambda frames: [generator.integers(0, 256, f.shape, np.uint8) for f in frames], 25)


def rewritten(path: Path, change: Callable[[list[np.ndarray]], list[np.ndarray]], fps: int) -> None:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    write_video(path, ((Fraction(k, fps), f) for k, f in enumerate(change(frames))), crf=12)


DAMAGES = (torn, faceless, shortened, at_another_rate, noise)


def damaged(
    release: OpenRelease, name: str, item: str, damage: Callable[[Path], None], folder: Path
) -> Results:
    """Score a control's outputs after one of them was damaged."""
    shutil.copytree(control(release, name), folder / "videos")
    damage(folder / "videos" / f"{item}.mp4")
    return scored(release, folder / "videos", folder / "out", workers=2).results


def assert_no_gain(before: Results, after: Results) -> None:
    for metric, found in before.metrics.items():
        score = after.metrics[metric].score
        if found.score is not None and score is not None:
            assert score.value <= found.score.value + 1e-12, metric
    for axis, whole in before.axes.items():
        assert after.axes[axis].value <= whole.value + 1e-12, axis


def test_leaving_out_any_output_never_helps_even_the_worst_one(release: OpenRelease, tmp_path: Path):
    whole = result(release, "wrong-voice")
    for item in release.release.items:
        found = damaged(release, "wrong-voice", item.id, gone, tmp_path / item.id)
        assert found.outputs == {"ok": len(release.release.items) - 1, "missing": 1}
        assert_no_gain(whole, found)
        assert coverage(found, "psnr@1") < 1


@pytest.mark.parametrize("number", range(len(DAMAGES)), ids=[d.__name__ for d in DAMAGES])
def test_damage_never_helps_and_lowers_the_coverage(release: OpenRelease, tmp_path: Path, number: int):
    items = release.release.items
    found = damaged(release, "real", items[number % len(items)].id, DAMAGES[number], tmp_path)
    whole = result(release, "real")
    assert_no_gain(whole, found)
    assert found.aggregate.value < whole.aggregate.value  # type: ignore[union-attr]
    decodes = DAMAGES[number] in (faceless, noise)
    assert coverage(found, "identity.sface@1" if decodes else "psnr@1") < 1


def coverage(results: Results, metric: str) -> float:
    share = results.metrics[metric].coverage
    assert share is not None
    return share


def test_eval_of_a_control_writes_rows_results_and_a_page_with_three_videos_an_item(
    release: OpenRelease, tmp_path: Path
):
    out = tmp_path / "out"
    call = ["eval", "--model", "shuffled", "--shards", str(release.folder / "test-*.tar"), "--out", str(out)]
    done = CliRunner().invoke(app, [*call, *(f"--metric={m}" for m in METRICS), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["outputs"] == {"ok": len(release.release.items)}
    assert told["aggregate"] is not None
    assert read_results(out / "results.json").system == "shuffled"
    rows = read_rows(out / "rows.parquet")
    assert {row.metric for row in rows} == {m for m in METRICS if not m.startswith("mmd")}
    page = (out / "index.html").read_text()
    for item in release.release.items:
        assert page.count(f"{item.id}") >= 3
    assert len(list((out / "media").glob("*-skeleton.mp4"))) == len(release.release.items)
    stored = {(r.metric, r.item, r.person): r.value for r in read_rows(out / "rows.parquet")}
    kept = {
        (r.metric, r.item, r.person): r.value
        for r in read_rows(release.folder / "controls" / "shuffled" / "rows.parquet")
    }
    assert stored == kept, "the same control, made twice, has the same numbers"


def test_one_pair_is_scored_without_any_dataset(release: OpenRelease):
    item = release.release.items[0].id
    real, other = (control(release, n) / f"{item}.mp4" for n in ("real", "blurred"))
    names = ["--metric=psnr", "--metric=ssim", "--metric=lpips.alex"]
    call = ["metrics", "compute", "--reference", str(real), "--generated", str(other), *names, "--json"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["metrics"]
    assert 15 < found["psnr@1"]["value"] < 35
    assert 0 < found["ssim@1"]["value"] < 0.95
    assert 0.2 < found["lpips.alex@1"]["value"] < 1.5

"""The board as a host builds it: bundles of strangers, each at its own risk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mitds.benchmark.board import build_board
from mitds.benchmark.board.seeds import mean_rows, over_seeds
from mitds.benchmark.contracts import SetScore
from mitds.benchmark.evaluation.anchors import measure_anchors
from mitds.benchmark.evaluation.engine import EngineConfig, choose
from mitds.benchmark.evaluation.evaluate import evaluate
from mitds.benchmark.evaluation.summary import Measured
from mitds.benchmark.release import open_release
from mitds.benchmark.results import Row
from mitds.benchmark.submission.bundle import open_bundle
from mitds.errors import UsageError
from tests import submissions

METRICS = ("psnr@1", "ssim@1")


def quiet(what: str, done: int, total: int) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    submissions.make_release(folder, 2)
    measure_anchors(folder, open_release(folder).release, choose(METRICS), EngineConfig(), quiet)
    return folder


@pytest.fixture(scope="module")
def bundle(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest bundle with its own rows."""
    folder = tmp_path_factory.mktemp("bundle")
    first = submissions.make_bundle(folder / "first", release)
    videos = folder / "videos"
    unpacked = submissions.unpacked(first, folder / "unpacked")
    videos.mkdir()
    for path in (unpacked / "videos").glob("*.mp4"):
        shutil.copy(path, videos / f"{path.stem.partition('-')[0]}.mp4")
    evaluate([str(release)], folder / "scored", videos=videos, metrics=METRICS, progress=quiet)
    return submissions.make_bundle(folder / "own", release, evaluation=folder / "scored")


def built(bundles: list[Path], release: Path, out: Path, **options: str) -> tuple[list[str], dict[str, str]]:
    board = build_board(bundles, release, out, **options)  # type: ignore[arg-type]
    return [slug for slug in board.entries if slug.startswith("talker")], board.refused


def test_an_honest_bundle_is_rescored_and_shown_beside_the_controls(
    bundle: Path, release: Path, tmp_path: Path
):
    board = build_board([bundle], release, tmp_path / "site")
    assert not board.refused
    shown = json.loads((tmp_path / "site" / "data.json").read_text())
    tiers = {entry["slug"]: entry.get("tier", "") for entry in shown["entries"]}
    (slug,) = [s for s in tiers if s.startswith("talker")]
    assert tiers[slug] == "rescored"
    assert {"copy", "blurred", "grey", "real"} <= set(tiers)


def test_a_bundle_with_a_false_row_is_refused_and_costs_the_others_nothing(
    bundle: Path, release: Path, tmp_path: Path
):
    false = submissions.unpacked(bundle, tmp_path / "false")
    submissions.change_rows(false, "scores.jsonl", lambda rows: rows[0].update(value=rows[0]["value"] + 1))
    shown, refused = built([false, bundle], release, tmp_path / "site")
    assert len(shown) == 1
    assert "V-RECOMPUTED" in refused[str(false)]


@pytest.mark.parametrize("others_first", [True, False])
def test_a_thief_is_refused_and_the_author_is_not(
    bundle: Path, release: Path, tmp_path: Path, others_first: bool
):
    thief = submissions.unpacked(bundle, tmp_path / "thief")
    submissions.change_about(thief, system="Talker Thief")
    order = [thief, bundle] if others_first else [bundle, thief]
    shown, refused = built(order, release, tmp_path / "site", rescore="none")
    assert len(shown) == 1
    assert list(refused) == [str(order[1])], "a video belongs to whoever brought it first"
    assert "I-OTHER" in refused[str(order[1])]


def test_what_names_a_rivals_video_without_having_it_harms_nobody(
    bundle: Path, release: Path, tmp_path: Path
):
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "MANIFEST.sha256").write_bytes(open_bundle(bundle).read("MANIFEST.sha256"))
    shown, refused = built([evil, bundle], release, tmp_path / "site", rescore="none")
    assert len(shown) == 1
    assert list(refused) == [str(evil)]


def test_the_same_bundle_twice_and_a_torn_one_do_not_end_the_build(
    bundle: Path, release: Path, tmp_path: Path
):
    torn = tmp_path / "torn.tar"
    torn.write_bytes(bundle.read_bytes()[:4000])
    again = tmp_path / "again.tar"
    shutil.copy(bundle, again)
    shown, refused = built([bundle, again, torn], release, tmp_path / "site", rescore="none")
    assert len(shown) == 1
    assert set(refused) == {str(again), str(torn)}


def test_a_spot_check_needs_a_beacon(bundle: Path, release: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="beacon"):
        build_board([bundle], release, tmp_path / "site", rescore="spot")


def test_the_host_grants_tiers_by_id_and_only_known_ones(bundle: Path, release: Path, tmp_path: Path):
    host = tmp_path / "host.json"
    id = open_bundle(bundle).id
    host.write_text(json.dumps({"submissions": {id: {"tier": "regenerated", "notes": ["waived: <b>x</b>"]}}}))
    build_board([bundle], release, tmp_path / "site", rescore="none", host=host)
    shown = json.loads((tmp_path / "site" / "data.json").read_text())
    assert "regenerated" in {entry.get("tier") for entry in shown["entries"]}
    host.write_text(json.dumps({"submissions": {id: {"tier": "best"}}}))
    with pytest.raises(UsageError, match="no tier"):
        build_board([bundle], release, tmp_path / "other", rescore="none", host=host)


def row(item: str, charged: float | None, status: str = "ok") -> Row:
    value = charged if status == "ok" else None
    return Row(item=item, metric="m", person=None, value=value, charged=charged, status=status, n=1)  # type: ignore[arg-type]


def test_seeds_are_averaged_and_a_failure_of_any_of_them_shows():
    found = {
        r.item: r
        for r in mean_rows([[row("a", 1.0), row("b", 2.0)], [row("a", 3.0), row("b", 0.0, "missing")]])
    }
    assert (found["a"].value, found["a"].charged, found["a"].status) == (2.0, 2.0, "ok")
    assert (found["b"].value, found["b"].charged, found["b"].status) == (None, 1.0, "missing")


def test_sets_are_averaged_over_seeds_only_where_all_have_a_value():
    def one(value: float | None, status: str) -> Measured:
        sets = {"m": SetScore(value=value, n=2)}
        return Measured(
            outputs={"a": status}, messages={"a": status} if status != "ok" else {}, rows=(), sets=sets
        )

    both = over_seeds([one(1.0, "ok"), one(3.0, "missing")])
    assert both.sets["m"].value == 2.0
    assert both.outputs == {"a": "missing"}
    assert both.messages == {"a": "missing"}
    assert over_seeds([one(1.0, "ok"), one(None, "ok")]).sets["m"].value is None

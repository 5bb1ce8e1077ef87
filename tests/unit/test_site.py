"""The pages tell what was measured, believe nobody's text, and rank no more than the numbers allow."""

from __future__ import annotations

import html.parser
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.benchmark.contracts import Status
from mitds.benchmark.evaluation.scale import aggregate_draws
from mitds.benchmark.footage import read_footage
from mitds.benchmark.results import Estimate
from mitds.benchmark.site import Entry, ItemView, build_site, plots, skeleton_video, wording, write_page
from mitds.benchmark.site.ranking import rank, standing
from mitds.errors import UsageError
from tests import boards, factories

VOID = {"meta", "link", "input", "br", "img"}


class Page(html.parser.HTMLParser):
    """Collects elements and text, and checks that tags nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(path.read_text())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def plain() -> list[Entry]:
    """Entries without videos."""
    return boards.entries(boards.release())


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, plain: list[Entry]) -> Path:
    folder = tmp_path_factory.mktemp("board")
    release = boards.release()
    videos = {
        system: {
            item.id: boards.video(folder / "made" / system / f"{item.id}.mp4", tint, 6)
            for item in release.items[:2]
        }
        for system, tint in {"real": 200, "alpha": 90}.items()
    }
    entries = [replace(entry, videos=videos.get(entry.slug, {})) for entry in plain]
    build_site(folder / "site", **boards.site_arguments(release, entries))
    return folder / "site"


def row(board: Path, slug: str) -> dict[str, Any]:
    (found,) = [e for e in json.loads((board / "data.json").read_bytes())["entries"] if e["slug"] == slug]
    return found


def test_every_page_is_well_formed_and_runs_nothing_inline(board: Path):
    pages = sorted(board.rglob("*.html"))
    assert len(pages) == 2 + 8
    for path in pages:
        page = Page(path)
        (policy,) = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
        assert policy["content"].startswith("default-src 'self'")
        assert "unsafe" not in policy["content"]
        assert not [e for e in page.elements if "style" in e[1] or any(k.startswith("on") for k in e[1])]
        assert not page.all("style")
        for script in page.all("script"):
            assert script.get("type") == "application/json" or (path.parent / script["src"]).is_file()


def test_every_address_leads_to_a_file_of_the_site(board: Path):
    for path in board.rglob("*.html"):
        for _, attributes in Page(path).elements:
            for address in (attributes.get("src"), attributes.get("href")):
                if address and not address.startswith("#"):
                    assert (path.parent / address).resolve().is_relative_to(board.resolve())
                    assert (path.parent / address).is_file(), f"{path}: {address}"


def test_names_from_outside_are_text_everywhere(board: Path):
    for path in board.rglob("*.html"):
        page = Page(path)
        assert not page.all("img")
        assert len(page.all("script")) <= 3
        assert "alert(1)" not in "".join(s for s in page.scripts if "<" in s)
    front = Page(board / "index.html")
    assert boards.HOSTILE in front.text
    assert [r["data-name"] for r in front.all("tr") if r.get("data-slug") == "hostile"] == [boards.HOSTILE]
    assert "javascript:alert(3)" in Page(board / "systems" / "alpha.html").text


def test_json_in_the_page_cannot_end_its_element(board: Path):
    (cells,) = [s for s in Page(board / "index.html").scripts if s.strip()]
    assert "<" not in cells
    assert set(json.loads(cells)) == {"all", "people-1", "people-2", "people-3", "people-4", "overlap"}


def test_sections_stand_in_order_with_claimed_rows_marked(board: Path):
    front = Page(board / "index.html")
    assert [b["data-kind"] for b in front.all("tbody")] == ["real", "submission", "floor", "control"]
    slugs = [r["data-slug"] for r in front.all("tr") if "data-slug" in r]
    assert slugs.index("real") == 0
    assert slugs.index("boast") < slugs.index("alpha") < slugs.index("hostile") < slugs.index("scale-floor")
    assert [r["data-slug"] for r in front.all("tr") if "hidden" in r] == ["boast"]


def test_claimed_entries_are_never_ranked(board: Path):
    assert row(board, "boast")["rank"] is None
    assert row(board, "boast")["group"] is None
    assert row(board, "boast")["aggregate"]["value"] > row(board, "alpha")["aggregate"]["value"]
    assert row(board, "alpha")["rank"][0] == 1


def test_aggregate_is_recomputed_and_not_read_from_results(plain: list[Entry]):
    release = boards.release()
    honest = plain[2]
    boast = replace(
        honest, results=replace(honest.results, aggregate=Estimate(value=0.99, low=0.98, high=1.0))
    )
    found = standing(
        boast.rows,
        boards.CARDS,
        boards.anchors(release).metrics,
        [i.id for i in release.items],
        [i.cluster for i in release.items],
    )
    assert found.aggregate == honest.results.aggregate


def test_data_holds_enough_to_compute_the_aggregate_again(board: Path):
    data = json.loads((board / "data.json").read_bytes())
    assert len(data["items"]) == 12
    found = row(board, "alpha")
    axes: dict[str, list[float]] = {}
    for metric, card in data["metrics"].items():
        if not card["axis"]:
            continue
        anchor = data["anchors"][metric]
        scores = []
        for item in data["items"]:
            places = [v for p, v in found["charged"][metric].items() if p.partition("/")[0] == item["id"]]
            value = sum(places) / len(places)
            if card["better"] == "closer":
                scores.append(1 - abs(value - anchor["real"]) / abs(anchor["real"] - anchor["floor"]))
            else:
                scores.append((value - anchor["floor"]) / (anchor["real"] - anchor["floor"]))
        axes.setdefault(card["axis"], []).append(min(1.0, max(0.0, float(np.mean(scores)))))
    lowest = min(float(np.mean(scores)) for scores in axes.values())
    assert lowest == pytest.approx(found["aggregate"]["value"], abs=1e-12)


def test_failed_outputs_lower_coverage_and_are_named(board: Path):
    assert row(board, "beta")["failed"]["psnr@1"] == {f"{1:016x}": "missing"}
    page = Page(board / "systems" / "beta.html")
    assert "no output" in page.text
    assert "no face where one belongs" in page.text
    front = (board / "index.html").read_text()
    assert "covered" in front


def test_order_of_entries_does_not_matter(board: Path, plain: list[Entry], tmp_path: Path):
    build_site(tmp_path, **boards.site_arguments(boards.release(), plain[::-1]))
    slugs = [
        [r["data-slug"] for r in Page(folder / "index.html").all("tr") if "data-slug" in r]
        for folder in (board, tmp_path)
    ]
    assert slugs[0] == slugs[1]
    assert row(board, "beta")["rank"] == row(tmp_path, "beta")["rank"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"release_digest": "ffff"}, "two releases"),
        ({"double": True}, "one address"),
        ({"stranger": True}, "does not have"),
    ],
)
def test_what_must_not_share_a_table_is_refused(
    changes: dict[str, Any], says: str, plain: list[Entry], tmp_path: Path
):
    release = boards.release()
    entries = plain[:2]
    if "double" in changes:
        entries[1] = replace(entries[1], slug="alpha")
    if "stranger" in changes:
        stranger = replace(entries[0].rows[0], item="f" * 16)
        entries[0] = replace(entries[0], rows=[*entries[0].rows, stranger])
    arguments = boards.site_arguments(release, entries)
    arguments |= {key: changes[key] for key in changes.keys() & arguments.keys()}
    with pytest.raises(UsageError, match=says):
        build_site(tmp_path, **arguments)
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize("slug", ["", "../up", "A", "a/b", ".hidden", "a" * 90])
def test_slugs_are_safe_file_names(slug: str, plain: list[Entry]):
    with pytest.raises(UsageError, match="slug"):
        replace(plain[0], slug=slug)


def test_a_control_above_the_floor_band_raises_the_alarm(board: Path, plain: list[Entry], tmp_path: Path):
    cheat = replace(plain[0], slug="cheat", kind="control", tier="")
    build_site(tmp_path, **boards.site_arguments(boards.release(), [plain[1], cheat]))
    assert "proves nothing" in Page(tmp_path / "index.html").text
    assert "proves nothing" not in Page(board / "index.html").text


def test_an_entry_without_all_axes_has_no_aggregate(plain: list[Entry], tmp_path: Path):
    lame = replace(plain[0], results=replace(plain[0].results, aggregate=None))
    build_site(tmp_path, **boards.site_arguments(boards.release(), [lame, plain[1]]))
    assert row(tmp_path, "alpha")["aggregate"] is None
    assert row(tmp_path, "alpha")["rank"] is None
    assert row(tmp_path, "beta")["rank"] == [1, 1]


def standings(*goodness: float) -> tuple[dict[str, Any], list[str]]:
    release = boards.release(24)
    ids, clusters = [i.id for i in release.items], [i.cluster for i in release.items]
    found = {}
    for n, share in enumerate(goodness):
        rows = boards.charged_rows(release, share, 10 + n)
        found[f"s{n}"] = standing(rows, boards.CARDS, boards.anchors(release).metrics, ids, clusters)
    return found, clusters


def test_equal_systems_tie_and_a_far_one_does_not():
    ranking = rank(*standings(0.7, 0.7, 0.2))
    assert ranking.groups["s0"] == ranking.groups["s1"] == 1
    assert ranking.groups["s2"] == 2
    assert ranking.ranks["s2"] == (3, 3)
    assert {ranking.ranks["s0"][0], ranking.ranks["s1"][0]} == {1}
    assert ranking.detectable is not None
    assert 0 < ranking.detectable < 0.3


def test_few_clusters_tell_no_two_systems_of_many_apart():
    found, clusters = standings(0.9, 0.5, 0.1)
    few = [f"C{int(name[1:]) // 3}" for name in clusters]
    assert len(set(few)) == 4
    ranking = rank(found, few)
    assert {pair.p for pair in ranking.comparisons} == {2**-3}
    assert set(ranking.groups.values()) == {1}
    assert ranking.exhausted
    assert not rank(found, clusters).exhausted


def test_rank_intervals_hold_the_rank_and_follow_the_draws():
    found, clusters = standings(0.6, 0.55, 0.5, 0.3)
    ranking = rank(found, clusters)
    draws_EB = np.array([aggregate_draws(found[slug].scores, clusters) for slug in ranking.order])
    for place, slug in enumerate(ranking.order, 1):
        low, high = ranking.ranks[slug]
        assert low <= place <= high
        rank_B = 1 + (draws_EB > draws_EB[place - 1]).sum(axis=0)
        assert np.mean((rank_B >= low) & (rank_B <= high)) >= 0.95


def test_identical_systems_share_all_ranks():
    found, clusters = standings(0.6)
    ranking = rank({"a": found["s0"], "b": found["s0"]}, clusters)
    assert ranking.ranks == {"a": (1, 2), "b": (1, 2)}
    assert ranking.groups == {"a": 1, "b": 1}


def test_withdrawn_entries_leave_nothing_behind(plain: list[Entry], tmp_path: Path):
    item = boards.release().items[0].id
    shown = replace(plain[0], videos={item: boards.video(tmp_path / "made.mp4", 9, 3)})
    kept = tmp_path / "site" / "media" / "readme.txt"
    for entries in ([shown, plain[1]], [plain[1]]):
        build_site(tmp_path / "site", **boards.site_arguments(boards.release(), entries))
        kept.parent.mkdir(exist_ok=True)
        kept.touch()
    assert [path.name for path in (tmp_path / "site" / "systems").iterdir()] == ["beta.html"]
    assert not list((tmp_path / "site").rglob("*.mp4"))
    assert kept.exists()


def test_an_empty_board_is_a_board(tmp_path: Path):
    release = boards.release()
    build_site(tmp_path, **boards.site_arguments(release, []))
    slugs = [r["data-slug"] for r in Page(tmp_path / "index.html").all("tr") if "data-slug" in r]
    assert slugs == ["scale-real", "scale-floor"]


# ---- the page of one evaluation


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    release = boards.release()
    one, two, three = release.items[1:4]
    results, rows = boards.evaluated(
        release, boards.HOSTILE, 0.6, 2, failing={one.id: "missing", two.id: "no_face"}, kind="videos"
    )
    made = {item.id: boards.video(folder / "made" / f"{item.id}.mp4", 90, 6) for item in (one, two, three)}
    views = [view(item, made[item.id], "missing" if item is one else "ok") for item in (one, two, three)]
    write_page(folder / "out", results=results, rows=rows, cards=boards.CARDS, items=views)
    return folder / "out"


def view(item: Any, video: Path, status: Status) -> ItemView:
    return ItemView(
        id=item.id,
        title=f"{boards.HOSTILE} {item.id}",
        subsets=item.subsets,
        persons=item.people,
        turns=boards.turns(item),
        frames=item.frames,
        real=video,
        generated=video if status == "ok" else None,
        skeleton=None,
        status=status,
    )


def test_page_shows_each_item_with_its_videos_or_the_reason(page: Path):
    shown = Page(page / "index.html")
    assert len([a for a in shown.all("article") if a.get("class") == "item"]) == 3
    assert len(shown.all("video")) == 5
    assert all((page / video["src"]).is_file() for video in shown.all("video"))
    assert "no output" in shown.text
    assert "no face where one belongs (counts as" in shown.text
    assert not shown.all("img")


def test_page_draws_binding_matrices_of_several_people_only(page: Path):
    heats = [s for s in Page(page / "index.html").all("svg") if s.get("class") == "plot heat"]
    assert len(heats) == 2  # items of three and four people; the missing one was not measured


def test_page_says_what_was_not_measured_and_what_to_do(page: Path):
    assert "weights missing: see mitds weights" in Page(page / "index.html").text


def test_page_marks_speech_on_the_items_clock(page: Path):
    turns = [r for r in Page(page / "index.html").all("rect") if r.get("class") == "turn"]
    assert [(float(r["x"]), float(r["width"])) for r in turns[:2]] == [(0.0, 25.0), (22.5, 25.0)]


def test_a_video_that_is_not_there_is_an_error(tmp_path: Path):
    release = boards.release(4)
    results, rows = boards.evaluated(release, "x", 0.5, 1)
    gone = view(release.items[0], tmp_path / "gone.mp4", "ok")
    with pytest.raises(UsageError, match="not there"):
        write_page(tmp_path, results=results, rows=rows, cards=boards.CARDS, items=[gone])


def test_videos_under_the_folder_are_not_copied(tmp_path: Path):
    release = boards.release(4)
    results, rows = boards.evaluated(release, "x", 0.5, 1)
    own = view(release.items[0], boards.video(tmp_path / "videos" / "a b.mp4", 90, 3), "ok")
    write_page(tmp_path, results=results, rows=rows, cards=boards.CARDS, items=[own])
    assert not (tmp_path / "media").exists()
    assert {v["src"] for v in Page(tmp_path / "index.html").all("video")} == {"videos/a%20b.mp4"}


def test_skeleton_video_shows_the_poses_on_a_dark_ground(tmp_path: Path):
    clip = factories.clip(frames=5)
    arrays = factories.clip_arrays(clip)
    path = skeleton_video(tmp_path / "s.mp4", arrays.pose_NTK3, width=clip.width, height=clip.height)
    frames_THWC = read_footage(path).frames_THWC
    assert frames_THWC.shape == (5, clip.height, clip.width, 3)
    assert frames_THWC[2].max() > 150
    assert np.median(frames_THWC) < 40


# ---- plots and words


def test_histogram_counts_every_value_once():
    drawn = plots.histogram([1.0, 1.1, 2.0], [5.0], mean=Estimate(value=2.2), title="x")
    assert drawn.count('class="column"') == 3 - 1
    assert drawn.count('class="column failed"') == 1
    assert "3 measured, 1 failed" in drawn


@pytest.mark.parametrize("values", [[0.0], [3.5, 3.5], [-1e-9]])
def test_histogram_of_one_value_has_a_width(values: list[float]):
    assert "nan" not in plots.histogram(values, [], mean=None, title="x")


def test_plots_escape_their_titles():
    assert "<b>" not in plots.heat_map([[1.0, None], [0.2, 0.5]], ["<b>", "y"], title="<b>")


def test_heat_map_shows_absent_cells_as_absent():
    drawn = plots.heat_map([[1.0, None], [0.2, 0.5]], ["x", "y"], title="t")
    assert drawn.count('fill-opacity="0"') == 1


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(0.12345, 3, "0.123"), (-0.0001, 3, "0.000"), (-2.5, 1, "−2.5"), (None, 2, "–"), (float("nan"), 2, "–")],
)
def test_numbers_are_written_one_way(value: float | None, places: int, text: str):
    assert wording.fixed(value, places) == text


@pytest.mark.parametrize(("share", "text"), [(1.0, "100 %"), (0.9999, "99.9 %"), (0.0, "0 %"), (None, "–")])
def test_only_full_coverage_reads_as_full(share: float | None, text: str):
    assert wording.percent(share) == text


def test_every_status_and_tier_has_words():
    assert set(Status.__args__) == set(wording.STATUSES)  # type: ignore[attr-defined]
    tiers = Entry.__dataclass_fields__["tier"].type
    assert tiers == "Tier"


def test_every_known_metric_has_a_family():
    from mitds.benchmark.registries import METRICS

    for name in METRICS.names():
        known = boards.card(name, name)
        assert wording.group_of(known) != "Other", name

"""The site, the page of an evaluation and the study in a real browser, at phone and desktop width."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from mitds.benchmark.site import ItemView, build_site, skeleton_video, write_page
from mitds.benchmark.study import CheckConfig, ScoreConfig, build_study, score_study
from mitds.benchmark.study.records import read_key
from tests import boards, factories
from tests.webserver import Answer, Site

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.media,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH"),
]
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mp4": "video/mp4",
}
PHONE, DESKTOP = 390, 1280
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *(
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--v=0",
    ),
)
HOOK = """<!doctype html><html><body><iframe id="frame" width="%(width)d" height="900" src="%(address)s"></iframe>
<script>
const frame = document.getElementById("frame");
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
frame.addEventListener("load", async () => {
  const page = frame.contentDocument, win = frame.contentWindow;
  await wait(300);
  let found;
  try { found = await (async () => { %(probe)s })(); } catch (error) { found = { failed: String(error) }; }
  document.body.dataset.found = JSON.stringify(found);
}, { once: true });
</script></body></html>"""
ROWS = """return Array.from(page.querySelectorAll('tbody[data-kind="submission"] tr'))
  .filter((row) => row.offsetHeight > 0).map((row) => row.dataset.slug);"""

Probe = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of six entries with real footage, the page of one evaluation, and a study."""
    root = tmp_path_factory.mktemp("pages")
    release = boards.release()
    videos = {
        system: {
            item.id: boards.video(root / "made" / system / f"{item.id}.mp4", tint)
            for item in release.items[:3]
        }
        for system, tint in {"real": 200, "alpha": 120, "beta": 40}.items()
    }
    entries = boards.entries(release, videos)
    build_site(root / "www" / "board", **boards.site_arguments(release, entries))
    results, rows = boards.evaluated(
        release, "Beta", 0.7, 2, failing={release.items[1].id: "missing"}, kind="videos"
    )
    views = [_view(root, item, videos, shown=n != 1) for n, item in enumerate(release.items[:3])]
    scale = boards.anchors(release).metrics
    write_page(
        root / "www" / "page", results=results, rows=rows, cards=boards.CARDS, items=views, anchors=scale
    )
    build_study(
        root / "study",
        root / "made" / "alpha",
        root / "made" / "beta",
        questions=("Which is livelier?", "Which is sharper?"),
        reference=root / "made" / "real",
        checks=CheckConfig(identical=1, repeats=1),
    )
    shutil.copytree(root / "study" / "page", root / "www" / "study")
    return root


def _view(root: Path, item: Any, videos: dict[str, dict[str, Path]], *, shown: bool) -> ItemView:
    pose_NTK3 = factories.clip_arrays(factories.clip(persons=len(item.people), frames=item.frames)).pose_NTK3
    return ItemView(
        id=item.id,
        title=f"talk.mp4, item {item.id[-1]}",
        subsets=item.subsets,
        persons=item.people,
        turns=boards.turns(item),
        frames=item.frames,
        real=videos["real"][item.id],
        generated=videos["beta"][item.id] if shown else None,
        skeleton=skeleton_video(root / "made" / f"{item.id}.mp4", pose_NTK3, width=160, height=96),
        status="ok" if shown else "missing",
    )


@pytest.fixture
def browse(folder: Path, site: Site, tmp_path: Path) -> Probe:
    """Open an address in a frame of some width, run a probe in it, return what it found; the console stays silent."""
    for path in (folder / "www").rglob("*.*"):
        headers = {"Content-Type": TYPES[path.suffix]}
        address = "/" + path.relative_to(folder / "www").as_posix()
        site.put(address, Answer(body=path.read_bytes(), headers=headers, ranges=path.suffix == ".mp4"))
    site.put("/favicon.ico", Answer(status=204))

    def probe(address: str, script: str, width: int = DESKTOP) -> Any:
        page = HOOK % {"width": width, "address": address, "probe": script}
        site.put("/hook.html", Answer(body=page.encode(), headers={"Content-Type": "text/html"}))
        return _found(*_chromium(f"{site.url}/hook.html", tmp_path / "profile"))

    return probe


def _found(html: str, console: list[str]) -> Any:
    assert console == []
    found = re.search(r'data-found="([^"]*)"', html)
    assert found is not None, "the probe did not end"
    return json.loads(unescape(found[1]))


def _chromium(address: str, profile: Path, *options: str) -> tuple[str, list[str]]:
    """Return the page's elements after its scripts ran, and what went to the console."""
    assert BROWSER is not None
    command = [BROWSER, *_QUIET, *options, f"--user-data-dir={profile}", "--window-size=1400,1000"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=15000", "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def test_the_hook_sees_a_broken_page(site: Site, tmp_path: Path):
    body = b"<!doctype html><script>undefinedFunction()</script>"
    site.put("/x.html", Answer(body=body, headers={"Content-Type": "text/html"}))
    site.put("/favicon.ico", Answer(status=204))
    assert _chromium(f"{site.url}/x.html", tmp_path / "profile")[1] != []


PAGES = [
    "board/index.html",
    "board/systems/alpha.html",
    "board/rules.html",
    "page/index.html",
    "study/index.html",
]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("address", PAGES)
def test_nothing_scrolls_sideways_and_everything_can_be_tapped(browse: Probe, address: str, width: int):
    script = """const root = page.documentElement;
      const small = Array.from(page.querySelectorAll("button, select, label, nav a, summary, input[type=range]"))
        .filter((e) => e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().height < 40)
        .map((e) => e.outerHTML.slice(0, 80));
      return { wide: root.scrollWidth, view: root.clientWidth, small: small };"""
    found = browse(f"/{address}", script, width)
    assert found["wide"] <= found["view"]
    assert found["small"] == []


def test_best_first_and_claimed_hidden(browse: Probe):
    assert browse("/board/index.html", ROWS) == ["alpha", "beta", "hostile"]


def test_claimed_rows_are_counted_and_shown_on_demand(browse: Probe):
    assert browse("/board/index.html#claimed=1", ROWS) == ["boast", "alpha", "beta", "hostile"]
    assert browse("/board/index.html", "return page.getElementById('said').textContent") == "3 of 4 systems"


def test_sorting_by_a_metric_shows_its_column_best_first(browse: Probe):
    script = """const head = page.querySelector('th[data-name="fvd.i3d400.squash224.t16"]');
      const cells = Array.from(page.querySelectorAll('tbody[data-kind="submission"] tr:not([hidden]) td'))
        .filter((c) => c.dataset.key === head.dataset.key).map((c) => Number(c.querySelector("b").textContent));
      return { cells: cells, shown: head.offsetWidth > 0, sort: head.getAttribute("aria-sort") };"""
    found = browse("/board/index.html#sort=fvd.i3d400.squash224.t16&claimed=1", script)
    assert found["cells"] == sorted(found["cells"])
    assert found["shown"]
    assert found["sort"] == "ascending"


def test_psnr_sorts_from_the_address_and_turns_on_a_second_press(browse: Probe):
    once = browse("/board/index.html#sort=psnr", ROWS)
    assert once == ["alpha", "beta", "hostile"]
    press = "page.querySelector('th[data-name=psnr] button').click(); await wait(200);"
    assert browse("/board/index.html#sort=psnr", press + ROWS) == once[::-1]
    hashed = browse("/board/index.html", press + "return win.location.hash")
    assert "sort=psnr" in hashed


def test_real_and_floor_rows_keep_their_places_when_sorted(browse: Probe):
    script = "return Array.from(page.querySelectorAll('tbody'), (b) => b.dataset.kind)"
    kinds = ["real", "submission", "floor", "control"]
    assert browse("/board/index.html#sort=psnr&dir=worst", script) == kinds


def test_subsets_change_every_cell_and_controls_can_go(browse: Probe):
    script = """const row = page.querySelector('tr[data-slug="alpha"]');
      const control = page.querySelector('tbody[data-kind="control"]');
      const cells = Array.from(row.querySelectorAll("td b"), (b) => b.textContent);
      return { cells: cells, controls: control.offsetHeight };"""
    everything = browse("/board/index.html", script)
    some = browse("/board/index.html#subset=people-3&controls=0", script)
    assert everything["cells"] != some["cells"]
    assert everything["controls"] > 0
    assert some["controls"] == 0


def test_columns_can_be_sorted_by_keyboard(browse: Probe):
    script = """const button = page.querySelector("th[data-name=coverage] button");
      button.focus();
      const same = page.activeElement === button && button.tabIndex === 0;
      button.click(); await wait(200);
      return { same: same, sort: page.querySelector("th[data-name=coverage]").getAttribute("aria-sort") };"""
    assert browse("/board/index.html", script) == {"same": True, "sort": "descending"}


def test_first_column_stays_in_view_on_a_phone(browse: Probe):
    script = """const box = page.querySelector(".scroll"), head = page.querySelector('tr[data-slug="alpha"] th');
      box.scrollLeft = 300;
      return { moved: box.scrollLeft, left: head.getBoundingClientRect().left - box.getBoundingClientRect().left };"""
    found = browse("/board/index.html", script, PHONE)
    assert found["moved"] == 300
    assert abs(found["left"]) <= 2


def test_three_videos_move_in_step(folder: Path, tmp_path: Path):
    script = """const root = page.querySelector(".player");
      root.scrollIntoView();
      const player = win.mitdsPlayers.get(root);
      player.load();
      for (let n = 0; n < 40 && player.videos.some((v) => v.readyState < 2); n += 1) await wait(100);
      const range = root.querySelector("input");
      range.value = "20";
      range.dispatchEvent(new win.Event("input"));
      for (let n = 0; n < 40 && player.videos.some((v) => v.seeking); n += 1) await wait(100);
      const times = player.videos.map((v) => v.currentTime);
      root.querySelector(".on").click();
      await wait(300);
      return { times: times, frame: player.frame, next: player.videos.map((v) => v.currentTime),
               head: root.querySelector(".playhead").style.left, errors: player.videos.map((v) => v.error) };"""
    # From disk: seeking needs open-ended byte ranges, which the tests' own server does not know.
    hook = folder / "hook.html"
    hook.write_text(HOOK % {"width": DESKTOP, "address": "www/page/index.html", "probe": script})
    found = _found(*_chromium(hook.as_uri(), tmp_path / "profile", "--allow-file-access-from-files"))
    assert found["errors"] == [None, None, None]
    assert found["times"] == pytest.approx([20.5 / 25] * 3)
    assert found["next"] == pytest.approx([21.5 / 25] * 3)
    assert found["frame"] == 21
    assert found["head"]


def test_items_are_filtered_by_failure(browse: Probe):
    script = """const choice = page.getElementById("item-subset");
      choice.value = "failed"; choice.dispatchEvent(new win.Event("change"));
      return Array.from(page.querySelectorAll("article.item:not([hidden])"), (a) => a.id);"""
    assert browse("/page/index.html", script) == ["item-1"]


def test_a_rater_votes_saves_and_is_scored(browse: Probe, folder: Path, tmp_path: Path):
    script = """
      for (let n = 0; n < 20 && !page.getElementById("ask").hidden; n += 1) {
        page.querySelector('fieldset[data-question="0"] [data-answer="first"]').click();
        page.querySelector('fieldset[data-question="1"] [data-answer="same"]').click();
        await wait(50);
        page.getElementById("next").click();
      }
      let link = null;
      win.HTMLAnchorElement.prototype.click = function () { link = this; };
      page.getElementById("save").click();
      const ballot = JSON.parse(await (await fetch(link.href)).text());
      return { ballot: ballot, name: link.download, kept: win.localStorage.length,
               done: !page.getElementById("done").hidden };"""
    found = browse("/study/index.html", script, PHONE)
    assert found["done"]
    assert found["kept"] == 1
    assert found["name"] == f"votes-{found['ballot']['rater']}.json"
    path = tmp_path / "votes.json"
    path.write_text(json.dumps(found["ballot"]))
    key = folder / "study" / "key.json"
    result = score_study(key, [path], ScoreConfig(max_identical_missed=1.0, min_agreement=0.0))
    firsts = [pair.first for pair in read_key(key).pairs if pair.kind == "vote"]
    assert result.questions["Which is livelier?"].good == firsts.count(0)
    assert result.questions["Which is sharper?"].same == 3
    assert result.overall.same == 3


def test_votes_by_key_need_no_mouse(browse: Probe):
    script = """const press = async (name) => {
        page.body.dispatchEvent(new win.KeyboardEvent("keydown", { key: name, bubbles: true })); await wait(50); };
      await press("2"); await press("0"); await press("Enter");
      return page.getElementById("where").textContent;"""
    assert browse("/study/index.html", script) == "2 of 5"


def test_pages_open_from_disk_without_a_server(folder: Path, tmp_path: Path):
    for address in PAGES:
        html, console = _chromium((folder / "www" / address).as_uri() + "#sort=psnr", tmp_path / "profile")
        assert console == []
        assert "</html>" in html

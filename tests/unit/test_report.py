"""The report tells the truth about a run, in one file that trusts nobody's text."""

from __future__ import annotations

import base64
import html.parser
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mitds.errors import BadShard
from mitds.manifests import schemas
from mitds.manifests.ledger import End, Ledger
from mitds.pipeline.report import ReportConfig, write_report
from mitds.pipeline.report.gather import clock
from mitds.pipeline.report.reasons import explain
from mitds.pipeline.report.views import BLANK, curves
from mitds.pipeline.selection import REASONS
from mitds.runs import runs_of
from mitds.store import write_json
from tests import factories

VOID = {"meta", "br", "hr", "img", "link", "input"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e{{ 7*7 }}'


class Page(html.parser.HTMLParser):
    """Collects elements, attributes and text, and checks that tags nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", self.text)


def page_of(folder: Path, **config: int) -> Page:
    return Page(write_report(folder, ReportConfig(**config)).read_text("utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(factories.write_run(tmp_path_factory.mktemp("run")))


def test_the_sums_are_on_the_page(page: Page) -> None:
    assert "Lines of the list: 2 = 1 kept + 0 filtered + 1 failed" in page.words
    assert "Shots: 2 = 2 kept + 0 filtered + 0 failed" in page.words
    assert "Candidate clips: 4 = 2 kept + 1 filtered + 1 failed" in page.words
    assert REASONS["too_short"] in page.words


def test_sources_show_rights_end_and_bindings(page: Page) -> None:
    assert "talk.mp4" in page.words
    assert "CC-BY-4.0" in page.words
    assert "V0 is P0, probability 0.97" in page.words
    assert "V9: no binding, the evidence does not suffice (0.2 s)" in page.words
    assert explain("unreachable").what in page.words
    (strip,) = [svg for svg in page.all("svg") if svg.get("class") == "strip"]
    assert strip["aria-label"] == "2 of 3 stretches kept"


def test_clips_show_frames_faces_and_who_speaks(page: Page) -> None:
    assert len(page.all("article")) == 2
    images = page.all("image")
    assert len(images) == 2 * 3
    assert all(image["href"].startswith("data:image/jpeg;base64,") for image in images)
    labels = [svg["aria-label"] for svg in page.all("svg")]
    assert "Frame at 0.32 s: P0 speaks, P1 is silent" in labels
    assert "P1 speaks 1.00 to 2.00 s" in labels
    assert "Voice V9, off-screen: 0.25 to 0.75 s" in labels
    assert "Voice V8, owner left open: 0.50 to 0.60 s" in labels
    assert "voice V0, probability 0.93" in page.words


def test_weights_carry_their_licence(page: Page) -> None:
    assert "faces.yunet" in page.words
    assert "YuNet 2023mar, OpenCV Zoo" in page.words
    assert "MIT" in page.words
    assert "mine" in page.words
    assert "configuration digest 0000000000000000" in page.words


def test_failures_have_a_remedy_and_their_detail(page: Page) -> None:
    assert explain("internal").remedy in page.words
    assert "Boom: <b>" in page.text
    assert "source gone 2, stage ingest" in page.words


def test_nothing_is_loaded_or_run(page: Page) -> None:
    assert {tag for tag, _ in page.elements}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "img"}
    )
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset")]
        assert attributes.get("href", "#").startswith(("#", "data:image/jpeg"))
    (style,) = re.findall(r"default-src 'none'", str(page.all("meta")))
    assert style


def test_the_page_is_accessible(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.all("svg"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"][1:] in ids


def test_text_from_outside_stays_text(tmp_path: Path) -> None:
    rights = factories.rights(licence=HOSTILE, consent=HOSTILE, note=HOSTILE)
    person = factories.person(0, identity=HOSTILE, voice=HOSTILE)
    clip = factories.clip(0, persons=1, source_name=HOSTILE, rights=rights)
    factories.write_run(tmp_path, replace(clip, persons=(person,), models={HOSTILE: HOSTILE}))
    source = factories.source(name=HOSTILE, url=f"javascript:{HOSTILE}", title=HOSTILE, rights=rights)
    schemas.write_sources(tmp_path / "sources.parquet", [source])
    Ledger(tmp_path / "ledger.jsonl").append(
        End(kind="shot", item=HOSTILE, stage=HOSTILE, status="failed", reason=HOSTILE, detail=HOSTILE)
    )
    write_json(
        tmp_path / "run.json", {"command": HOSTILE, "config": {HOSTILE: HOSTILE}, "weights": {HOSTILE: "a"}}
    )
    page = page_of(tmp_path)
    test_nothing_is_loaded_or_run(page)
    assert page.text.count("<script>alert(1)</script>") >= 15
    assert "{{ 7*7 }}" in page.text


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    factories.write_run(tmp_path, *(factories.clip(n, frames=6) for n in range(5)))
    page = page_of(tmp_path, max_clips=2, max_sources=1, max_failures=1)
    assert [a["id"] for a in page.all("article")] == ["clip-" + f"{n:016x}" for n in (0, 2)]
    assert "3 more are in the shards but not on this page" in page.words
    assert "1 more sources are not listed" in page.words
    assert "1 more are in ledger.jsonl" in page.words


def test_the_page_has_one_form(tmp_path: Path) -> None:
    factories.write_run(tmp_path)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_an_anonymous_page_shows_no_picture(tmp_path: Path) -> None:
    factories.write_run(tmp_path)
    page = write_report(tmp_path, ReportConfig(anonymous=True)).read_text()
    pictures = re.findall('data:image/jpeg;base64,([^"]+)', page)
    assert pictures
    for text in pictures:
        pixels_HWC = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
        assert abs(np.median(pixels_HWC) - BLANK) <= 2
        assert (abs(pixels_HWC.astype(int) - BLANK) < 12).all(axis=2).mean() > 0.6


def test_an_empty_folder_still_gives_a_page(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert "No clip was kept" in page.words
    assert "This folder has no ledger" in page.words


def test_a_source_that_failed_in_annotate_is_shown_as_failed(tmp_path: Path) -> None:
    schemas.write_sources(tmp_path / "sources.parquet", [factories.source()])
    end = End(kind="source", item=factories.SOURCE_ID[:16], stage="voices", status="failed", reason="timeout")
    Ledger(tmp_path / "ledger.jsonl").append(end)
    page = page_of(tmp_path)
    assert explain("timeout").what in page.words
    assert "Sources: 1 = 0 kept + 0 filtered + 1 failed" in page.words


def test_an_ingest_folder_counts_its_lines_once(tmp_path: Path) -> None:
    schemas.write_sources(tmp_path / "sources.parquet", [factories.source()])
    Ledger(tmp_path / "ledger.jsonl").append(End(kind="source", item="1", stage="ingest", status="kept"))
    page = page_of(tmp_path)
    assert "Lines of the list" not in page.words
    assert "Sources: 1 = 1 kept" in page.words


def test_a_damaged_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(BadShard, match=r"run\.json"):
        write_report(tmp_path)


def test_people_without_a_voice_say_why(tmp_path: Path) -> None:
    people = (
        factories.person(0, voice=None, voice_probability=None, voice_status="abstained"),
        factories.person(1, voice=None, voice_probability=None, voice_status="none", turns=()),
    )
    factories.write_run(tmp_path, replace(factories.clip(0), persons=people, start=Fraction(0)))
    page = page_of(tmp_path)
    assert "no voice bound: the evidence is too thin or contradicts itself" in page.words
    assert "no voice: never seen speaking" in page.words
    assert "P1 speaks never" in [svg["aria-label"] for svg in page.all("svg")]


def test_curves_break_where_the_scorer_abstains() -> None:
    probability_T = np.array([0.25, 0.5, np.nan, 1.0], np.float32)
    assert curves(probability_T) == ["12.50,0.750 37.50,0.500", "87.50,0.000"]
    assert curves(np.full(5, np.nan, np.float32)) == []
    (long,) = curves(np.linspace(0, 1, 90_000, dtype=np.float32))
    assert len(long.split()) == 300


@pytest.mark.parametrize("frames", [40, 299, 301, 328, 450, 601, 5000])
def test_curves_and_turns_share_one_clock(frames: int) -> None:
    probability_T = np.zeros(frames, np.float32)
    probability_T[frames // 2 :] = 1
    (curve,) = curves(probability_T)
    points = [tuple(map(float, point.split(","))) for point in curve.split()]
    rise = next(x for x, y in points if y < 0.5)
    assert rise == pytest.approx(50, abs=100 / min(frames, 300))


def test_runs_are_half_open() -> None:
    assert runs_of(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs_of(np.zeros(3, bool)) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (8.72, "8.7 s"), (725, "12:05"), (3723, "1:02:03")]
)
def test_lengths_are_written_as_people_do(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_rule_has_words(code: str) -> None:
    assert explain(code).what == REASONS[code]
    assert explain(code).remedy

"""Audits become a section of the report and the page of published accuracy, and neither flatters."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mitds.config import plain
from mitds.errors import BadShard, UsageError
from mitds.pipeline.audit.conditions import CONDITIONS
from mitds.pipeline.audit.page import Run, parse_run, section, tables, write_page
from mitds.pipeline.audit.page.charts import BOTTOM, LEFT, RIGHT, TOP, charts
from mitds.pipeline.audit.page.doubt import right_at
from mitds.pipeline.audit.page.numbers import met
from mitds.pipeline.audit.page.reference import reference
from mitds.pipeline.audit.page.words import estimate, number, over, table
from mitds.pipeline.audit.results import VERSION, Audit, Measure, Reliability, write_audit
from mitds.pipeline.audit.table import audit_table
from mitds.pipeline.report import write_report
from mitds.store import write_json

HOSTILE = '"><script>alert(1)</script>'


def measure(id_: str, value: float | None, **changes: Any) -> Measure:
    given: dict[str, Any] = {
        "id": id_,
        "label": id_.partition(".")[0],
        "title": f"Who speaks: {id_.rpartition('.')[2]}",
        "definition": f"How {id_} is counted.",
        "value": value,
        "low": None if value is None else value - 0.02,
        "high": None if value is None else min(value + 0.01, 1.0),
        "n": 8412,
        "unit": "face frames",
        "better": "lower" if "der" in id_ or "error" in id_ else "higher",
    }
    return Measure(**given | changes)


def audit(*measures: Measure, **changes: Any) -> Audit:
    curve = Reliability(
        label="binding",
        edges=(0.0, 0.5, 1.0),
        said=(None, 0.9),
        found=(None, 0.8),
        count=(0, 400),
        error=0.1,
    )
    given: dict[str, Any] = {
        "version": VERSION,
        "profile": "standard",
        "models": {"faces": "yunet"},
        "names": ("a", "b"),
        "measures": measures or (measure("speaking.ap", 0.974), measure("speaking.ap", 0.81, by="overlap")),
        "per_video": {"a": {"speaking.ap": 0.99}, "b": {"speaking.ap": None}},
        "reliability": (curve,),
        "abstention": ((1.0, 0.9), (0.8, 0.95), (0.6, 1.0)),
        "missing": (),
        "notes": ("Read this.",),
    }
    return Audit(**given | changes)


def run(name: str = "standard", set_: str = "composites-201-203", **changes: Any) -> Run:
    return Run(name=name, set=set_, path=f"{name}/audit.json", audit=changes.get("audit") or audit())


def page(tmp_path: Path, *runs: Run) -> str:
    write_page(runs, tmp_path / "accuracy.md")
    return (tmp_path / "accuracy.md").read_text("utf-8")


def row(text: str, *words: str) -> list[str]:
    """Return the cells of the first table row that holds all words."""
    line = next(line for line in text.splitlines() if line.startswith("|") and all(w in line for w in words))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_target_is_judged_beside_the_reference(tmp_path: Path) -> None:
    short = audit(measure("speaking.ap", 0.93), profile="embedded")
    text = page(tmp_path, run(), run("embedded", audit=short))
    cells = row(text, "composites 201–203", "LR-ASD .894")
    assert cells[4:] == [
        ".974 (.954–.984)",
        "≥ .97 met",
        ".930 (.910–.940)",
        "≥ .94 **missed**",
        "8,412 face frames",
    ]
    assert "`standard` meets 1 of the 1 targets audited here (15 more are not audited)." in text
    assert "`embedded` meets 0 of the 1 targets audited here (12 more are not audited), and misses:" in text
    assert "- Who speaks: ap, composites 201–203: .930, target .94" in text


@pytest.mark.parametrize(
    ("id_", "value", "goal", "reached"),
    [
        ("speaking.ap", 0.97, 0.97, True),
        ("speaking.ap", 0.969, 0.97, False),
        ("diarization.der", 0.09, 0.1, True),
        ("diarization.der", 0.11, 0.1, False),
        ("speaking.ap", None, 0.0, False),
    ],
)
def test_less_is_better_for_errors(id_: str, value: float | None, goal: float, reached: bool) -> None:
    assert met(measure(id_, value), goal) is reached


def test_without_a_case_there_is_no_verdict(tmp_path: Path) -> None:
    text = page(tmp_path, run(audit=audit(measure("speaking.ap", None, n=0), measure("pose.pck", 0.9))))
    assert "LR-ASD" not in text.partition("## Every measure")[0]
    assert "`standard` meets 0 of the 0 targets audited here (16 more are not audited)." in text
    assert "Label types without a truth: shots, faces, people, who speaks, binding, diarization." in text


def test_notes_say_where_they_hold(tmp_path: Path) -> None:
    alone = run(set_="composite-204", audit=audit(notes=("Read this.", "One video: no intervals.")))
    text = page(tmp_path, run(), alone)
    assert "\n- Read this.\n- composite 204: One video: no intervals.\n" in text


def test_what_could_not_be_scored_misses_its_target(tmp_path: Path) -> None:
    text = page(tmp_path, run(audit=audit(measure("speaking.ap", None))))
    assert row(text, "LR-ASD .894")[4:6] == ["–", "≥ .97"]
    assert "meets 0 of the 1 targets" in text
    assert "no case of it in these videos: `speaking.ap`" in text


def test_the_page_says_what_is_not_measured(tmp_path: Path) -> None:
    text = page(tmp_path, run(audit=audit(missing=("b",))))
    assert "There is no audit here on: composites 201–204" in text
    assert "Label types without a truth: shots, faces, people, binding, diarization, pose." in text
    assert "`standard` left no labels for b (composites 201–203); they count as wrong." in text


def test_a_part_gives_way_to_its_whole(tmp_path: Path) -> None:
    part, whole = run(), run(set_="composites")
    assert "### Binding, composites 201–203" in page(tmp_path, part)
    both = page(tmp_path, part, whole)
    assert "### Binding, composites 201–204" in both
    assert "### Binding, composites 201–203" not in both
    assert row(both, "overlap")[2] == "composites 201–204"
    every = both.partition("## Every measure")[2].partition("## By condition")[0]
    assert "composites 201–203" in every


def test_doubt_is_tabled(tmp_path: Path) -> None:
    text = page(tmp_path, run(set_="mine"))
    assert row(text, "0.50–1.00") == ["0.50–1.00", ".900", ".800", "400"]
    assert row(text, "mine", "`standard`")[2:] == [".900", ".912", ".925", ".950", ".975", "–"]


def test_a_set_of_ones_own_needs_no_reference(tmp_path: Path) -> None:
    text = page(tmp_path, run(set_="mine"))
    assert "- **mine**: 2 videos: a, b." in text
    assert row(text, "overlap")[:4] == ["Who speaks: ap", "overlap", "mine", ".810 (.790–.820)"]


def test_the_page_is_deterministic_and_narrow(tmp_path: Path) -> None:
    runs = run(), run(set_="composite-204"), run("embedded", "real")
    text = page(tmp_path, *runs)
    assert page(tmp_path, *runs) == text
    assert not [line for line in text.splitlines() if len(line) > 120 and line[0] != "|"]
    headings = re.findall("^## (.+)$", text, re.M)
    assert headings.index("What is not measured") < headings.index("Definitions")
    assert "standard@composite-204=standard/audit.json" in text
    for table_ in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({len(line) for line in table_.splitlines()}) == 1


def test_runs_are_named_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_audit(tmp_path / "deep" / "x" / "audit.json", audit())
    found = parse_run(f"standard@composites={tmp_path}/deep/x")
    assert (found.name, found.set, found.path) == (
        "standard",
        "composites",
        "/".join([tmp_path.name, "deep/x"]),
    )
    assert found.audit == audit()
    monkeypatch.chdir(tmp_path)
    assert str(parse_run("mine=deep/x/audit.json")) == "mine=deep/x/audit.json"


@pytest.mark.parametrize("text", ["audit.json", "=audit.json", "standard@=a.json", "standard@composites"])
def test_a_run_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no audit"):
        parse_run(text)


def test_runs_must_differ(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two audits"):
        write_page([run(), run()], tmp_path / "a.md")
    with pytest.raises(UsageError, match="no audit is given"):
        write_page([], tmp_path / "a.md")
    assert not (tmp_path / "a.md").exists()


def test_every_figure_and_target_has_a_set() -> None:
    known = reference()
    assert {x.set for x in (*known.figures, *known.targets)} <= known.sets.keys()
    assert {s.part_of for s in known.sets.values()} <= {"", *known.sets}
    assert known.goal("diarization.der", "composites-201-203", "embedded") == 0.12
    assert known.goal("speaking.ap", "composite-204", "embedded") is None


def test_numbers_are_written_shortly() -> None:
    assert [number(v) for v in (0.97449, 1.0, 12.04, -0.5, None)] == [".974", "1.000", "12.0", "-0.500", "–"]
    assert estimate(measure("speaking.ap", 0.5, low=None)) == ".500"
    assert over(measure("speaking.ap", 0.5, n=8.03, unit="seconds")) == "8 seconds"
    assert table(["a", "b"], [["x|y", "1\n2"]], right=[1]).splitlines() == [
        "| a    |   b |",
        "| ---- | --: |",
        "| x\\|y | 1 2 |",
    ]


def test_curves_are_read_only_where_measured() -> None:
    curve = ((1.0, 0.9), (0.5, 1.0))
    assert [right_at(curve, a) for a in (1.0, 0.75, 0.5, 0.4)] == pytest.approx([0.9, 0.95, 1.0, None])
    assert right_at(((0.9, 0.8),), 0.9) == 0.8
    assert right_at((), 1.0) is None


def test_the_section_has_tables_for_the_report() -> None:
    whole, conditional, videos = tables(audit())
    assert whole["rows"] == [["Who speaks: ap", 0.974, "0.954–0.984", "8,412 face frames"]]
    absent = "shots, faces, people, binding, diarization, pose"
    assert whole["note"].endswith(
        f"resampled videos. Read this. Not measured, because no case of it is known: {absent}."
    )
    assert conditional["rows"][0][:3] == ["Who speaks: ap", "overlap", 0.81]
    assert videos["columns"] == ["video", "who speaks, AP"]
    assert videos["rows"] == [["a", 0.99], ["b", None]]
    assert [t["title"] for t in tables(audit(measure("people.exact", 1.0), per_video={}))] == [whole["title"]]


def test_what_has_no_case_has_no_row(tmp_path: Path) -> None:
    found = audit(
        measure("speaking.ap", 0.9),
        measure("speaking.f1", None),
        measure("pose.pck", None, n=0),
        measure("speaking.ap", None, n=0, by="overlap"),
        per_video={"a": {"speaking.ap": 0.9, "diarization.der": None}},
    )
    whole, videos = tables(found)
    assert [row[0] for row in whole["rows"]] == ["Who speaks: ap", "Who speaks: f1"]
    assert "diarization, pose." in whole["note"]
    assert videos["columns"] == ["video", "who speaks, AP"]
    write_audit(tmp_path / "audit.json", found)
    shown = section(tmp_path / "audit.json")
    assert shown is not None
    assert [title for title, _ in shown.terms] == ["Who speaks: ap", "Who speaks: f1"]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(audit_table(found))
    text = console.export_text()
    assert re.search("f1 +– +8,412 face frames", text)
    assert "pck" not in text


def test_conditions_are_defined(tmp_path: Path) -> None:
    rows = (measure("speaking.ap", 0.9, by=by) for by in CONDITIONS)
    found = audit(measure("speaking.ap", 0.9), *rows)
    text = page(tmp_path, run(audit=found))
    write_audit(tmp_path / "audit.json", found)
    shown = section(tmp_path / "audit.json")
    assert shown is not None
    for by, definition in CONDITIONS.items():
        assert f"- **{by}**: {definition[:40]}" in text
        assert (by, definition) in shown.terms


def test_the_commands_name_the_clips_alone(tmp_path: Path) -> None:
    assert "mitds audit --shards 'labels/clips-*.tar'" in page(tmp_path, run())


def test_diagrams_lie_inside_of_their_plot() -> None:
    reliability, abstention = charts(audit())
    (dot,) = reliability.dots
    assert dot.title == "said 0.900, came true 0.800, 400 cases"
    assert (dot.x, dot.y) == pytest.approx((LEFT + 0.9 * (RIGHT - LEFT), BOTTOM - 0.8 * (BOTTOM - TOP)))
    assert [d.x for d in abstention.dots] == sorted(d.x for d in abstention.dots)
    perfect = charts(audit(abstention=((1.0, 1.0), (0.0, 0.0))))[1]
    for found in (*abstention.dots, *perfect.dots):
        assert LEFT <= found.x <= RIGHT
        assert TOP <= found.y <= BOTTOM


def test_the_report_shows_an_audit(tmp_path: Path) -> None:
    assert section(tmp_path / "audit.json") is None
    write_audit(tmp_path / "audit.json", audit())
    text = write_report(tmp_path).read_text("utf-8")
    assert "labels of the profile standard against the truth of 2 videos" in text
    assert text.count("<figure>") == 2
    assert "How speaking.ap is counted." in text
    assert 'href="#accuracy"' in text


def test_a_hostile_or_damaged_audit_stays_text(tmp_path: Path) -> None:
    bad = measure("speaking.ap", 0.5, title=HOSTILE, definition=HOSTILE, by=HOSTILE)
    write_audit(tmp_path / "audit.json", audit(bad, replace(bad, by=""), notes=(HOSTILE,)))
    assert "<script" not in write_report(tmp_path).read_text("utf-8")
    write_json(tmp_path / "audit.json", plain(audit()) | {"version": 99})
    with pytest.raises(BadShard, match="version 99"):
        write_report(tmp_path)

"""The proof table: what fails shows, what cannot be checked says why, and rows are plain JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mitds.benchmark.proofs import PROOFS, Proof
from mitds.benchmark.proofs.page import Proven, prove, write_page
from mitds.errors import MissingWeights
from mitds.registry import Registry


def proof(measured: float, differs: bool = False) -> Proof:
    return Proof(
        metric="m@1",
        check="a | b",
        expected=1.0,
        measured=measured,
        tolerance=0.1,
        source="here",
        differs=differs,
    )


def proofs() -> Iterator[Proof]:
    yield proof(1.05)
    raise MissingWeights("the weight x cannot be had", remedy="Put it there.")


def test_a_row_holds_within_its_tolerance_and_a_trap_beyond_it():
    assert proof(1.05).holds
    assert not proof(1.2).holds
    assert not proof(1.05, differs=True).holds
    assert proof(1.2, differs=True).holds
    assert not proof(float("nan")).holds


def test_rows_of_numpy_numbers_are_plain_json():
    text = json.dumps(Proven("t", proof(np.float64(1.05))).plain())  # type: ignore[arg-type]
    assert json.loads(text)["holds"] is True


def test_what_cannot_be_checked_says_why_and_keeps_the_rows_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    registry: Registry[object] = Registry("proof", {"mine": f"{__name__}:proofs"})
    monkeypatch.setattr("mitds.benchmark.proofs.page.PROOFS", registry)
    monkeypatch.setattr(registry, "get", lambda topic: proofs)
    rows = prove()
    assert [row.holds for row in rows] == [True, True]
    assert "cannot be had" in rows[1].plain()["unchecked"]
    write_page(tmp_path / "metrics.md", rows, None)
    page = (tmp_path / "metrics.md").read_text()
    assert "a \\| b" in page
    assert "1 rows checked, 0 fail" in page


def test_every_topic_can_be_imported():
    assert all(callable(PROOFS.get(topic)) for topic in PROOFS.names())

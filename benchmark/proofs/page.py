"""docs/metrics.md: what each metric is, its scale on a release, and the proof of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitds.benchmark.cards import all_cards
from mitds.benchmark.contracts import Card
from mitds.benchmark.evaluation.anchors import read_anchors
from mitds.benchmark.evaluation.summary import Anchors
from mitds.benchmark.proofs import PROOFS, Proof
from mitds.benchmark.release import open_release
from mitds.benchmark.words import number_text
from mitds.errors import MissingDependency, MissingWeights
from mitds.store import write_bytes

_HEAD = """# Metrics

What each metric is, where its scale begins and ends, and the proof of its numbers. This page is written by

    mitds metrics proof --out docs/metrics.md [--release DIR]

Values are float64, a function of decoded pictures, sound and labels alone: the same for any number of workers, any
order of files and any container. `docs/error-budget.md` says what each step from decoding to the mean can move.
"""


@dataclass(frozen=True, slots=True)
class Proven:
    """A row of the proof table, or the reason why it could not be checked here."""

    topic: str
    proof: Proof | None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """False where the proof fails; what could not be checked does not fail."""
        return self.proof is None or self.proof.holds

    def plain(self) -> dict[str, Any]:
        """Return the row as JSON."""
        if self.proof is None:
            return {"topic": self.topic, "unchecked": self.reason}
        names = (
            "metric",
            "check",
            "expected",
            "measured",
            "difference",
            "tolerance",
            "differs",
            "source",
            "holds",
        )
        found = {name: getattr(self.proof, name) for name in names}
        return found | {
            name: float(found[name]) for name in ("expected", "measured", "difference", "tolerance")
        }

    def words(self) -> dict[str, str]:
        """Return the row as texts."""
        if self.proof is None:
            return dict.fromkeys(("expected", "measured", "difference"), "") | {
                "metric": self.topic,
                "check": self.reason,
                "holds": "not checked here",
            }
        proof = self.proof
        sign = "> " if proof.differs else "≤ "
        return {
            "metric": proof.metric,
            "check": proof.check,
            "expected": f"{proof.expected:.14g}",
            "measured": f"{proof.measured:.14g}",
            "difference": f"{proof.difference:.2g} ({sign}{proof.tolerance:.2g})",
            "holds": "yes" if proof.holds else "NO",
            "source": proof.source,
        }


def prove() -> list[Proven]:
    """Check every proof; those that need an absent library or weight say so."""
    return [row for topic in PROOFS.names() for row in _topic(topic)]


def _topic(topic: str) -> list[Proven]:
    rows: list[Proven] = []
    try:
        for proof in PROOFS.get(topic)():
            rows.append(Proven(topic, proof))
    except (MissingDependency, MissingWeights) as error:
        rows.append(Proven(topic, None, str(error)))
    return rows


def write_page(path: Path, rows: Sequence[Proven], release: Path | None) -> None:
    """Write the page; with a release, its floors and real values too."""
    anchors = None
    if release is not None:
        opened = open_release(release)
        anchors = read_anchors(opened.folder, opened.release)
    parts = [_HEAD, "## Definitions\n", *map(_card, all_cards()), _scale(all_cards(), anchors), _proofs(rows)]
    write_bytes(path, "\n".join(parts).encode())


def _card(card: Card) -> str:
    better = {"higher": "higher is better", "lower": "lower is better", "closer": "closer to real is better"}
    facts = [better[card.better], f"needs: {card.needs}"]
    facts += [f"unit: {card.unit}"] if card.unit else []
    facts += [f"axis of the aggregate: **{card.axis}**"] if card.axis else []
    facts += [f"weights: {', '.join(f'`{w}`' for w in card.weights)}"] if card.weights else []
    facts += [f"tolerance {card.tolerance:g}"]
    return f"**`{card.id}`** {card.title}. {card.says}\n<br>{'; '.join(facts)}. Source: {card.source}.\n"


def _scale(cards: Sequence[Card], anchors: Anchors | None) -> str:
    lines = ["## Floor and real footage\n"]
    if anchors is None:
        lines += [
            "Chance is the value of the control named; `mitds release anchors` measures it on a release.\n"
        ]
    else:
        lines += [
            "Chance is the value of the control named, real the value of the real footage encoded once more; both"
            f" measured on a release of {_places(anchors)} items.\n"
        ]
    lines += ["| metric | chance | floor | real |", "|---|---|---|---|"]
    for card in cards:
        anchor = anchors.metrics.get(card.id) if anchors is not None else None
        floor = number_text(anchor.floor, 4) if anchor else "–"
        real = number_text(anchor.real, 4) if anchor else "–"
        lines.append(f"| `{card.id}` | {card.floor} | {floor} | {real} |")
    return "\n".join(lines) + "\n"


def _places(anchors: Anchors) -> int:
    return max(
        (len({name.partition("/")[0] for name in a.penalty}) for a in anchors.metrics.values()), default=0
    )


def _proofs(rows: Sequence[Proven]) -> str:
    lines = [
        "## Proof\n",
        "| metric | check | expected | measured | difference (allowed) | holds | reference |",
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        words = {name: text.replace("|", "\\|").replace("\n", " ") for name, text in row.words().items()}
        cells = ("metric", "check", "expected", "measured", "difference", "holds", "source")
        lines.append("| " + " | ".join(words.get(cell, "") for cell in cells) + " |")
    failing = sum(not row.holds for row in rows)
    checked = sum(row.proof is not None for row in rows)
    lines.append(
        f"\n{checked} rows checked, {failing} fail. Rows marked > must differ: they document a trap.\n"
    )
    return "\n".join(lines)

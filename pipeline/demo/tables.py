"""The demo's tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from mitds.manifests.dataset import LoadedClip
from mitds.manifests.records import Person


def clips_table(clips: Sequence[LoadedClip]) -> Table:
    """Show each kept clip and the people found in it."""
    table = Table(title="Clips", title_justify="left", show_edge=False)
    for column in ("source", "seconds", "person", "speaks", "voice", "face", "pose"):
        table.add_column(column, overflow="fold")
    for clip in clips:
        record = clip.clip
        table.add_row(
            escape(record.source_name),
            f"{float(record.start):.1f}-{float(record.end):.1f}",
            "\n".join(p.identity for p in record.persons) or "-",
            "\n".join(_spoken(p) for p in record.persons),
            "\n".join(_voice(p) for p in record.persons),
            "\n".join(f"{row.mean():.0%}" for row in clip.arrays.visible_NT),
            "\n".join(f"{_posed(row):.0%}" for row in clip.arrays.pose_NTK3),
            end_section=True,
        )
    return table


def _spoken(person: Person) -> str:
    return f"{sum(t.end_s - t.start_s for t in person.turns):.1f} s"


def _voice(person: Person) -> str:
    if person.voice is None or person.voice_probability is None:
        return person.voice_status
    return f"{person.voice} (p {person.voice_probability:.2f})"


def _posed(pose_TK3: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """Share of frames with a nose and both shoulders."""
    return float((pose_TK3[:, [0, 5, 6], 2] > 0.3).all(axis=1).mean())

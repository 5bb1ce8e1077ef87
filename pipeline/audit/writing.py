"""Where an audit goes: ``audit.json``, and from there into the report of an annotated folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mitds.pipeline.audit.reading import folder_of
from mitds.pipeline.audit.results import Audit, write_audit
from mitds.pipeline.report import write_report


def write(audit: Audit, shards: Sequence[str], out: Path | None = None) -> tuple[Path, Path | None]:
    """Write ``audit.json``, and the report anew where the folder is one that annotate wrote.

    Args:
        audit: What was found.
        shards: The audited shards; their folder is where to write unless `out` says otherwise.
        out: Folder to write to; made if missing.

    Returns:
        The audit's path, and the report's or None.
    """
    folder = out or folder_of(shards)
    path = folder / "audit.json"
    write_audit(path, audit)
    return path, write_report(folder) if (folder / "run.json").is_file() else None

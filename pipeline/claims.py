"""What may be written where: a run never replaces what another command, or another list, left in a folder."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from mitds.errors import UsageError
from mitds.manifests.schemas import read_table
from mitds.store import storage_errors


def claim(out: Path, command: str) -> None:
    """Make the output folder ready for a command.

    Raises:
        UsageError: It is no folder, or holds what another command wrote.
        StorageFault: It cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise UsageError("the output is not a folder", where=str(out), remedy="Choose another --out.")
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    run = out / "run.json"
    earlier = json.loads(run.read_text()).get("command") if run.is_file() else command
    if earlier != command:
        raise UsageError(
            f"the folder holds what mitds {earlier} wrote", where=str(out), remedy="Choose another --out."
        )


def keep_earlier(out: Path, table: str, column: str, present: Collection[str], what: str) -> None:
    """Refuse to replace the results of inputs that this run does not have.

    Args:
        out: The output folder.
        table: Parquet file of an earlier run, if there was one.
        column: Its column that names the inputs.
        present: The inputs of this run.
        what: What they are, for the message.

    Raises:
        UsageError: Naming how many would be lost.
    """
    path = out / table
    if not path.is_file():
        return
    rows = read_table(path, columns=[column, "status"]).to_pylist()
    lost = {row[column] for row in rows if row["status"] == "kept"} - set(present)
    if lost:
        raise UsageError(
            f"an earlier run kept {len(lost)} {what} that this one does not have, {min(lost)} for one",
            where=str(out),
            remedy="Choose another --out, or delete the folder if it is no longer wanted.",
        )

"""A removal that dies at any change of the file system whatever is completed by the next call, to the same bytes."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from mitds.pipeline.rights.remove import remove
from tests.rights_cases import asked, build, folders, killed_after, tree

pytestmark = pytest.mark.long


def test_a_removal_killed_anywhere_is_completed_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = build(tmp_path / "world")
    shutil.copytree(world, tmp_path / "wanted")
    remove(folders(tmp_path / "wanted"), asked())
    expected = tree(tmp_path / "wanted")
    for changes in itertools.count():
        run = tmp_path / str(changes)
        shutil.copytree(world, run)
        killed = killed_after(changes, folders(run), monkeypatch)
        remove(folders(run), asked())
        assert tree(run) == expected, f"killed at change {changes}"
        shutil.rmtree(run)
        if not killed:
            break
    assert changes > 40

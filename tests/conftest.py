"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webserver import Site, serving

# Tests run side by side: each process keeps to one core. Set before anything imports a numerical library.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MITDS_SHARED", ROOT.parent / "shared"))


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on loopback that answers as the test tells it to."""
    with serving() as site:
        yield site


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The team's third-party test media; tests that need it skip where it is not."""
    folder = SHARED / "media"
    if not folder.is_dir():
        pytest.skip(f"no test media at {folder} (set MITDS_SHARED)")
    return folder


@pytest.fixture(scope="session")
def lr_asd_weights(_shared_weights: None) -> Path:
    """The file of LR-ASD, which no package carries; tests that need it skip where it cannot be had."""
    from mitds.errors import MissingWeights
    from mitds.weights import resolve

    try:
        return resolve("asd.lr_asd")
    except MissingWeights:
        pytest.skip("the weight asd.lr_asd cannot be had here: it lies at an https URL only")


@pytest.fixture(scope="session", autouse=True)
def _shared_weights() -> None:
    """Let the resolver find weights that no package carries, where they lie beside the checkout."""
    folder = SHARED / "weights"
    if folder.is_dir():
        known = os.environ.get("MITDS_WEIGHTS", "")
        os.environ["MITDS_WEIGHTS"] = os.pathsep.join(filter(None, [known, str(folder)]))

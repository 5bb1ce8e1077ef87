"""Fixtures of the long tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability_tools import Whole, unbroken


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An unbroken run over six films."""
    return unbroken(tmp_path_factory.mktemp("whole"), 6)

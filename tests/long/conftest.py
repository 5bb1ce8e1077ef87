"""Fixtures of the long tests."""

from __future__ import annotations

import pytest

from tests.reliability_tools import Whole, unbroken


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """An unbroken run over three films."""
    return unbroken(tmp_path_factory.mktemp("whole"), 3)

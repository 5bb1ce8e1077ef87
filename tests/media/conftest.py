"""Fixtures of the media tier."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitds.pipeline.demo import run_demo


@pytest.fixture(scope="session")
def demo_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `mitds demo` annotates: a statement, and a conversation set side by side; from the package index alone."""
    out = tmp_path_factory.mktemp("demo") / "out"
    run_demo(out, profile="embedded", workers=2, quiet=True)
    return out / "clips"

"""Fixtures of the media tier."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from mitds.pipeline.demo import run_demo


@pytest.fixture(scope="session")
def demo_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `mitds demo` annotates: a statement, and a composed conversation; from the package index alone.

    Test processes that run side by side share one demo: the first makes it, the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    done = folder / "demo" / "done"
    with (folder / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_file():
            run_demo(done.parent, profile="embedded", workers=2, quiet=True)
            done.touch()
    return done.parent / "clips"

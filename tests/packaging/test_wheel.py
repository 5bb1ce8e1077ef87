"""What the wheel holds: every module and data file of the six folders, and no generic top-level name."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("pipeline", "annotators", "benchmark", "baselines", "manifests")
DATA = {".py", ".toml", ".html", ".css", ".yaml", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from a copy, so that no build folder of an earlier run leaks into it."""
    work = tmp_path_factory.mktemp("wheel")
    copy = work / "checkout"
    ignored = shutil.ignore_patterns(
        ".venv", ".git", ".links", "build", "*.egg-info", "__pycache__", "demo-out", ".*_cache"
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    # The environment's own setuptools would be used with --no-isolation; isolation needs the index, as pip does.
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(work), str(copy)],
        check=True,
        capture_output=True,
    )
    (path,) = work.glob("*.whl")
    return zipfile.ZipFile(path)


def expected() -> set[str]:
    names = {
        f"mitds/{path.relative_to(ROOT / 'src' / 'mitds')}"
        for path in (ROOT / "src" / "mitds").rglob("*")
        if path.suffix in DATA
    }
    for folder in FOLDERS:
        names |= {f"mitds/{p.relative_to(ROOT)}" for p in (ROOT / folder).rglob("*") if p.suffix in DATA}
    return {name for name in names if "__pycache__" not in name}


def test_wheel_holds_every_file_of_every_room(wheel: zipfile.ZipFile):
    assert expected() - set(wheel.namelist()) == set()


def test_wheel_has_one_top_level_name_and_no_tests(wheel: zipfile.ZipFile):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"mitds"}
    assert not [name for name in wheel.namelist() if "/tests/" in name]


def test_wheel_installs_the_command(wheel: zipfile.ZipFile):
    (entry_points,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
    assert "mitds = mitds.cli:main" in wheel.read(entry_points).decode()

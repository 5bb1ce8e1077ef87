"""Which room may import which, and what importing mitds may not pull in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "manifests": {"manifests"},
    "annotators": {"annotators", "manifests"},
    "pipeline": {"pipeline", "annotators", "manifests"},
    "benchmark": {"benchmark", "annotators", "manifests"},
    "baselines": {"baselines", "manifests"},
}
HEAVY = ("torch", "cv2", "ray", "onnxruntime", "av", "pandas", "pyarrow", "scipy", "requests", "yt_dlp")


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms a file imports at module level or later, type-checking imports included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
    return {n.split(".")[1] for n in names if n.startswith("mitds.") and n.split(".")[1] in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_lies_below_them(room: str):
    wrong = {
        str(path.relative_to(ROOT)): sorted(extra)
        for path in sorted((ROOT / room).rglob("*.py"))
        if (extra := imported_rooms(path) - ROOMS[room])
    }
    assert not wrong


def test_core_is_below_all_rooms_but_for_the_command_line_and_the_records():
    allowed = {
        "cli.py": set(ROOMS),
        "cli_parts.py": {"pipeline"},
        "cli_compose.py": {"pipeline"},
        "cli_audit.py": {"pipeline", "annotators"},
        "cli_rights.py": {"pipeline"},
        "cli_scale.py": {"pipeline", "manifests"},
        "cli_status.py": {"pipeline"},
        "cli_fit.py": {"annotators"},
        "cli_benchmark.py": {"benchmark"},
        "cli_baselines.py": {"baselines", "benchmark"},
        "__init__.py": {"manifests"},
    }
    wrong = {}
    for path in sorted((ROOT / "src" / "mitds").rglob("*.py")):
        extra = imported_rooms(path) - allowed.get(path.name, set())
        if path.parent.name == "media":
            extra -= {"manifests"}
        if extra:
            wrong[str(path.relative_to(ROOT))] = sorted(extra)
    assert not wrong


@pytest.mark.parametrize(
    "module",
    ["mitds", "mitds.cli", "mitds.manifests.records", "mitds.annotators.registries", "mitds.weights"],
)
def test_import_stays_light(module: str, tmp_path: Path):
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


def test_no_bare_room_is_imported_by_any_source_file():
    bare = []
    for folder in (*ROOMS, "src", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
                names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
                bare += [f"{path}: {n}" for n in names if n and n.split(".")[0] in ROOMS]
    assert not bare

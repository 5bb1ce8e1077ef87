"""What can and cannot run on this machine, and why. Looks only: nothing is fetched, made or changed."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from mitds.annotators.registries import PROFILES, WEIGHTS
from mitds.weights.cache import cache_root
from mitds.weights.resolver import State, status

Level = Literal["ok", "warn", "fail"]

PYTHONS = ((3, 11), (3, 13))
GIB = 1 << 30
REINSTALL = "Install mitds again: python -m pip install --force-reinstall mitds."


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: "ok", "warn" (something optional is missing or tight) or "fail" (mitds cannot run)."""

    name: str
    level: Level
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a profile needs beyond others: distributions, what installs them, a GPU."""

    packages: tuple[str, ...] = ()
    install: str = REINSTALL
    cuda: bool = False


_CORE = Needs(
    packages=(
        *(
            "numpy",
            "scipy",
            "pandas",
            "pyarrow",
            "ray",
            "webdataset",
            "fsspec",
            "torch",
            "onnx",
            "onnxruntime",
        ),
        *(
            "ai-edge-litert",
            "safetensors",
            "av",
            "soundfile",
            "opencv-python-headless",
            "scenedetect-headless",
        ),
        *("yt-dlp", "requests", "packaging", "typer", "rich", "jinja2", "pyyaml"),
    ),
)
_HUB = Needs(
    packages=("pyannote.audio", "torchaudio"),
    install="python -m pip install 'mitds[diar]' (docs/full-strength.md).",
    cuda=True,
)
_BEYOND_CORE = {"full": (_HUB,)}


def examine() -> list[Check]:
    """Examine this machine.

    Returns:
        All findings: the interpreter, packages, accelerators, codecs, room, weights, each profile, telemetry.
    """
    states = {state.weight.name: state for state in status()}
    return [
        _python(),
        _packages("packages", _CORE, "fail"),
        _packages("packages for full strength", _HUB, "warn"),
        _loaded("torch", _torch),
        _loaded("onnxruntime", _onnxruntime),
        _loaded("av", _av),
        _loaded("cv2", lambda cv2: Check("opencv", "ok", cv2.__version__)),
        _loaded("ai_edge_litert", lambda module: Check("litert", "ok", _version("ai-edge-litert") or "")),
        _loaded("ray", lambda ray: Check("ray", "ok", ray.__version__)),
        _disk("disk for the cache", cache_root(), "Set MITDS_CACHE to a folder with more room."),
        _disk("disk here", Path.cwd(), "Work in a folder with more room (--out)."),
        _memory(),
        _cores(),
        *(_profile(name, (_CORE, *_BEYOND_CORE.get(name, ())), states) for name in PROFILES),
        *_telemetry(),
    ]


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    good = PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]
    return (
        Check("python", "ok", found) if good else Check("python", "fail", found, "Use Python 3.11 to 3.13.")
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages(name: str, needs: Needs, level: Level) -> Check:
    versions = {package: _version(package) for package in needs.packages}
    missing = [package for package, version in versions.items() if version is None]
    if missing:
        return Check(name, level, f"missing: {', '.join(missing)}", needs.install)
    return Check(name, "ok", ", ".join(f"{package} {version}" for package, version in versions.items()))


def _loaded(module_name: str, examined: Callable[[ModuleType], Check]) -> Check:
    """Import a package, because one that is installed may still not load here."""
    try:
        return examined(importlib.import_module(module_name))
    except (ImportError, OSError) as error:  # OSError: a shared library that does not fit
        return Check(module_name, "fail", f"cannot be imported: {error}", REINSTALL)


def _torch(torch: ModuleType) -> Check:
    if torch.cuda.is_available():
        device = f"cuda: {torch.cuda.get_device_name(0)}"
    else:
        device = "mps" if torch.backends.mps.is_available() else "cpu only"
    return Check("torch", "ok", f"{torch.__version__}, {device}")


def _onnxruntime(onnxruntime: ModuleType) -> Check:
    providers = onnxruntime.get_available_providers()
    return Check("onnxruntime", "ok", f"{onnxruntime.__version__}, {', '.join(providers)}")


def _av(av: ModuleType) -> Check:
    libraries = ", ".join(f"{k} {'.'.join(map(str, v))}" for k, v in sorted(av.library_versions.items()))
    found = f"av {av.__version__} with {libraries}"
    lacking = {"h264", "hevc", "av1", "aac", "libx264", "flac"} - av.codecs_available
    if lacking:
        return Check("media", "fail", f"{found}; no codec {', '.join(sorted(lacking))}", REINSTALL)
    return Check("media", "ok", found)


def _disk(name: str, folder: Path, remedy: str) -> Check:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    found = f"{free / GIB:.1f} GiB free at {folder}"
    if not os.access(there, os.W_OK):
        return Check(name, "fail", f"{there} cannot be written", remedy)
    level: Level = "fail" if free < GIB else "warn" if free < 5 * GIB else "ok"
    return Check(name, level, found, "" if level == "ok" else remedy)


def _memory() -> Check:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's share
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        size = min(size, int(text))
    found = f"{size / GIB:.1f} GiB"
    if size < 4 * GIB:
        return Check("memory", "warn", found, "Run with --workers 1.")
    return Check("memory", "ok", found)


def _cores() -> Check:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", "ok", f"{count} of {os.cpu_count()} usable")


def _profile(name: str, parts: tuple[Needs, ...], states: dict[str, State]) -> Check:
    packages = [(p, part.install) for part in parts for p in part.packages if _version(p) is None]
    weights = {weight for backend in PROFILES[name].values() for weight in WEIGHTS[backend]}
    wanted = [states[weight] for weight in sorted(weights)]
    unready = [state for state in wanted if state.state != "ready"]
    own = [state for state in unready if state.weight.kind == "user"]
    title = f"profile {name}"
    if packages or own:
        lacking = [*(p for p, _ in packages), *(f"{s.weight.name} ({s.weight.file})" for s in own)]
        remedies = dict.fromkeys([*(i for _, i in packages), *(f"Bring {s.weight.source}." for s in own)])
        level: Level = "warn" if name == "full" else "fail"
        return Check(title, level, f"cannot run: missing {', '.join(lacking)}", " ".join(remedies))
    if any(part.cuda for part in parts) and not _has_cuda():
        return Check(title, "warn", "runs, slowly: no CUDA device", "Use a machine with a GPU, or standard.")
    if unready:
        size = sum(state.weight.bytes or 0 for state in unready) / 1e6
        found = f"can run after {len(unready)} weights ({size:.1f} MB) are fetched"
        names = " ".join(state.weight.name for state in unready)
        return Check(title, "warn", found, f"mitds weights pull {names}")
    return Check(title, "ok", f"can run; all {len(wanted)} weights are here")


def _has_cuda() -> bool:
    torch = sys.modules.get("torch")  # examined before, where it loads at all
    return torch is not None and torch.cuda.is_available()


def _telemetry() -> list[Check]:
    """Say what the reporting switches of packages are set to; mitds sets those left open to off."""
    switches = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYANNOTE_METRICS_ENABLED": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    checks = []
    for switch, off in switches.items():
        value = os.environ.get(switch, "")
        name = f"telemetry {switch}"
        if value and value != off:
            checks.append(Check(name, "warn", f"set to {value}: reports are sent", f"export {switch}={off}"))
        else:
            checks.append(Check(name, "ok", f"off{'' if value else ' (mitds sets it)'}"))
    return checks

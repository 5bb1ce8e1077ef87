"""Fingerprints of stages: digests of all that decides a stage's results besides its items."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Any

from mitds import __version__
from mitds.annotators.registries import WEIGHTS
from mitds.config import digest
from mitds.pipeline.settings import AnnotateConfig

CODE = ("mitds.annotators", "mitds.media", "mitds.pipeline.stages", "mitds.manifests")
"""The packages whose code, and whose weights, decide results."""
MODULES = ("mitds.pipeline.selection", "mitds.pipeline.near_duplicates", "mitds.runs", "mitds.time")
"""The modules besides."""
LIBRARIES = (
    *(
        "av",
        "numpy",
        "onnxruntime",
        "opencv-python-headless",
        "scipy",
        "torch",
        "ai-edge-litert",
        "soundfile",
    ),
    *("scenedetect-headless", "pyannote.audio", "torchaudio", "transformers", "mmpose"),
)
"""The libraries that decide results."""


def tool() -> str:
    """Return the name and version of this program."""
    return f"mitds {__version__}"


@cache
def libraries() -> dict[str, str]:
    """Return the versions of the libraries that decide results; those that are not installed decide nothing."""
    versions = {name: _version(name) for name in LIBRARIES}
    return {name: version for name, version in versions.items() if version}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


@cache
def code() -> str:
    """Return a digest of the code that makes results, so that a changed program trusts no older results."""
    whole = hashlib.sha256(f"{tool()} {sorted(libraries().items())}".encode())
    for package in CODE:
        for name, file in sorted(_files(resources.files(package), package)):
            whole.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    for module in MODULES:
        package, _, name = module.rpartition(".")
        file = resources.files(package) / f"{name}.py"
        whole.update(f"{module}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _files(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files(entry, f"{prefix}/{entry.name}") if entry.name != "__pycache__" else []
        elif entry.name.endswith((".py", ".safetensors", ".npz", ".json", ".toml")):
            found.append((f"{prefix}/{entry.name}", entry))
    return found


def annotate_fingerprints(
    config: AnnotateConfig, weights: Mapping[str, str], people: object
) -> dict[str, str]:
    """Return the fingerprint of each stage of annotate.

    Args:
        config: All settings.
        weights: sha256 by name of the weights in use.
        people: Settings of the stage "people".
    """

    def family(name: str, *reads: str) -> str:
        backend = config.backends[name]
        used = {weight: weights[weight] for weight in WEIGHTS.get(backend, ())}
        return digest(code(), backend, getattr(config, name), used, reads)

    def measures() -> dict[str, str]:
        return {weight: weights[weight] for weight in config.quality.weights()}

    prints: dict[str, Any] = {"sound": digest(code()), "faces": family("faces"), "voices": family("speech")}
    prints["speaking"] = family("asd", prints["faces"])
    prints["people"] = digest(code(), people, prints["faces"], prints["voices"], prints["speaking"])
    prints["quality"] = digest(code(), config.quality, measures(), prints["voices"])
    prints["fingerprints"] = prints["quality"]
    prints["poses"] = digest(family("pose"), config.occlusion)
    prints["clips"] = digest(code(), config.clip)
    return prints

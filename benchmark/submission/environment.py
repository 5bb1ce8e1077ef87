"""environment.json: what the videos were scored with, as far as it can move a number."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import av

from mitds import __version__
from mitds.benchmark.cards import card_of
from mitds.weights.catalog import find

_NAMED = ("numpy", "scipy", "torch", "onnxruntime", "opencv-python-headless", "av", "ai-edge-litert")


def environment(metrics: Sequence[str], signature: str | None) -> dict[str, Any]:
    """Describe this machine and these versions.

    Args:
        metrics: Ids of the metrics that were measured.
        signature: Of the evaluation's results.
    """
    cards = [card_of(metric) for metric in sorted(metrics)]
    installed = sorted({f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions()})
    return {
        "schema": "mitds-environment/1",
        "mitds": __version__,
        "python": platform.python_version(),
        "platform": platform.platform()[:200],
        "device": _device(),
        "decoder": {name: ".".join(map(str, v)) for name, v in sorted(av.library_versions.items())},
        "packages": {name: version for name in _NAMED if (version := _version(name))},
        "lock": hashlib.sha256("\n".join(installed).encode()).hexdigest(),
        "metrics": {card.id: card.tolerance for card in cards},
        "backbones": {w: sha for card in cards for w in card.weights if (sha := find(w).sha256)},
        "signature": signature,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _device() -> str:
    return (platform.processor() or platform.machine())[:200]

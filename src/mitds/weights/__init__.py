"""Weights by name: content-addressed, from ordered mirrors, checked and cached."""

from __future__ import annotations

import os
import tomllib
from importlib.resources import files
from pathlib import Path

from mitds.errors import MissingWeights


def resolve(name: str) -> Path:
    """Return the verified local file of a weight ("faces.yunet")."""
    catalog = tomllib.loads(files("mitds.weights").joinpath("catalog.toml").read_text())
    family, _, item = name.partition(".")
    entry = catalog[family][item]
    for folder in os.environ.get("MITDS_WEIGHTS", "").split(os.pathsep):
        path = Path(folder) / entry["file"]
        if path.is_file():
            return path
    raise MissingWeights(f"{name} is not there", remedy="Set MITDS_WEIGHTS.")

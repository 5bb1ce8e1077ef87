"""A trained baseline on disk: recipe, weights, and what is to be known about them; what every reader of one uses."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitds.baselines.recipe import Recipe
from mitds.config import build, digest, plain
from mitds.errors import InputFault, MissingDependency, StorageFault, UsageError
from mitds.store import atomic_path, sha256_file, write_json

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEMA = "mitds.baseline/1"
RECIPE, NETWORK, AUTOENCODER = "recipe.json", "network.safetensors", "autoencoder.safetensors"
_SHA256 = re.compile("[0-9a-f]{64}")
_ABOUT: dict[str, type | tuple[type, ...]] = {
    "origin": dict, "data": str, "clips": list, "left_out": dict, "unused": dict, "parameters": int, "losses": dict,
    "seconds": (int, float),
}  # fmt: skip
_ORIGIN = {"data", "autoencoder", "stage1"}
"""What readers ask of `about`; there may be more."""
_ANEW = "Fetch the folder anew, or train again."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model, in memory.

    Attributes:
        recipe: What it is.
        network: `contracts.Network`, for evaluation.
        autoencoder: Pictures to latents and back.
        about: What it was trained on, by what, for how long.
        files: sha256 by file of weights.
    """

    recipe: Recipe
    network: nn.Module
    autoencoder: nn.Module
    about: dict[str, Any]
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """Name of exactly these weights under exactly this recipe; equal trainings give equal ones."""
        return digest(self.recipe, self.files)


@dataclass(frozen=True, slots=True)
class Description:
    """What `recipe.json` says, without the weights.

    Attributes:
        recipe: What the model is.
        about: What it was trained on, by what, for how long.
        files: sha256 by file of weights.
        layouts: Configurations of networks that began with published weights, by part (`networks.layouts`).
    """

    recipe: Recipe
    about: dict[str, Any]
    files: dict[str, str]
    layouts: dict[str, Any]


def need_packages(*more: str) -> None:
    """Make sure that the packages are here that only baselines need.

    Args:
        more: Others that are needed too.

    Raises:
        MissingDependency: Naming the package, and what installs it.
    """
    for package in ("diffusers", "accelerate", "transformers", *more):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependency(
                f"trainable baselines need the package {package!r}, which cannot be imported: {error}",
                remedy="Install it: pip install 'mitds[train]'.",
            ) from error


def describe(folder: Path) -> Description:
    """Read what a checkpoint says of itself; no weight is touched.

    Raises:
        UsageError: If the folder is no checkpoint.
        InputFault: If its recipe is damaged, or of another version.
    """
    path = folder / RECIPE
    if not path.is_file():
        raise UsageError(
            "there is no trained model here", where=str(folder),
            remedy="Name a folder in which mitds train has finished.",
        )  # fmt: skip
    try:
        said = json.loads(path.read_bytes())
        if said["schema"] != SCHEMA:
            raise InputFault(
                f"the model is of version {said['schema']!r}, not {SCHEMA!r}", where=str(path),
                remedy="Use the version of mitds that wrote it, or train again.",
            )  # fmt: skip
        recipe = build(Recipe, said["recipe"], where=RECIPE)
        found = Description(recipe, said["about"], said["files"], said.get("layouts", {}))
        _check(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputFault(f"not a readable recipe: {error}", where=str(path), remedy=_ANEW) from error
    return found


def _check(said: Description) -> None:
    """Refuse what is not as `save_checkpoint` writes it, with a ValueError."""
    for name, kind in {"about": dict, "files": dict, "layouts": dict}.items():
        if not isinstance(getattr(said, name), kind):
            raise ValueError(f"{name} is no mapping")
    if said.files.keys() != {NETWORK, AUTOENCODER}:
        raise ValueError(f"files are {', '.join(sorted(said.files))}, not {NETWORK} and {AUTOENCODER}")
    for name, digest_ in said.files.items():
        if not isinstance(digest_, str) or not _SHA256.fullmatch(digest_):
            raise ValueError(f"{name} has no sha256")
    for name, kinds in _ABOUT.items():
        if not isinstance(said.about.get(name), kinds):
            raise ValueError(f"about.{name} is missing, or of another kind")
    origin = said.about["origin"]
    if origin.keys() != _ORIGIN or not all(isinstance(value, str) for value in origin.values()):
        raise ValueError("about.origin is of another kind")


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read a trained model, from nothing but its folder: weights that it began with are not read again.

    Raises:
        UsageError: If the folder is no checkpoint.
        InputFault: If a file is torn, was changed, or does not fit the recipe.
        MissingDependency: If a package is missing that builds the networks.
    """
    need_packages()
    from mitds.baselines.networks import build_network
    from mitds.baselines.networks.layouts import from_layouts

    said = describe(folder)
    check_files(folder, said.files)
    with from_layouts(said.layouts):
        network = build_network(said.recipe)
        autoencoder = open_autoencoder(folder, said.recipe)
    load_weights(network, folder / NETWORK)
    return Checkpoint(said.recipe, network.eval(), autoencoder, said.about, said.files)


def check_files(folder: Path, files: Mapping[str, str]) -> None:
    """Make sure that the weights are the ones that the recipe lists.

    Args:
        folder: The checkpoint.
        files: sha256 by file.

    Raises:
        InputFault: If a file is missing, torn, or was changed.
    """
    for name in (NETWORK, AUTOENCODER):
        if not (folder / name).is_file() or sha256_file(folder / name) != files[name]:
            raise InputFault(f"{name} is not the one the recipe lists", where=str(folder), remedy=_ANEW)


def open_autoencoder(folder: Path, recipe: Recipe) -> nn.Module:
    """Read the autoencoder of a folder.

    Raises:
        InputFault: If its file is torn, or does not fit the recipe.
    """
    from mitds.baselines.networks.autoencoder import build_autoencoder

    autoencoder: nn.Module = build_autoencoder(recipe.autoencoder)
    load_weights(autoencoder, folder / AUTOENCODER)
    return autoencoder.eval().requires_grad_(False)


def save_checkpoint(
    folder: Path,
    recipe: Recipe,
    weights: Mapping[str, Tensor],
    about: Mapping[str, Any],
    layouts: Mapping[str, Any] | None = None,
) -> Description:
    """Write a trained model into a folder that holds its autoencoder; its recipe comes last and marks it as whole.

    Args:
        folder: Where the autoencoder lies already.
        recipe: What the model is.
        weights: The network's, by name.
        about: JSON-ready; has at least what `describe` asks for.
        layouts: Of the networks that began with published weights (`networks.layouts.layouts`).
    """
    write_tensors(folder / NETWORK, weights)
    files = {name: sha256_file(folder / name) for name in (NETWORK, AUTOENCODER)}
    found = Description(recipe, plain(about), files, plain(layouts or {}))
    write_json(folder / RECIPE, {"schema": SCHEMA, **plain(found)})
    return found


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors; the file is complete or absent.

    Raises:
        StorageFault: If it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        temporary.touch()
        usual = temporary.stat().st_mode
        try:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary)
            temporary.chmod(usual)  # The library shuts everybody else out.
        except SafetensorError as error:
            raise StorageFault(
                f"cannot write: {error}",
                where=str(path),
                remedy="Free space, then run the same command again.",
            ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors.

    Raises:
        InputFault: If the file is missing, torn, or no safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise InputFault(f"not readable weights: {error}", where=str(path), remedy=_ANEW) from error


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill all parameters and buffers of a module.

    Raises:
        InputFault: If the file is torn, or its names, shapes or types are not exactly the module's.
    """
    found, wanted = read_tensors(path), module.state_dict()
    for name in sorted(found.keys() | wanted.keys()):
        here, there = (_form(tensors.get(name)) for tensors in (found, wanted))
        if here != there:
            raise InputFault(
                f"weights do not fit the recipe: {name} is {here}, not {there}", where=str(path), remedy=_ANEW
            )
    module.load_state_dict(found)


def _form(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"

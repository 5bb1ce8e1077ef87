"""The layouts of networks that began with published weights: with them a trained model opens from its own folder.

What a training began with is then not needed again, wherever it lay.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from torch import nn

from mitds.errors import InputFault

_PARTS = {
    "UNet2DConditionModel": "unet",
    "UNetMotionModel": "denoiser",
    "UNetSpatioTemporalConditionModel": "unet",
    "CLIPVisionModelWithProjection": "image_encoder",
    "AutoencoderKL": "vae",
}
_LAYOUTS: ContextVar[Mapping[str, Any] | None] = ContextVar("layouts", default=None)


def layouts(*modules: nn.Module) -> dict[str, Any]:
    """Return the configuration of each network within modules that published weights can fill, by part, for JSON."""
    found = {}
    for module in (inner for outer in modules for inner in outer.modules()):
        if part := _PARTS.get(type(module).__name__):
            config: Any = module.config
            stated = config.to_dict() if hasattr(config, "to_dict") else config
            # What begins with a line is of the library, and may name a folder.
            found[part] = json.loads(
                json.dumps({k: v for k, v in stated.items() if k[0] != "_"}, default=str)
            )
    return found


@contextlib.contextmanager
def from_layouts(known: Mapping[str, Any]) -> Iterator[None]:
    """Within, networks are built from what `layouts` returned, to be filled later; no source is read."""
    token = _LAYOUTS.set(known)
    try:
        yield
    finally:
        _LAYOUTS.reset(token)


def known_layouts() -> Mapping[str, Any] | None:
    """Return what `from_layouts` was given, inside of it; None elsewhere."""
    return _LAYOUTS.get()


def laid_out(kind: Any, part: str, known: Mapping[str, Any]) -> Any:
    """Return a network of a layout, with random weights.

    Args:
        kind: A model class of diffusers or transformers.
        part: Which of the layouts.
        known: All of them.

    Raises:
        InputFault: If it is missing or damaged.
    """
    try:
        config = known[part]
        of_diffusers = hasattr(kind, "from_config")
        return kind.from_config(config) if of_diffusers else kind(kind.config_class.from_dict(config))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputFault(
            f"the layout of its part {part} is missing or damaged: {error}", remedy="Fetch the model anew."
        ) from error

"""Networks that start from published weights: Stable Diffusion 1.5, AnimateDiff, CLIP and Stable Video Diffusion.

A source is a folder or a hub repository, "owner/name" or "owner/name@revision". What the hub gives is fetched first;
everything is then read from a folder, from safetensors alone, and refused where a key or a shape is not the network's.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel, UNetSpatioTemporalConditionModel
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mitds.baselines.networks.layouts import known_layouts, laid_out
from mitds.baselines.recipe import TrunkConfig
from mitds.errors import MissingWeights, UsageError

_REPOSITORY = re.compile(r"(?P<repo_id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# A whole CLIP holds a text encoder too, and older files hold numbers that are now computed.
_BESIDE_VISION = re.compile(r"text_model\..*|text_projection\..*|logit_scale|.*\.position_ids")
_PICKLES = {".bin", ".ckpt", ".pt", ".pth"}
_NAMED_AT_MOST = 5


class ClipToken(nn.Module):
    """CLIP's embedding of the reference frame as one token; frozen, as in the papers.

    Args:
        clip: A `CLIPVisionModelWithProjection`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False).eval()
        self.register_buffer("mean", torch.tensor(_CLIP_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_CLIP_STD)[:, None, None], persistent=False)

    @torch.no_grad()
    def forward(self, reference_BCHW: Tensor, reference_BLHW: Tensor) -> Tensor:
        """Return token_B1D of the reference.

        Args:
            reference_BCHW: RGB, -1..1; all of it is squeezed into CLIP's square, for people sit at the sides.
            reference_BLHW: Its latent, which CLIP does not look at.
        """
        side = self.clip.config.image_size
        square_BCHW = interpolate(reference_BCHW, (side, side), mode="bicubic", antialias=True)
        shown_BCHW = (square_BCHW.clamp(-1, 1) * 0.5 + 0.5 - self.mean) / self.std
        token: Tensor = self.clip(shown_BCHW.to(self.clip.dtype)).image_embeds
        return token[:, None]


def load_unets(trunk: TrunkConfig) -> tuple[UNet2DConditionModel, UNetMotionModel]:
    """Return the reference U-Net and the denoiser with motion modules, both with the weights of `trunk.source`.

    Raises:
        MissingWeights: If weights cannot be had, are no safetensors, or are not of this layout.
        UsageError: If the recipe states other sizes than the weights have.
    """
    if trunk.reference_input:
        raise UsageError("trunk.reference_input is on, and published weights have no such input")
    unet = load(UNet2DConditionModel, trunk.source, "unet")
    _agree(
        trunk,
        unet.config,
        trunk.source,
        {**_UNET, "heads": "attention_head_dim", "groups": "norm_num_groups"},
    )
    if (known := known_layouts()) is not None:
        return unet, laid_out(UNetMotionModel, "denoiser", known)
    adapter = load(MotionAdapter, trunk.motion_source, "motion_adapter")
    _agree(trunk, adapter.config, trunk.motion_source, _MOTION)
    return unet, UNetMotionModel.from_unet2d(unet, adapter)


def load_svd_unet(trunk: TrunkConfig) -> Any:
    """Return Stable Video Diffusion's U-Net (`UNetSpatioTemporalConditionModel`) with the weights of `trunk.source`.

    Its heads are its own, by resolution: `trunk.heads` has no say.

    Raises:
        MissingWeights: If weights cannot be had, are no safetensors, or are not of this layout.
        UsageError: If the recipe states other sizes than the weights have.
    """
    unet = load(UNetSpatioTemporalConditionModel, trunk.source, "unet")
    _agree(trunk, unet.config, trunk.source, _UNET)
    return unet


def load_image_encoder(trunk: TrunkConfig) -> ClipToken:
    """Return the image embedding of `trunk.image_source`: a CLIP vision model, or all of a CLIP.

    Raises:
        MissingWeights: If weights cannot be had, are no safetensors, or are not of this layout.
        UsageError: If its token has not the numbers that the recipe states.
    """
    from transformers import CLIPVisionModelWithProjection

    clip = load(CLIPVisionModelWithProjection, trunk.image_source, "image_encoder", beside=_BESIDE_VISION)
    _agree(trunk, clip.config.to_dict(), trunk.image_source, {"cross_dim": "projection_dim"})
    return ClipToken(clip)


_UNET = {
    "channels": "block_out_channels",
    "attention": "down_block_types",
    "layers": "layers_per_block",
    "cross_dim": "cross_attention_dim",
}
_MOTION = {
    "channels": "block_out_channels",
    "layers": "motion_layers_per_block",
    "motion_heads": "motion_num_attention_heads",
    "motion_length": "motion_max_seq_length",
}


def _agree(trunk: TrunkConfig, config: Mapping[str, Any], source: str, settings: Mapping[str, str]) -> None:
    """Refuse weights whose sizes are not the recipe's: what is hung on them is built from the recipe."""
    for name, key in settings.items():
        stated, found = getattr(trunk, name), config[key]
        if name == "attention":
            found = tuple("CrossAttn" in kind for kind in found)
        if stated != (tuple(found) if isinstance(found, list) else found):
            raise UsageError(
                f"trunk.{name} is {stated}, and the weights have {found}",
                where=source,
                remedy=f"Set trunk.{name} to what they have, or name other weights.",
            )


def load(kind: Any, source: str, part: str, beside: re.Pattern[str] | None = None) -> Any:
    """Return a model with every one of its weights from a source, in float32; or see `layouts`.

    Args:
        kind: A model class of diffusers or transformers.
        source: Folder or hub repository.
        part: Folder inside of it, where it has one.
        beside: Keys that may be there or not.

    Raises:
        MissingWeights: If weights cannot be had, are no safetensors, or are not of this layout.
        UsageError: If no source is named.
    """
    if (known := known_layouts()) is not None:
        return laid_out(kind, part, known)
    from safetensors import SafetensorError

    stem = "diffusion_pytorch_model" if kind.__module__.startswith("diffusers.") else "model"
    folder = _folder(source, part, stem)
    try:
        is_of = json.loads((folder / "config.json").read_text()).get("_class_name", kind.__name__)
        if is_of != kind.__name__:
            raise MissingWeights(
                f"holds a {is_of}, not a {kind.__name__}", where=source, remedy="Name another source."
            )
        model, info = kind.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32,
            output_loading_info=True, ignore_mismatched_sizes=True,
        )  # fmt: skip
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingWeights(f"cannot be read: {why}", where=str(folder), remedy="Fetch it anew.") from error
    _whole(info, f"{source}, {kind.__name__}", beside)
    return model


def _whole(info: Mapping[str, Any], where: str, beside: re.Pattern[str] | None) -> None:
    """Refuse weights of another network: nothing may be missing, too many, or of another shape."""
    faults = {
        "missing": [key for key in sorted(info["missing_keys"]) if not (beside and beside.fullmatch(key))],
        "not of this network": [
            key for key in sorted(info["unexpected_keys"]) if not (beside and beside.fullmatch(key))
        ],
        "of another shape": sorted(
            f"{key} {tuple(found)} for {tuple(wanted)}" for key, found, wanted in info["mismatched_keys"]
        ),
    }
    told = [
        f"{len(keys)} {what} ({', '.join(keys[:_NAMED_AT_MOST])}{', ...' * (len(keys) > _NAMED_AT_MOST)})"
        for what, keys in faults.items()
        if keys
    ]
    if told:
        raise MissingWeights(
            f"weights do not fit: {'; '.join(told)}", where=where, remedy="Name weights of this layout."
        )


def _folder(source: str, part: str, stem: str) -> Path:
    """Return the folder that holds a model's config.json and safetensors, fetching it where it is on the hub."""
    files = [f"{stem}.safetensors", f"{stem}.safetensors.index.json"]
    if not source:
        raise UsageError(f"the recipe names no {part} weights", remedy="Name them beside trunk.source.")
    root = Path(source).expanduser()
    if not root.is_dir():
        wanted = ["config.json", *files, f"{stem}-*-of-*.safetensors"]
        root = _fetched(source, wanted + [f"{part}/{name}" for name in wanted])
    folder = root / part if (root / part).is_dir() else root
    if not (folder / "config.json").is_file() or not any((folder / name).is_file() for name in files):
        others = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
        raise MissingWeights(
            f"holds no config.json with {files[0]}" + (f", only {', '.join(others)}" if others else ""),
            where=f"{source}: {folder}",
            remedy="Pickles are not read: convert them to safetensors, or name a source that has them.",
        )
    return folder


def _fetched(source: str, patterns: list[str]) -> Path:
    """Return the folder of the hub's cache that holds a repository's files, after fetching them."""
    found = _REPOSITORY.fullmatch(source)
    if not found:
        raise MissingWeights(
            "no such folder", where=source, remedy='Name a folder, or "owner/name@revision".'
        )
    from huggingface_hub import constants, snapshot_download

    # The HTTP package that the hub's client uses itself; its name is not the same in all releases.
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    # The package read its switch from the environment when diffusers imported it.
    if "HF_HUB_DISABLE_TELEMETRY" not in os.environ:
        constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        return Path(snapshot_download(found["repo_id"], revision=found["revision"], allow_patterns=patterns))
    except (OSError, ValueError, httpx.HTTPError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingWeights(
            f"the hub does not give it: {why}",
            where=source,
            remedy="Unset HF_HUB_OFFLINE and check the network (HF_TOKEN for gated weights), or name a folder with it.",
        ) from error

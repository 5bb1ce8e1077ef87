"""Examples rendered and stacked: the one place where pictures, skeletons and masks take their final form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mitds.baselines.conditions.moving import moved
from mitds.baselines.conditions.placement import Placement
from mitds.baselines.conditions.regions import face_boxes, masks, regions
from mitds.baselines.conditions.skeleton import confident, draw
from mitds.baselines.conditions.told import placed
from mitds.baselines.contracts import Batch, Example, Told
from mitds.baselines.recipe import PublishedConfig, Recipe
from mitds.errors import UsageError
from mitds.manifests.records import Array

Pictures = NDArray[np.uint8]
"""uint8 RGB, channels last."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """An example on the model's picture.

    Attributes:
        reference_HWC: The reference frame.
        reference_skeleton_NTHWC: Skeletons of it (T = 1).
        skeleton_NTHWC: Skeletons of the frames.
        region_NHW: Masks of the regions.
        face_NTHW: Masks of the faces.
        inside_HW: Where the picture lies.
        frames_THWC: The frames; None where they are to be generated.
        moved_THWC: The reference with its faces where the frames have them.
    """

    reference_HWC: Pictures
    reference_skeleton_NTHWC: Pictures
    skeleton_NTHWC: Pictures
    region_NHW: Array
    face_NTHW: Array
    inside_HW: Array
    frames_THWC: Pictures | None
    moved_THWC: Pictures | None


def collate(
    examples: Sequence[Example],
    size_HW: tuple[int, int],
    published: PublishedConfig = PublishedConfig(),
    *,
    moving: bool = False,
) -> Batch:
    """Render examples at the model's size and stack them; persons are padded to the largest N.

    Pictures may come at any size, as copies of what boxes and points are measured on.

    Args:
        examples: All of the same T, and all with frames or all without.
        size_HW: Of the model's picture, px.
        published: `regions_to_bottom` and `double_count` are done here.
        moving: Also move the reference's faces to where the frames have them.

    Raises:
        UsageError: If the examples disagree about T or about having frames.
    """
    _check(examples)
    drawn = [render(example, size_HW, published, moving=moving) for example in examples]
    told = [example.told for example in examples]
    persons = max(t.persons for t in told)
    frames = [d.frames_THWC for d in drawn if d.frames_THWC is not None]
    moves = [d.moved_THWC for d in drawn if d.moved_THWC is not None]

    def padded(rows: Callable[[Rendered], Pictures]) -> Tensor:
        return _skeletons(_stack([rows(d) for d in drawn], persons))

    return Batch(
        keys=tuple(example.key for example in examples),
        reference_BCHW=_pictures(np.stack([d.reference_HWC for d in drawn])),
        reference_skeleton_BNCHW=padded(lambda d: d.reference_skeleton_NTHWC[:, 0]),
        skeleton_BNTCHW=padded(lambda d: d.skeleton_NTHWC),
        region_BNHW=_tensor(_stack([d.region_NHW for d in drawn], persons)),
        face_BNTHW=_tensor(_stack([d.face_NTHW for d in drawn], persons)),
        gate_BNT=_tensor(_stack([t.gate_NT for t in told], persons)),
        sound_BNTCD=_tensor(_stack([t.sound_NTCD for t in told], persons)),
        mix_BTCD=_tensor(np.stack([t.mix_TCD for t in told])),
        present_BN=torch.tensor([[n < t.persons for n in range(persons)] for t in told]),
        inside_BHW=_tensor(np.stack([d.inside_HW for d in drawn])),
        frames_BTCHW=_pictures(np.stack(frames)) if frames else None,
        moved_BTCHW=_pictures(np.stack(moves)) if moves else None,
    )


def collate_for(examples: Sequence[Example], recipe: Recipe) -> Batch:
    """Render and stack examples as a recipe's model is told them: the same way in training and in generation."""
    return collate(
        examples,
        (recipe.height, recipe.width),
        recipe.design.published,
        moving=recipe.trunk.reference_moved,
    )


def render(
    example: Example, size_HW: tuple[int, int], published: PublishedConfig, *, moving: bool = False
) -> Rendered:
    """Render one example: see `collate`."""
    told, reference = example.told, example.reference
    placement, reference_placement = (
        Placement.fit(t.width, t.height, size_HW, flip=example.flip, zoom=example.zoom, centre=example.centre)
        for t in (told, reference)
    )
    region_NHW, skeleton_NTHWC = _people(told, placement, published)
    _, reference_skeleton_NTHWC = _people(reference, reference_placement, published)
    frames = None if example.frames_THWC is None else [placement.picture(f) for f in example.frames_THWC]
    reference_HWC = reference_placement.picture(example.reference_HWC)
    face_NT4 = placement.boxes(told.face_xyxy_NT4)
    from_N4 = reference_placement.boxes(reference.face_xyxy_NT4[:, 0])
    return Rendered(
        reference_HWC=reference_HWC,
        reference_skeleton_NTHWC=reference_skeleton_NTHWC,
        skeleton_NTHWC=skeleton_NTHWC,
        region_NHW=region_NHW,
        face_NTHW=masks(face_boxes(face_NT4), size_HW),
        inside_HW=placement.inside(),
        frames_THWC=None if frames is None else np.stack(frames),
        moved_THWC=np.stack([moved(reference_HWC, from_N4, face_NT4[:, t]) for t in range(told.frames)])
        if moving
        else None,
    )


def _people(told: Told, placement: Placement, published: PublishedConfig) -> tuple[Array, Pictures]:
    """Return the masks of the regions, and each person's skeletons cut at the border of theirs."""
    # On the source's picture: what lies beyond its edge is nobody's, but what a zoom has moved out is.
    region_N4 = regions(told, to_bottom=published.regions_to_bottom)
    region_NHW = masks(placement.boxes(region_N4), placement.size_HW)
    skeleton_NTHWC = _drawn(placed(told, placement).pose_NTK3, placement.size_HW)
    if published.double_count:
        # Every person is given the drawing of everybody, so what lies in two regions comes in twice.
        skeleton_NTHWC = np.broadcast_to(skeleton_NTHWC.max(axis=0), skeleton_NTHWC.shape)
    # One mask a channel, as broadcasting over an innermost axis of three is slow.
    region_NHWC = np.repeat(region_NHW[..., None].astype(np.uint8), 3, axis=-1)
    return region_NHW, skeleton_NTHWC * region_NHWC[:, None]


def _drawn(pose_NTK3: Array, size_HW: tuple[int, int]) -> Pictures:
    canvas_NTHWC = np.zeros((*pose_NTK3.shape[:2], *size_HW, 3), np.uint8)
    for n, t in np.argwhere(confident(pose_NTK3).any(axis=2)):
        canvas_NTHWC[n, t] = draw(pose_NTK3[n, t], size_HW)
    return canvas_NTHWC


def _check(examples: Sequence[Example]) -> None:
    lengths = {example.told.frames for example in examples}
    with_frames = {example.frames_THWC is not None for example in examples}
    if len(lengths) != 1 or len(with_frames) != 1:
        raise UsageError(
            f"a batch mixes examples of {sorted(lengths)} frames, with pictures: {sorted(with_frames)}",
            remedy="Batch examples of one length, and either all or none with pictures.",
        )
    for example in examples:
        if example.frames_THWC is not None and len(example.frames_THWC) != example.told.frames:
            raise UsageError(
                f"{len(example.frames_THWC)} pictures, and {example.told.frames} frames told of",
                where=example.key,
                remedy="Cut both by the same frames.",
            )


def _stack(rows: Sequence[NDArray[np.generic]], persons: int) -> NDArray[np.generic]:
    """Stack arrays whose first axis is N, with zeros for absent persons."""
    stacked_BN = np.zeros((len(rows), persons, *rows[0].shape[1:]), rows[0].dtype)
    for b, row_N in enumerate(rows):
        stacked_BN[b, : len(row_N)] = row_N
    return stacked_BN


def _tensor(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values).float()


def _skeletons(pictures_XHWC: NDArray[np.generic]) -> Tensor:
    """Return RGB 0..1, channels before rows."""
    return torch.from_numpy(pictures_XHWC).movedim(-1, -3).contiguous().float().div_(255)


def _pictures(pictures_XHWC: Pictures) -> Tensor:
    """Return RGB -1..1, channels before rows."""
    return torch.from_numpy(pictures_XHWC).movedim(-1, -3).contiguous().float().div_(127.5).sub_(1)

"""What flows between the parts of a trainable baseline: what is told, a batch of it, and what a network promises.

Names of axes: B samples, N persons, T frames, C context frames of sound, D numbers a frame of sound, L latent
channels, H and W px or latent cells, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mitds.manifests.records import Array

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Told:
    """All that a model is told of T consecutive or strided frames, on the picture of their source.

    Every array is indexed by the same T frames: nothing here has an origin of its own.

    Attributes:
        width: Picture size that boxes and points are in, px.
        height: Picture size, px.
        face_xyxy_NT4: Face boxes, px; NaN where absent.
        pose_NTK3: COCO-WholeBody 133: x px, y px, confidence; NaN and 0 where absent.
        gate_NT: How surely a person speaks, 0..1: the scorer's probability inside the person's own turns (1 where
            it abstains there), exactly 0 outside of them.
        sound_NTCD: Features of each person's own voice around each frame; those of silence elsewhere.
        mix_TCD: Features of all sound around each frame.
    """

    width: int
    height: int
    face_xyxy_NT4: Array
    pose_NTK3: Array
    gate_NT: Array
    sound_NTCD: Array
    mix_TCD: Array

    @property
    def persons(self) -> int:
        """N."""
        return len(self.gate_NT)

    @property
    def frames(self) -> int:
        """T."""
        return int(self.gate_NT.shape[1])


@dataclass(frozen=True, slots=True)
class Example:
    """One training example, or one question: pictures as they are, and what is told of them.

    Attributes:
        key: Clip or item, for messages.
        reference_HWC: The reference frame, uint8 RGB, at its own size.
        reference: What is told of it (T = 1).
        told: What is told of the T frames.
        frames_THWC: The frames themselves, uint8 RGB; None where they are to be generated.
        flip: Mirror everything; augmentation only.
        zoom: Enlarge by this about `centre`; augmentation only.
        centre: Fixed point of the zoom, 0..1 of width and height.
    """

    key: str
    reference_HWC: NDArray[np.uint8]
    reference: Told
    told: Told
    frames_THWC: NDArray[np.uint8] | None
    flip: bool = False
    zoom: float = 1.0
    centre: tuple[float, float] = (0.5, 0.5)


@dataclass(slots=True)
class Batch:
    """Examples on the model's own picture, padded to the largest N; rendered, and ready for a device.

    Attributes:
        keys: One a sample.
        reference_BCHW: Reference frame, RGB -1..1.
        reference_skeleton_BNCHW: Its skeletons, one picture a person, RGB 0..1 on black.
        skeleton_BNTCHW: Skeletons of the frames, one picture a person, RGB 0..1 on black; a person's drawing ends
            at the border of their region.
        region_BNHW: 1 inside the person's region (static over the T frames), 0 outside.
        face_BNTHW: 1 inside the person's face box of that frame, 0 outside and where the face is absent; areas
            of cells at each U-Net level are taken from it by `face_levels`.
        gate_BNT: See `Told.gate_NT`.
        sound_BNTCD: See `Told.sound_NTCD`.
        mix_BTCD: See `Told.mix_TCD`.
        present_BN: False for persons that only fill up the batch.
        inside_BHW: 1 where the model's picture shows the source's, 0 on the border that fills up its shape.
        frames_BTCHW: The frames, RGB -1..1; None where they are to be generated.
        moved_BTCHW: The reference with its faces where each frame has them, RGB -1..1; None for models that are not
            told so.
    """

    keys: tuple[str, ...]
    reference_BCHW: Tensor
    reference_skeleton_BNCHW: Tensor
    skeleton_BNTCHW: Tensor
    region_BNHW: Tensor
    face_BNTHW: Tensor
    gate_BNT: Tensor
    sound_BNTCD: Tensor
    mix_BTCD: Tensor
    present_BN: Tensor
    inside_BHW: Tensor
    frames_BTCHW: Tensor | None
    moved_BTCHW: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        return Batch(
            *(v.to(device) if hasattr(v, "to") else v for v in (getattr(self, n) for n in self.__slots__))
        )


@dataclass(frozen=True, slots=True)
class Keep:
    """Which conditions a sample keeps; guidance and training drop them by this, and a dropped one has no effect.

    Attributes:
        reference_B: Reference features, the reference's latent and its image tokens.
        pose_B: Poses of the frames and of the reference.
        audio_B: Voices and who speaks.
    """

    reference_B: Tensor
    pose_B: Tensor
    audio_B: Tensor


class Network(Protocol):
    """A denoiser over latents of T frames; also an `nn.Module`."""

    def prepare(self, batch: Batch, reference_BLHW: Tensor, moved_BTLHW: Tensor | None = None) -> Any:
        """Return everything that depends on the conditions alone, computed once for all denoising steps.

        Args:
            batch: The conditions.
            reference_BLHW: Latent of the reference frame.
            moved_BTLHW: Latent of the reference with its faces moved; None takes the reference as it is.
        """

    def __call__(self, noisy_BTLHW: Tensor, step_B: Tensor, given: Any, keep: Keep) -> Tensor:
        """Return the predicted velocity v_BTLHW.

        Args:
            noisy_BTLHW: Noisy latents.
            step_B: Diffusion step, 0..999.
            given: What `prepare` returned.
            keep: Which conditions count.
        """

    def parts(self, stage: int) -> list[str]:
        """Return the names (prefixes) of the parameters that stage 1 (single frames) or 2 (video) trains."""

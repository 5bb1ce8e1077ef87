"""Trained models as the benchmark knows them: a request in, pictures of its size out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mitds.baselines.checkpoint import check_files, describe, open_checkpoint
from mitds.baselines.conditions.sound import hear
from mitds.baselines.conditions.told import select, told_of_request
from mitds.baselines.contracts import Example
from mitds.baselines.recipe import AudioConfig, Recipe
from mitds.config import digest, override
from mitds.errors import UsageError
from mitds.manifests.items import Frame, Request


class TrainedModel:
    """A model from a checkpoint; all trained models are this class, and the recipe tells them apart.

    It runs on a GPU where there is one, with as many people as a request has.

    Args:
        folder: Checkpoint that `mitds train` wrote.
        settings: Changes of how pictures are drawn, "sampling.steps=20".

    Raises:
        UsageError: If the folder is no checkpoint, or a setting is none of sampling.
        InputFault: If the checkpoint is damaged.
    """

    def __init__(self, folder: Path, settings: Sequence[str] = ()) -> None:
        import torch

        checkpoint = open_checkpoint(folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        checkpoint.network.to(device)
        checkpoint.autoencoder.to(device)
        self._checkpoint = replace(checkpoint, recipe=sampled(checkpoint.recipe, settings))
        self.name = checkpoint.recipe.model

    @staticmethod
    def identify(name: str, folder: Path, settings: Sequence[str] = ()) -> str:
        """Return the digest of the weights in a folder (`Checkpoint.digest`); nothing is loaded.

        Args:
            name: Of the model that the weights must be of.
            folder: The checkpoint.
            settings: Changes of how pictures are drawn.

        Raises:
            UsageError: If the folder is no checkpoint, or one of another model, or a setting cannot be.
            InputFault: If its recipe is damaged, or its weights are not those that it lists.
        """
        said = describe(folder)
        if said.recipe.model != name:
            raise UsageError(
                f"these are weights of {said.recipe.model}, not of {name}", where=str(folder),
                remedy=f"Evaluate {said.recipe.model}, or give the checkpoint of {name}.",
            )  # fmt: skip
        sampled(said.recipe, settings)
        check_files(folder, said.files)
        return digest(said.recipe, said.files)

    def generate(
        self, request: Request, progress: Callable[[str, int, int], None] = lambda what, done, of: None
    ) -> Iterator[Frame]:
        """Yield T frames, frame_HWC uint8 RGB of the request's size; its seed and item decide the noise.

        Args:
            request: What is asked for.
            progress: Called with (what, done, of).
        """
        from mitds.baselines.generation.sampler import Sampler

        asked = question(request, self._checkpoint.recipe.audio)
        yield from Sampler(self._checkpoint, progress).frames(asked, request.seed)


def sampled(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """Return a recipe with other settings of sampling; all others are part of the weights.

    Raises:
        UsageError: If a setting is of anything else, or does not fit.
    """
    for setting in settings:
        if not setting.startswith("sampling."):
            raise UsageError(
                f"{setting!r} cannot be changed after training",
                remedy="Set sampling.NAME=VALUE, or train anew.",
            )
    # Together: window and overlap must fit each other, whichever is named first.
    sampling = override(recipe.sampling, [setting.removeprefix("sampling.") for setting in settings])
    return replace(recipe, sampling=sampling)


def question(request: Request, audio: AudioConfig) -> Example:
    """Return a request as an example whose frames are to be generated.

    Args:
        request: Of any T and N; of nobody, it asks for one person who is never there and never speaks.
        audio: What the model hears of a voice.
    """
    if not len(request.voices_NS):
        request = _with_somebody_absent(request)
    sound_NTCD, mix_TCD = hear(request.voices_NS, request.mix_S, request.frames, audio)
    told = told_of_request(request, sound_NTCD, mix_TCD)
    return Example(
        key=request.item,
        reference_HWC=request.reference_HWC,
        reference=select(told, [request.reference_frame]),
        told=told,
        frames_THWC=None,
    )


def with_voices_swapped(request: Request, one: int, other: int) -> Request:
    """Return a request in which two people have each other's voice and turns; faces and poses stay."""
    order = list(range(len(request.voices_NS)))
    order[one], order[other] = other, one
    return replace(
        request,
        voices_NS=request.voices_NS[order],
        speaking_NT=request.speaking_NT[order],
        turns=tuple(request.turns[n] for n in order),
    )


def _with_somebody_absent(request: Request) -> Request:
    t, keypoints = request.frames, request.pose_NTK3.shape[2]
    pose_NTK3 = np.full((1, t, keypoints, 3), np.nan, np.float32)
    pose_NTK3[..., 2] = 0
    return replace(
        request,
        face_xyxy_NT4=np.full((1, t, 4), np.nan, np.float32),
        visible_NT=np.zeros((1, t), np.bool_),
        pose_NTK3=pose_NTK3,
        speaking_NT=np.full((1, t), np.nan, np.float32),
        turns=((),),
        voices_NS=np.zeros((1, len(request.mix_S)), np.float32),
    )

"""What a benchmark release consists of, and what a system under test is asked for.

A test shard is a clips shard of the release's items (`KEY.mp4`, `.wav`, `.json`, `.npz`: the windows, cut and
scaled, on their own clocks) with two more members: `KEY.png`, the reference frame, and `KEY.flac`, one channel a
person: that person's voice where it sounds, silence elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mitds.config import digest
from mitds.manifests.records import Array, Turn

Frame = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a release: a window of an annotated clip.

    Attributes:
        id: Key of the sample in the test shards, 16 hex digits: digest of clip, window and size.
        clip: Key of the clip it was cut from.
        source: sha256 of the clip's source.
        cluster: Items that share a source or a person share a cluster: the unit of resampling.
        people: Person over all sources of the release ("H0", ...), row n of the arrays.
        first: First frame of the window, counted in the clip.
        frames: T.
        width: Picture size, px, even.
        height: Picture size, px, even.
        reference_frame: Frame of the window that systems are given as `KEY.png`.
        subsets: "people-2", "overlap", "camera-motion", ...
        files: sha256 by member extension.
        pixels: Digest of the decoded frames (`benchmark.footage.Footage.digest`).
    """

    id: str
    clip: str
    source: str
    cluster: str
    people: tuple[str, ...]
    first: int
    frames: int
    width: int
    height: int
    reference_frame: int
    subsets: tuple[str, ...]
    files: dict[str, str]
    pixels: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A frozen item list; `release.json` beside the test shards.

    Attributes:
        name: "mitds-bench-2026.1".
        items: Sorted by id.
        train: Clips that share no source and no person with any item.
        held_out: Clips that are no items and may not be trained on: they share a source or a person with items.
        config: How it was built.
        models: sha256 by weight name, of the networks that joined identities.
    """

    name: str
    items: tuple[Item, ...]
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    config: dict[str, str]
    models: dict[str, str]
    schema: str = "mitds.release/1"

    @property
    def digest(self) -> str:
        """Digest of everything that defines the release."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Request:
    """What a system under test may see of an item; it answers with T pictures of this size.

    Attributes:
        item: Item id.
        frames: T, at 25 fps.
        width: Picture size, px.
        height: Picture size, px.
        reference_HWC: The reference frame, uint8 RGB.
        reference_frame: Which of the T frames it is.
        face_xyxy_NT4: Face boxes, px; NaN where absent.
        visible_NT: True where the face is in view.
        pose_NTK3: COCO-WholeBody keypoints: x px, y px, confidence.
        speaking_NT: Probability of speaking 0..1; NaN where unknown.
        turns: When each person speaks, seconds on the item's clock.
        voices_NS: Each person's voice, 16 kHz, -1..1; silence where the person does not speak.
        mix_S: All sound, 16 kHz mono.
        seed: For systems that draw random numbers.
    """

    item: str
    frames: int
    width: int
    height: int
    reference_HWC: Frame
    reference_frame: int
    face_xyxy_NT4: Array
    visible_NT: NDArray[np.bool_]
    pose_NTK3: Array
    speaking_NT: Array
    turns: tuple[tuple[Turn, ...], ...]
    voices_NS: Array
    mix_S: Array
    seed: int


class Model(Protocol):
    """A system under test."""

    name: str

    def generate(self, request: Request) -> Iterator[Frame]:
        """Yield T frames, frame_HWC uint8 RGB of the request's size."""


class Control(Protocol):
    """A degenerate answer made from the real footage, which no system may see; it must rank at the floor."""

    name: str

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield T frames, frame_HWC uint8 RGB of the request's size."""

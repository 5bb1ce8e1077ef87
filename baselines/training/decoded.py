"""Clips as training keeps them in memory: decoded once, and no larger than a recipe needs."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.baselines.conditions.sound import fitted, hear
from mitds.baselines.conditions.told import told_of_clip
from mitds.baselines.contracts import Told
from mitds.baselines.recipe import Recipe
from mitds.errors import BadShard
from mitds.manifests.dataset import LoadedClip
from mitds.manifests.items import Frame
from mitds.manifests.records import Clip
from mitds.manifests.voices import voices


@dataclass(frozen=True, slots=True)
class Decoded:
    """A clip as it is kept: pictures no larger than a recipe needs, and what is told of them.

    Attributes:
        frames_THWC: All frames, uint8 RGB.
        told: Of all frames, in px of these pictures.
    """

    frames_THWC: NDArray[np.uint8]
    told: Told

    @property
    def bytes(self) -> int:
        """Memory that it takes; context frames of sound share theirs."""
        heard = (self.told.sound_NTCD[:, :, 0], self.told.mix_TCD[:, 0])
        return sum(a.nbytes for a in (self.frames_THWC, self.told.pose_NTK3, *heard))


def decode(loaded: LoadedClip, recipe: Recipe) -> Decoded:
    """Decode a clip's pictures, scaled down to what the recipe needs, and hear its sound; its absence is silence.

    Raises:
        BadShard: If there are not as many pictures as the record says.
    """
    clip, wave_S = loaded.clip, loaded.wave()
    frames = list(_scaled(loaded, recipe))
    if len(frames) != clip.frames:
        raise BadShard(
            f"clip {clip.key} has {len(frames)} pictures, and its record says {clip.frames}",
            remedy="Annotate its source again.",
        )
    height, width = frames[0].shape[:2]
    mix_S = fitted(np.zeros(0, np.float32) if wave_S is None else wave_S, clip.frames)
    told = told_of_clip(clip, loaded.arrays, *hear(voices(clip, mix_S), mix_S, clip.frames, recipe.audio))
    if wave_S is None:
        told = replace(told, gate_NT=np.zeros_like(told.gate_NT))
    return Decoded(np.stack(frames), _resized(told, width, height))


def _scaled(loaded: LoadedClip, recipe: Recipe) -> Iterator[Frame]:
    size = kept_size(loaded.clip, recipe)
    for frame_HWC in loaded.frames():
        yield np.asarray(cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA), np.uint8)


def kept_size(clip: Clip, recipe: Recipe) -> tuple[int, int]:
    """Return width and height of kept pictures: enough for the model's at the largest zoom, and never enlarged."""
    width, height = clip.width, clip.height
    factor = min(1.0, min(recipe.width / width, recipe.height / height) * recipe.data.zoom)
    return max(1, round(width * factor)), max(1, round(height * factor))


def kept_bytes(clip: Clip, recipe: Recipe) -> int:
    """Return the memory that a clip's pictures take while it is kept."""
    width, height = kept_size(clip, recipe)
    return 3 * clip.frames * width * height


def _resized(told: Told, width: int, height: int) -> Told:
    """Return what is told, in px of a picture of another size."""
    scale_3 = np.array([width / told.width, height / told.height, 1], np.float32)
    return replace(
        told,
        width=width,
        height=height,
        face_xyxy_NT4=told.face_xyxy_NT4 * np.tile(scale_3[:2], 2),
        pose_NTK3=told.pose_NTK3 * scale_3,
    )


class Cache:
    """The clips that were used last, for several threads; none waits for a clip that another one asked for.

    Args:
        limit: Bytes; the last clip is kept even if it is larger.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._clips: OrderedDict[int, Decoded] = OrderedDict()
        self._lock = threading.Lock()
        self._making: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)

    def of(self, i: int, make: Callable[[], Decoded]) -> Decoded:
        """Return clip i; where it is not here it is made, by one thread at a time, and kept."""
        with self._lock:
            making = self._making[i]
        with making:
            with self._lock:
                known = self.get(i)
            if known is None:
                known = make()
                with self._lock:
                    self.put(i, known)
        return known

    def get(self, i: int) -> Decoded | None:
        """Return clip i, or None if it is not here."""
        if i in self._clips:
            self._clips.move_to_end(i)
        return self._clips.get(i)

    def put(self, i: int, clip: Decoded) -> None:
        """Keep a clip that is not here, and forget the ones that were not used for longest."""
        self._clips[i], self._bytes = clip, self._bytes + clip.bytes
        while self._bytes > self._limit and len(self._clips) > 1:
            _, oldest = self._clips.popitem(last=False)
            self._bytes -= oldest.bytes

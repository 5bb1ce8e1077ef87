"""Training examples: windows of clips, each a pure function of (seed, stage, step, slot).

What was asked for before, by whom, and on how many processes changes nothing; so a run that was killed goes on as
if it had not been, and more processes see the same examples.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from mitds.baselines.conditions.told import select
from mitds.baselines.contracts import Example, Told
from mitds.baselines.recipe import PublishedConfig, Recipe, StageConfig
from mitds.baselines.training.decoded import Cache, Decoded, decode, kept_bytes
from mitds.errors import BadShard, UsageError
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.records import Clip

_GB = 1 << 30


@dataclass(frozen=True, slots=True)
class Pool:
    """The clips of a stage.

    Attributes:
        clips: Places in the index.
        frames: T of each clip.
        share: Probability of drawing each clip.
        below: Sum of the shares up to and with each clip's; the last is 1.
    """

    clips: tuple[int, ...]
    frames: tuple[int, ...]
    share: NDArray[np.float64]
    below: NDArray[np.float64]


class Windows:
    """Draws examples from clips.

    A stage's examples of one step, its global batch, are numbered slots. Each slot draws a clip, in proportion to
    the windows it holds; a window; a reference frame away from it; and how the pictures are varied.

    Args:
        index: The clips.
        recipe: What a model needs of them.
        keys: Only these clips; None takes all.

    Attributes:
        left_out: By key, why a clip is not used, or in which stage.
        needed_gb: Memory in which the pictures of all clips would stay.

    Raises:
        UsageError: If a key is not in the index, or a stage has no clip to learn from.
        BadShard: If a record is damaged.
    """

    def __init__(self, index: ClipIndex, recipe: Recipe, keys: Collection[str] | None = None) -> None:
        self._index, self._recipe = index, recipe
        self._stages = {1: recipe.stage1, 2: recipe.stage2}
        self._cache = Cache(int(recipe.data.cache_gb * _GB))
        records = {i: index.record(i) for i in _places(index, keys)}
        self.left_out = {record.key: why for record in records.values() if (why := self._why_not(record))}
        self.needed_gb = (
            sum(kept_bytes(record, recipe) for record in records.values() if record.persons) / _GB
        )
        self._pools = {stage: pool(records, config) for stage, config in self._stages.items()}
        for stage, config in self._stages.items():
            if config.steps and not self._pools[stage].clips:
                raise UsageError(
                    f"none of {len(records)} clips can be learned from in stage {stage}",
                    where="; ".join(f"{key}: {why}" for key, why in sorted(self.left_out.items())[:5]),
                    remedy=f"Give longer clips with people in view, or a smaller stage{stage}.frames.",
                )

    def examples(self, stage: int, step: int, rank: int = 0, world: int = 1) -> list[Example]:
        """Return the examples of one step that fall to one process: slots rank, rank + world, ...

        Args:
            stage: 1 or 2.
            step: Of the stage, from 0.
            rank: Of the process, 0..world - 1.
            world: Number of processes; all of them together get the same examples, however many they are.

        Raises:
            BadShard: If a clip is damaged.
        """
        return [self.example(stage, step, slot) for slot in range(rank, self._stages[stage].batch, world)]

    def example(self, stage: int, step: int, slot: int) -> Example:
        """Return the example of one slot; several threads may ask.

        Raises:
            BadShard: If its clip is damaged.
        """
        recipe, among = self._recipe, self._pools[stage]
        rng = np.random.default_rng((recipe.seed, stage, step, slot))
        drawn = draw_clip(rng, among)
        frames = draw_window(rng, among.frames[drawn], self._stages[stage])
        reference = draw_reference(rng, frames, among.frames[drawn], recipe.data.reference_gap)
        flip, zoom = bool(rng.random() < recipe.data.flip), float(rng.uniform(1, recipe.data.zoom))
        clip = self._decoded(among.clips[drawn])
        return Example(
            key=self._index.keys[among.clips[drawn]],
            reference_HWC=clip.frames_THWC[reference].copy(),
            reference=select(clip.told, [reference]),
            told=select(clip.told, frames, from_head=_reads_from_head(recipe.design.published)),
            frames_THWC=clip.frames_THWC[list(frames)],
            flip=flip,
            zoom=zoom,
            centre=draw_centre(rng, select(clip.told, frames)),
        )

    def _decoded(self, i: int) -> Decoded:
        return self._cache.of(i, lambda: self._decode(i))

    def _decode(self, i: int) -> Decoded:
        try:
            return decode(self._index.load(i), self._recipe)
        except BadShard as error:
            raise error.at(str(self._index.path(i))) from error

    def _why_not(self, clip: Clip) -> str:
        if not clip.persons:
            return "nobody is in view"
        return "; ".join(
            f"stage {stage}: it has {clip.frames} frames, and a window spans {span(config)}"
            for stage, config in self._stages.items()
            if config.steps and clip.frames < span(config)
        )


def _reads_from_head(published: PublishedConfig) -> bool:
    """Say whether faces and voices are read from the clip's head; the published masks serve voices alone."""
    return published.masks_from_clip_head and not published.audio_off


def _places(index: ClipIndex, keys: Collection[str] | None) -> Iterator[int]:
    """Yield where clips are, in the order of their keys: how they were sharded must not matter."""
    place = {key: i for i, key in enumerate(index.keys)}
    if missing := sorted(set(keys or ()) - place.keys()):
        raise UsageError(
            f"{len(missing)} clips are in none of the shards",
            where=", ".join(missing[:5]),
            remedy="Give the shards that hold them.",
        )
    yield from (place[key] for key in sorted(place if keys is None else set(keys)))


def span(config: StageConfig) -> int:
    """Return how many frames of a clip the shortest window takes."""
    return (config.frames - 1) * min(config.strides) + 1


def pool(records: dict[int, Clip], config: StageConfig) -> Pool:
    """Return the clips with people that are long enough for a stage."""
    usable = {i: c.frames for i, c in records.items() if c.persons and c.frames >= span(config)}
    starts = np.array(list(usable.values()), float) - span(config) + 1
    share = starts / max(starts.sum(), 1)
    below = share.cumsum()
    return Pool(tuple(usable), tuple(usable.values()), share, below / below[-1:])


def draw_clip(rng: Generator, among: Pool) -> int:
    """Draw a place in a pool, exactly as `rng.choice` with its shares does, without summing them up each time."""
    return int(among.below.searchsorted(rng.random(), side="right"))


def draw_window(rng: Generator, length: int, config: StageConfig) -> tuple[int, ...]:
    """Draw T frames of a clip at one of the strides that fit it."""
    stride = int(rng.choice([s for s in config.strides if (config.frames - 1) * s < length]))
    reach = (config.frames - 1) * stride
    first = int(rng.integers(length - reach))
    return tuple(range(first, first + reach + 1, stride))


def draw_reference(rng: Generator, frames: Sequence[int], length: int, gap: int) -> int:
    """Draw a frame at least `gap` before or after a window; where there is none, return the farthest."""
    first, last = frames[0], frames[-1]
    before, after = max(0, first - gap + 1), max(0, length - last - gap)
    if not before + after:
        return 0 if first >= length - 1 - last else length - 1
    drawn = int(rng.integers(before + after))
    return drawn if drawn < before else last + gap + drawn - before


def draw_centre(rng: Generator, window: Told) -> tuple[float, float]:
    """Draw the middle of a face of the window, 0..1 of width and height; the picture's where there is no face."""
    face_X4 = window.face_xyxy_NT4[np.isfinite(window.face_xyxy_NT4).all(axis=2)]
    if not len(face_X4):
        return 0.5, 0.5
    x1, y1, x2, y2 = face_X4[rng.integers(len(face_X4))]
    x, y = np.clip([(x1 + x2) / 2 / window.width, (y1 + y2) / 2 / window.height], 0, 1)
    return float(x), float(y)

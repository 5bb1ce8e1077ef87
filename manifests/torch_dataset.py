"""Clips as a torch dataset; imported through `mitds.manifests.dataset`, because it imports torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from mitds.errors import UsageError
from mitds.manifests.dataset import LoadedClip, Shards, load_shard, shard_paths
from mitds.time import AUDIO_HZ, CLIP_FPS

SAMPLES_PER_FRAME = int(AUDIO_HZ / CLIP_FPS)

Item = dict[str, Any]


class ClipDataset(IterableDataset[Item]):
    """Stream clips, or windows of clips, as dictionaries of tensors.

    Every item holds ``key`` text, ``first`` int (first frame within the clip), ``clip`` (the record) and
    ``face_xyxy_NT4``, ``face_score_NT``, ``speaking_NT``, ``pose_NTK3`` float32, ``visible_NT`` bool,
    ``pts_T`` float64, ``wave_S`` float32 (S = 0 where there is no sound) and, if asked for,
    ``frames_TCHW`` uint8.
    N, H and W differ between clips: use ``DataLoader(dataset, batch_size=None)`` or your own ``collate_fn``.

    Args:
        shards: Path, glob or brace pattern, or several.
        frames: Decode the pictures; without it, reading is about as fast as the disk.
        window: Cut clips into consecutive windows of this many frames; a shorter rest is left out.
        shuffle: Visit shards in an order drawn from (seed, epoch); samples keep their order within a shard.
        seed: Seed of that order; the same for all ranks.
        rank: This process among `world_size` trainers; shards are dealt out to ranks, then to workers.
        world_size: Number of trainers.
    """

    def __init__(
        self,
        shards: Shards,
        *,
        frames: bool = True,
        window: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        if (window is not None and window < 1) or not 0 <= rank < world_size:
            raise UsageError("window must be at least 1, and rank within world_size")
        self.paths = shard_paths(shards)
        self._frames, self._window = frames, window
        self._shuffle, self._seed, self._epoch = shuffle, seed, 0
        self._rank, self._world_size = rank, world_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose shard order comes next; call before each pass when shuffling."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Item]:
        for path in self._my_paths():
            for loaded in load_shard(path):
                yield from self._items(loaded)

    def _my_paths(self) -> list[Path]:
        order = list(range(len(self.paths)))
        if self._shuffle:
            order = np.random.default_rng((self._seed, self._epoch)).permutation(len(order)).tolist()
        worker = get_worker_info()
        workers, index = (worker.num_workers, worker.id) if worker else (1, 0)
        mine = order[self._rank :: self._world_size][index::workers]
        return [self.paths[i] for i in mine]

    def _items(self, loaded: LoadedClip) -> Iterator[Item]:
        length = self._window or loaded.clip.frames
        wave_S = loaded.wave()
        frames = loaded.frames() if self._frames else None
        for first in range(0, loaded.clip.frames - length + 1, length):
            item = _window(loaded, wave_S, first, length)
            if frames is not None:
                item["frames_TCHW"] = _stack(frames, length)
            yield item


def _window(loaded: LoadedClip, wave_S: np.ndarray | None, first: int, length: int) -> Item:
    clip, arrays = loaded.clip, loaded.arrays
    frames, samples = (slice(first * n, (first + length) * n) for n in (1, SAMPLES_PER_FRAME))
    wave = np.zeros(0, np.float32) if wave_S is None else wave_S[samples]
    return {
        "key": clip.key,
        "first": first,
        "clip": clip,
        "wave_S": torch.from_numpy(wave.copy()),
        "face_xyxy_NT4": torch.from_numpy(arrays.face_xyxy_NT4[:, frames].copy()),
        "face_score_NT": torch.from_numpy(arrays.face_score_NT[:, frames].copy()),
        "speaking_NT": torch.from_numpy(arrays.speaking_NT[:, frames].copy()),
        "pose_NTK3": torch.from_numpy(arrays.pose_NTK3[:, frames].copy()),
        "visible_NT": torch.from_numpy(arrays.visible_NT[:, frames].copy()),
        "pts_T": torch.from_numpy(arrays.pts_T[frames].copy()),
    }


def _stack(frames: Iterator[np.ndarray], length: int) -> torch.Tensor:
    frames_THWC = np.stack(list(itertools.islice(frames, length)))
    return torch.from_numpy(frames_THWC).permute(0, 3, 1, 2).contiguous()

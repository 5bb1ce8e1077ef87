"""Reading clips back: `load` yields typed clips; `ClipDataset` feeds a torch DataLoader."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mitds.errors import BadShard
from mitds.manifests.codec import clip_arrays_from_npz, from_json
from mitds.manifests.records import Array, Clip, ClipArrays
from mitds.manifests.shards import Sample, expand, read_shard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mitds.manifests.torch_dataset import ClipDataset

__all__ = ["ClipDataset", "LoadedClip", "load"]

Shards = str | Path | Sequence[str | Path]


def __getattr__(name: str) -> Any:
    """Import torch only when the dataset class is asked for."""
    if name == "ClipDataset":
        from mitds.manifests.torch_dataset import ClipDataset

        return ClipDataset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True, slots=True)
class LoadedClip:
    """One clip read from a shard.

    Attributes:
        clip: The record: span, persons, turns, scores, provenance.
        arrays: Faces, speaking, poses, all over the same T frames.
        mp4: The encoded video with its sound, 25 fps.
        wav: The sound, 16 kHz mono; None where the source had none.
    """

    clip: Clip
    arrays: ClipArrays
    mp4: bytes
    wav: bytes | None

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Decode the T frames one by one, frame_HWC uint8 RGB.

        Raises:
            BadShard: If the video is damaged.
        """
        import av

        from mitds.media.rgb import Geometry, ToRgb

        try:
            with av.open(io.BytesIO(self.mp4), "r") as container:
                if not container.streams.video:
                    raise self._damaged("mp4", "there is no picture track in it")
                convert: ToRgb | None = None
                for frame in container.decode(video=0):
                    convert = convert or ToRgb(Geometry.of(frame, container.streams.video[0]))
                    # Encoders need even sides: an odd picture was given one more column or row.
                    yield convert(frame)[: self.clip.height, : self.clip.width]
        except av.FFmpegError as error:
            raise self._damaged("mp4", str(error)) from error

    def wave(self) -> Array | None:
        """Decode the sound, wave_S float32 mono at 16 kHz, -1..1; None where there is none.

        Raises:
            BadShard: If the sound is damaged.
        """
        import soundfile

        if self.wav is None:
            return None
        try:
            wave_S, _ = soundfile.read(io.BytesIO(self.wav), dtype="float32")
        except soundfile.LibsndfileError as error:
            raise self._damaged("wav", str(error)) from error
        return cast(Array, wave_S)

    def _damaged(self, member: str, why: str) -> BadShard:
        return BadShard(
            f"clip {self.clip.key}: its {member} does not decode: {why}",
            remedy="Fetch the shard anew, or run mitds annotate again.",
        )


def shard_paths(shards: Shards) -> list[Path]:
    """Resolve one or several shard patterns to files."""
    if isinstance(shards, str) or not isinstance(shards, Sequence):
        return expand([str(shards)])
    return expand([str(shard) for shard in shards])


def clip_from_sample(sample: Sample) -> LoadedClip:
    """Read one sample of a clips shard.

    Raises:
        BadShard: If a member is missing or damaged, or the arrays disagree with the record.
    """
    missing = sorted({"mp4", "json", "npz"} - sample.members.keys())
    if missing:
        raise BadShard(
            f"sample {sample.key} has no {', '.join(missing)}",
            remedy="Give the shards that annotate wrote (clips-*.tar).",
        )
    clip = from_json(Clip, sample.members["json"])
    arrays = clip_arrays_from_npz(sample.members["npz"])
    if arrays.visible_NT.shape != (len(clip.persons), clip.frames):
        raise BadShard(f"sample {sample.key}: arrays and record disagree about persons or frames")
    return LoadedClip(clip, arrays, sample.members["mp4"], sample.members.get("wav"))


def load_shard(path: Path) -> Iterator[LoadedClip]:
    """Yield the clips of one shard in order."""
    for sample in read_shard(path):
        try:
            loaded = clip_from_sample(sample)
        except BadShard as error:
            raise error.at(str(path)) from error
        yield loaded


def load(shards: Shards) -> Iterator[LoadedClip]:
    """Yield the clips of shards in order, one in memory at a time.

    Args:
        shards: Path, glob or brace pattern, or several ("out/clips-*.tar").

    Raises:
        UsageError: If a pattern matches nothing.
        BadShard: If a shard is torn, hostile or of another kind.
    """
    for path in shard_paths(shards):
        yield from load_shard(path)

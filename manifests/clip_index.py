"""Random access to the clips of shards: a key and a place each, read when asked for."""

from __future__ import annotations

from pathlib import Path

from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import from_json
from mitds.manifests.dataset import LoadedClip, Shards, clip_from_sample, shard_paths
from mitds.manifests.records import Clip
from mitds.manifests.shards import Entry, Sample, index_shard, read_member

NEEDED = ("mp4", "json", "npz")
_MEMBERS = frozenset({*NEEDED, "wav"})


class ClipIndex:
    """The clips of shards, in the order of the shards and of the samples in them.

    Only the headers of the shards are read at first.

    Args:
        shards: Path, glob or brace pattern, or several.

    Attributes:
        keys: One a clip.

    Raises:
        UsageError: If a pattern matches nothing, or two samples have one key.
        BadShard: If a shard is torn, hostile or of another kind.
    """

    def __init__(self, shards: Shards) -> None:
        self._places = [
            (path, members) for path in shard_paths(shards) for members in _samples(index_shard(path))
        ]
        for path, members in self._places:
            _check_kind(members, str(path))
        self.keys = tuple(members["json"].key for _, members in self._places)
        self._check_keys()

    def __len__(self) -> int:
        return len(self.keys)

    def path(self, i: int) -> Path:
        """Return the shard that clip i lies in, for messages."""
        return self._places[i][0]

    def members(self, i: int) -> frozenset[str]:
        """Return the extensions of clip i's members."""
        return frozenset(self._places[i][1])

    def record(self, i: int) -> Clip:
        """Read the record of clip i, and nothing else of it.

        Raises:
            BadShard: If it is damaged.
        """
        path, members = self._places[i]
        data = read_member(path, members["json"])
        try:
            return from_json(Clip, data)
        except BadShard as error:
            raise error.at(str(path)) from error

    def load(self, i: int) -> LoadedClip:
        """Read clip i.

        Raises:
            BadShard: If a member is damaged, or the arrays disagree with the record.
        """
        path, members = self._places[i]
        data = {ext: read_member(path, entry) for ext, entry in members.items() if ext in _MEMBERS}
        try:
            return clip_from_sample(Sample(self.keys[i], data))
        except BadShard as error:
            raise error.at(str(path)) from error

    def _check_keys(self) -> None:
        first: dict[str, str] = {}
        for key, (path, _) in zip(self.keys, self._places, strict=True):
            if key in first:
                raise UsageError(
                    f"clip {key} is there twice",
                    where=f"{first[key]} and {path}",
                    remedy="Give each shard once, and no two runs over the same sources.",
                )
            first[key] = str(path)


def _samples(entries: list[Entry]) -> list[dict[str, Entry]]:
    """Group the members of one shard by sample, in order."""
    samples: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        samples.setdefault(entry.key, {})[entry.ext] = entry
    return list(samples.values())


def _check_kind(members: dict[str, Entry], where: str) -> None:
    if missing := sorted(set(NEEDED) - members.keys()):
        key = next(iter(members.values())).key
        raise BadShard(
            f"sample {key} has no {', '.join(missing)}",
            where=where,
            remedy="Give the shards that annotate wrote (clips-*.tar).",
        )

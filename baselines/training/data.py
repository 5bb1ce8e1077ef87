"""Which clips are learned from: those asked for, those released for training, less those whose rights forbid it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitds.baselines.recipe import DataConfig
from mitds.baselines.training.rights import refusals
from mitds.config import digest
from mitds.errors import BadShard, UsageError
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.codec import from_json
from mitds.manifests.items import Release

_OF_TESTS = frozenset({"png", "flac"})
"""Members of a release's items: reference and voices apart."""


class Released(frozenset[str]):
    """Keys of the clips that a release leaves for training.

    Attributes:
        name: Of the release.
        digest: Of the release.
    """

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The clips of a training.

    Attributes:
        index: All clips of the shards.
        keys: Those learned from, sorted.
        left_out: Those that were asked for and are left out, and why.
    """

    index: ClipIndex
    keys: tuple[str, ...]
    left_out: dict[str, str]

    @property
    def digest(self) -> str:
        """Digest of the clips; their keys are digests of source, span, configuration and networks."""
        return digest(self.keys)


def choose(shards: Sequence[str], config: DataConfig, keys: Collection[str] | None = None) -> Chosen:
    """Choose the clips to learn from.

    Args:
        shards: Paths, globs or brace patterns.
        config: `rights` says whether stated rights count.
        keys: Only these clips; None takes all.

    Raises:
        UsageError: If nothing remains, or shards of a release's items are given.
    """
    index = ClipIndex(shards)
    _refuse_tests(index)
    asked = {key: i for i, key in enumerate(index.keys) if keys is None or key in keys}
    if not asked:
        raise UsageError(
            "none of the clips in these shards is asked for", where=", ".join(map(str, shards)),
            remedy="Give the annotated shards from which the release was built.",
        )  # fmt: skip
    left_out = refusals([index.record(i) for i in asked.values()]) if config.rights == "stated" else {}
    remaining = tuple(sorted(asked.keys() - left_out.keys()))
    if not remaining:
        listed = "; ".join(f"{key}: {why}" for key, why in sorted(left_out.items())[:5])
        raise UsageError(
            f"the stated rights of all {len(left_out)} clips forbid to learn from them ({listed})",
            where=", ".join(map(str, shards)),
            remedy="Use other clips, or --set data.rights=ignore if you hold the rights.",
        )
    return Chosen(index, remaining, left_out)


def _refuse_tests(index: ClipIndex) -> None:
    for i in range(len(index)):
        if _OF_TESTS & index.members(i):
            raise UsageError(
                "these are items of a release, for tests alone", where=str(index.path(i)),
                remedy="Give the annotated shards from which the release was built, and --release.",
            )  # fmt: skip


def released_keys(folder: Path) -> Released:
    """Return the clips that a release leaves for training: neither its items' nor those held out.

    Raises:
        UsageError: If there is no release.
        BadShard: If its list is damaged, or gives a clip for training and for testing.
    """
    path = folder / "release.json" if folder.is_dir() else folder
    if not path.is_file():
        raise UsageError(
            "there is no release here", where=str(folder), remedy="Name mitds release build's --out."
        )
    try:
        release = from_json(Release, path.read_bytes())
    except BadShard as error:
        raise error.at(str(path)) from error
    train = Released(release.train)
    train.name, train.digest = release.name, release.digest
    both = train & ({item.clip for item in release.items} | set(release.held_out))
    if both:
        raise BadShard(
            f"the release gives {len(both)} clips both for training and for testing", where=str(path),
            remedy="Build it anew.",
        )  # fmt: skip
    return train

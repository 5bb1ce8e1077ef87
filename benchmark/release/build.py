"""Build a release: plan windows, join people, split, cut, and freeze the list of items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from mitds.benchmark.release.cutting import ItemConfig, cut
from mitds.benchmark.release.people import Recogniser, SFaceRecogniser, Who, join_people
from mitds.benchmark.release.split import choose_test, clusters
from mitds.benchmark.release.windows import Window, choose, scaled_size
from mitds.config import require
from mitds.errors import BadShard, UsageError
from mitds.manifests.dataset import LoadedClip, clip_from_sample
from mitds.manifests.items import Item, Release
from mitds.manifests.records import Array, Clip
from mitds.manifests.shards import Entry, Sample, ShardWriter, expand, index_shard, read_member
from mitds.store import write_json
from mitds.time import CLIP_FPS

PATTERN = "test-%06d.tar"
LIST = "release.json"
FUNNEL = "funnel.json"
MAX_PEOPLE = 8
"""FLAC holds no more channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseConfig:
    """How a release is built.

    Attributes:
        name: Its name, "mitds-bench-2026.1".
        seconds: Length of an item.
        max_side: Longest side of an item's picture, px; smaller clips are not enlarged.
        items_per_clip: Most windows taken from one clip.
        test_share: Share of the clusters (clips joined by a source or a person) that is tested on; at least one is.
        seed: Of the draw of these clusters.
        identity_similarity: Mean cosine of face embeddings at which people of two sources are one person. Means
            of several frames tell people apart better than the single pairs for which SFace states .363: in 23
            people of known names the same ones were above .69, others below .39. Lower it to be more careful:
            a wrong join only shrinks the training set, a missed one leaks a person into it.
        camera_threshold: Motion of the background per frame, in picture widths, from which the camera moves.
        crf: x264 quality of the items.
    """

    name: str
    seconds: float = 5.0
    max_side: int = 640
    items_per_clip: int = 2
    test_share: float = 0.2
    seed: int = 0
    identity_similarity: float = 0.40
    camera_threshold: float = 0.001
    crf: int = 12

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        require(self.frames >= 1, "seconds", self.seconds, "at least one frame (0.04)")
        require(self.max_side >= 2, "max_side", self.max_side, "at least 2")
        require(self.items_per_clip >= 1, "items_per_clip", self.items_per_clip, "at least 1")
        require(0 <= self.test_share <= 1, "test_share", self.test_share, "0 to 1")
        require(
            -1 <= self.identity_similarity <= 1, "identity_similarity", self.identity_similarity, "-1 to 1"
        )
        require(0 <= self.crf <= 51, "crf", self.crf, "0 to 51")

    @property
    def frames(self) -> int:
        """T of every item."""
        return round(self.seconds * CLIP_FPS)


@dataclass(frozen=True, slots=True)
class BuiltRelease:
    """A release that was just written.

    Attributes:
        release: What `release.json` holds.
        shards: The test shards.
        left_out: Why a clip gave no item, by clip key: "filtered", "no_sound", "nobody_in_view",
            "too_many_people", "too_short", "no_good_window". Clips that could have given one are not listed.
    """

    release: Release
    shards: tuple[Path, ...]
    left_out: dict[str, str]

    @property
    def funnel(self) -> dict[str, int]:
        """Clips by their end; they sum up to all clips."""
        tested = {item.clip for item in self.release.items}
        ends = {
            "tested": len(tested),
            "train": len(self.release.train),
            "held_out": len(self.release.held_out),
        }
        return {"clips": sum(ends.values()), **ends, "items": len(self.release.items)}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known of one clip before anything is cut."""

    place: _Place
    clip: Clip
    windows: tuple[Window, ...]
    reason: str
    faces: list[Array | None]

    @property
    def people(self) -> list[Who]:
        return [(self.clip.source_id, p.identity) for p in self.clip.persons]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a clip's members lie."""

    path: Path
    entries: tuple[Entry, ...]

    def load(self) -> LoadedClip:
        members = {entry.ext: read_member(self.path, entry) for entry in self.entries}
        try:
            return clip_from_sample(Sample(self.entries[0].key, members))
        except BadShard as error:
            raise error.at(str(self.path)) from error


def build_release(
    shards: Sequence[str], out: Path, config: ReleaseConfig, recogniser: Recogniser | None = None
) -> BuiltRelease:
    """Cut annotated clips into a release: `test-NNNNNN.tar`, `release.json`, and `funnel.json` with the reasons.

    The same clips and settings give the same bytes, whatever the order of the shards.

    Args:
        shards: Paths, globs or brace patterns of clips shards.
        out: Folder to write to; it may not hold a release yet.
        config: What to build.
        recogniser: Who tells people apart; SFace unless given.

    Raises:
        UsageError: If a release is there already, a clip is there twice, or no clip gives an item.
        BadShard: If a shard cannot be trusted.
        MissingWeights: If the recogniser's weights cannot be had.
    """
    _make_room(out)
    places = _places(shards)
    eyes: Recogniser = recogniser or SFaceRecogniser()
    plans = [_plan(places[key], config, eyes) for key in sorted(places)]
    names = _names(plans, config.identity_similarity)
    cluster_of = clusters({p.clip.key: [p.clip.source_id, *(names[w] for w in p.people)] for p in plans})
    usable = [p.clip.key for p in plans if p.windows]
    if not usable:
        raise UsageError(
            f"none of {len(plans)} clips gives an item: {', '.join(sorted({p.reason for p in plans}))}",
            remedy="Give more or longer clips, or ask for shorter items (seconds).",
        )
    test = choose_test(cluster_of, usable, config.test_share, config.seed)
    with ShardWriter(PATTERN, out) as writer:
        tested = [p for p in plans if cluster_of[p.clip.key] in test]
        items = [item for p in tested for item in _items(p, names, cluster_of[p.clip.key], config, writer)]
    release = Release(
        name=config.name,
        items=tuple(sorted(items, key=lambda item: item.id)),
        train=tuple(p.clip.key for p in plans if cluster_of[p.clip.key] not in test),
        held_out=tuple(p.clip.key for p in tested if not p.windows),
        config=_settings(config),
        models=dict(eyes.models),
    )
    built = BuiltRelease(release, tuple(writer.paths), {p.clip.key: p.reason for p in plans if p.reason})
    write_json(out / FUNNEL, {**built.funnel, "left_out": built.left_out})
    write_json(out / LIST, release)
    return built


def _make_room(out: Path) -> None:
    there = [out / LIST] if (out / LIST).exists() else sorted(out.glob("test-*.tar"))
    if there:
        raise UsageError(
            "a release, or what an interrupted build left of one, is there already", where=str(there[0]),
            remedy="Releases are frozen: choose another --out, or remove it.",
        )  # fmt: skip


def _places(shards: Sequence[str]) -> dict[str, _Place]:
    """Return where each clip lies, by key."""
    entries: dict[str, tuple[Path, list[Entry]]] = {}
    for path in expand(shards):
        for entry in index_shard(path):
            first, known = entries.setdefault(entry.key, (path, []))
            if first != path:
                raise UsageError(
                    f"clip {entry.key} is in two shards, {first} and {path}", remedy="Give each clip once."
                )
            known.append(entry)
    return {key: _Place(path, tuple(known)) for key, (path, known) in entries.items()}


def _plan(place: _Place, config: ReleaseConfig, recogniser: Recogniser) -> _Plan:
    loaded = place.load()
    clip = loaded.clip
    reason = _refusal(loaded, config)
    firsts = () if reason else choose(clip, loaded.arrays, config.frames, config.items_per_clip)
    size = scaled_size(clip.width, clip.height, config.max_side)
    windows = tuple(Window(first, config.frames, *size) for first in firsts)
    return _Plan(
        place, clip, windows, reason or ("" if firsts else "no_good_window"), recogniser.look(loaded)
    )


def _refusal(loaded: LoadedClip, config: ReleaseConfig) -> str:
    clip = loaded.clip
    reasons = {
        "filtered": clip.status != "kept",
        "no_sound": loaded.wav is None,
        "nobody_in_view": not clip.persons,
        "too_many_people": len(clip.persons) > MAX_PEOPLE,
        "too_short": clip.frames < config.frames,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _names(plans: Sequence[_Plan], min_cosine: float) -> dict[Who, str]:
    """Name the people of all clips; plans come in canonical order, so that sums have one order of terms."""
    sums: dict[Who, Array | None] = {}
    for plan in plans:
        for who, seen_D in zip(plan.people, plan.faces, strict=True):
            known_D = sums.get(who)
            sums[who] = seen_D if known_D is None else known_D if seen_D is None else known_D + seen_D
    return join_people(sums, [plan.people for plan in plans], min_cosine)


def _items(
    plan: _Plan, names: Mapping[Who, str], cluster: str, config: ReleaseConfig, writer: ShardWriter
) -> Iterator[Item]:
    """Cut the windows of a clip and write them."""
    if not plan.windows:
        return
    people = tuple(names[who] for who in plan.people)
    for piece in cut(
        plan.place.load(), plan.windows, ItemConfig(crf=config.crf, camera_threshold=config.camera_threshold)
    ):
        writer.add(piece.id, piece.members)
        yield piece.item(cluster, people)


def _settings(config: ReleaseConfig) -> dict[str, str]:
    """Return what decides the bytes, as text: the settings, and the library that encodes and decodes."""
    import av

    settings = {f.name: str(getattr(config, f.name)) for f in fields(config) if f.name != "name"}
    return settings | {"pyav": av.__version__}

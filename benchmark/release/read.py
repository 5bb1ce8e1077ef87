"""Opening a release: what it lists is what lies in its shards, byte by byte, or it is refused."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import soundfile

from mitds.benchmark.contracts import Scene
from mitds.benchmark.footage import Shape, read_footage
from mitds.benchmark.release.build import LIST
from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import from_json
from mitds.manifests.dataset import LoadedClip, clip_from_sample
from mitds.manifests.items import Frame, Item, Release, Request
from mitds.manifests.records import Array
from mitds.manifests.shards import Entry, Sample, expand, index_shard, read_member
from mitds.time import AUDIO_HZ, CLIP_FPS

MEMBERS = frozenset({"mp4", "wav", "json", "npz", "png", "flac"})
_PNG_HEADER = b"\x89PNG\r\n\x1a\n"
_ANEW = "Fetch the shard anew: a release is frozen."


@dataclass(frozen=True, slots=True)
class OpenRelease:
    """A release whose members are read and verified one by one; small, and free to copy to other processes.

    Attributes:
        release: The frozen list.
        folder: Where `release.json` lies.
    """

    release: Release
    folder: Path
    _places: dict[str, tuple[Path, dict[str, Entry]]] = field(repr=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all items, sorted."""
        return tuple(self._places)

    def item(self, id: str) -> Item:
        """Return an item's row.

        Raises:
            UsageError: If there is no such item.
        """
        for item in self.release.items:
            if item.id == id:
                return item
        raise UsageError(
            f"the release {self.release.name} has no item {id!r}", remedy="See its release.json."
        )

    def member(self, id: str, ext: str) -> bytes:
        """Return one member's bytes.

        Raises:
            BadShard: If they are not those that the release lists.
        """
        wanted = self.item(id).files[ext]
        path, entries = self._places[id]
        data = read_member(path, entries[ext])
        if hashlib.sha256(data).hexdigest() != wanted:
            raise BadShard(
                f"member {id}.{ext} is not the one the release lists", where=str(path),
                remedy=_ANEW,
            )  # fmt: skip
        return data

    def scenes(self) -> Iterator[Scene]:
        """Yield all items, sorted by id, one in memory at a time."""
        for id in self.ids:
            yield self.scene(id)

    def scene(self, id: str) -> Scene:
        """Return an item with its truth; the real footage carries the mix.

        Raises:
            BadShard: If a member is damaged, or disagrees with the list.
            Undecodable: If the pictures do not decode.
            WrongShape: If the pictures are not as many or as large as the list says.
        """
        item, loaded = self.item(id), self._loaded(id)
        real = read_footage(loaded.mp4, Shape(item.frames, item.width, item.height))
        real.wave_S = self._mix(item)
        return Scene(item.id, real, loaded.clip, loaded.arrays, self._voices(item))

    def request(self, id: str, seed: int = 0) -> Request:
        """Return what a system may see of an item; no picture but the reference frame is decoded.

        Raises:
            BadShard: If a member is damaged, or disagrees with the list.
        """
        item, loaded = self.item(id), self._loaded(id)
        return Request(
            item=item.id,
            frames=item.frames,
            width=item.width,
            height=item.height,
            reference_HWC=self._reference(item),
            reference_frame=item.reference_frame,
            face_xyxy_NT4=loaded.arrays.face_xyxy_NT4,
            visible_NT=loaded.arrays.visible_NT,
            pose_NTK3=loaded.arrays.pose_NTK3,
            speaking_NT=loaded.arrays.speaking_NT,
            turns=tuple(person.turns for person in loaded.clip.persons),
            voices_NS=self._voices(item),
            mix_S=self._mix(item),
            seed=seed,
        )

    def _loaded(self, id: str) -> LoadedClip:
        item = self.item(id)
        loaded = clip_from_sample(Sample(id, {ext: self.member(id, ext) for ext in ("mp4", "json", "npz")}))
        found = (loaded.clip.key, loaded.clip.frames, loaded.clip.width, loaded.clip.height)
        if found != (id, item.frames, item.width, item.height) or len(loaded.clip.persons) != len(
            item.people
        ):
            raise BadShard(f"item {id}: its record disagrees with the release's list", remedy=_ANEW)
        return loaded

    def _mix(self, item: Item) -> Array:
        mix_S: Array = self._sound(item, "wav", 1)[0]
        return mix_S

    def _voices(self, item: Item) -> Array:
        return self._sound(item, "flac", len(item.people))

    def _sound(self, item: Item, ext: str, channels: int) -> Array:
        """Decode wave_CS after its header was found to promise what the item needs, and no more."""
        samples = item.frames * AUDIO_HZ // int(CLIP_FPS)
        try:
            with soundfile.SoundFile(io.BytesIO(self.member(item.id, ext))) as file:
                if (file.samplerate, file.channels, file.frames) != (AUDIO_HZ, channels, samples):
                    raise BadShard(
                        f"item {item.id}: its {ext} is not {samples} samples of {channels} channels",
                        remedy=_ANEW,
                    )
                wave_SC = file.read(dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BadShard(f"item {item.id}: its {ext} does not decode: {error}", remedy=_ANEW) from error
        return np.ascontiguousarray(wave_SC.T)

    def _reference(self, item: Item) -> Frame:
        data = self.member(item.id, "png")
        size = tuple(int.from_bytes(data[k : k + 4], "big") for k in (16, 20))
        if not data.startswith(_PNG_HEADER) or size != (item.width, item.height):
            raise BadShard(
                f"item {item.id}: its reference frame is no PNG of {item.width}x{item.height}", remedy=_ANEW
            )
        frame_HWC = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if frame_HWC is None:
            raise BadShard(f"item {item.id}: its reference frame does not decode", remedy=_ANEW)
        return np.asarray(cv2.cvtColor(frame_HWC, cv2.COLOR_BGR2RGB), np.uint8)


def open_release(source: str | Path | Sequence[str]) -> OpenRelease:
    """Open a release.

    Args:
        source: Its folder, its `release.json`, or patterns of its test shards, beside which the list lies; on its own
            or in a list.

    Raises:
        UsageError: If there is no list, or no shard.
        BadShard: If the list is damaged, or the shards hold other items than it lists.
    """
    listed, paths = _find(source)
    if not listed.is_file():
        raise UsageError(
            "there is no release here", where=str(listed),
            remedy="Build one: mitds release build --shards 'clips-*.tar' --out DIR.",
        )  # fmt: skip
    try:
        release = from_json(Release, listed.read_bytes())
    except BadShard as error:
        raise error.at(str(listed)) from error
    return OpenRelease(
        release, listed.parent, _places(release, paths or expand([str(listed.parent / "test-*.tar")]))
    )


def _find(source: str | Path | Sequence[str]) -> tuple[Path, list[Path]]:
    """Return the list's path, and the shards if they were named."""
    patterns = [str(source)] if isinstance(source, str | Path) else source
    if len(patterns) == 1:
        path = Path(patterns[0])
        if path.is_dir():
            return path / LIST, []
        if path.suffix == ".json":
            return path, []
    paths = expand(patterns)
    return paths[0].parent / LIST, paths


def _places(release: Release, paths: Sequence[Path]) -> dict[str, tuple[Path, dict[str, Entry]]]:
    """Return where each item's members lie, sorted by item, after making sure that they are all there."""
    found: dict[str, tuple[Path, dict[str, Entry]]] = {}
    for path in paths:
        for entry in index_shard(path):
            first, entries = found.setdefault(entry.key, (path, {}))
            if first != path:
                raise BadShard(
                    f"item {entry.key} is in two shards", where=str(path), remedy="Give each shard once."
                )
            entries[entry.ext] = entry
    wanted = {item.id: set(item.files) for item in release.items}
    for id in sorted(wanted.keys() | found.keys()):
        there = set(found[id][1]) if id in found else set()
        if there != wanted.get(id) or there != MEMBERS:
            raise BadShard(
                f"item {id} is not in the shards as the release lists it", where=str(paths[0].parent),
                remedy="Give all shards of the release, and no others.",
            )  # fmt: skip
    return {id: found[id] for id in sorted(found)}

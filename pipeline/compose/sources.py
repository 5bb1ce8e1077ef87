"""What a user names as sources, turned into clips on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mitds.errors import UsageError
from mitds.manifests.records import Rights
from mitds.media.files import VIDEOS
from mitds.pipeline.compose.parts import Clip
from mitds.pipeline.sources.fetch import fetch
from mitds.pipeline.sources.lists import Entry, read_list
from mitds.weights import cache_root, catalog

LISTS = (".txt", ".csv", ".jsonl")
_NAMED = re.compile(r"(?P<name>[\w-]{1,40})=(?P<source>.+)")


def clips_of(sources: Iterable[str]) -> list[Clip]:
    """Return the clips that sources name, fetched where they are elsewhere.

    A source is a video, a folder of videos, a list (.txt, .csv, .jsonl; the column title names the person),
    a URL, or a catalog name ("media.podium"); NAME=SOURCE names the person who is seen in it.

    Raises:
        UsageError: A source names nothing, or the same bytes come twice.
        SourceUnreachable: One cannot be had.
    """
    clips: dict[str, Clip] = {}
    for entry in (entry for source in sources for entry in _entries(source)):
        clip = _clip(entry)
        if clip.sha256 in clips:
            raise UsageError(
                f"{clip.name} and {clips[clip.sha256].name} are the same file", remedy="Name it once."
            )
        clips[clip.sha256] = clip
    if not clips:
        raise UsageError("there are no sources", remedy="Name videos, folders, lists or catalog entries.")
    return list(clips.values())


def _entries(source: str) -> Iterator[Entry]:
    named = _NAMED.fullmatch(source)
    if named is not None and not Path(source).exists():
        for entry in _entries(named["source"]):
            yield replace(entry, title=named["name"])
        return
    path = Path(source)
    if source in catalog():
        weight = catalog()[source]
        yield Entry(0, weight.mirrors[0], Rights(licence=weight.licence))
    elif path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEOS)
        if not found:
            raise UsageError("the folder holds no videos", where=source, remedy="Name one that does.")
        yield from (Entry(0, str(p), Rights()) for p in found)
    elif path.suffix.lower() in LISTS and "://" not in source:
        yield from read_list(path)
    else:
        yield Entry(0, source, Rights())


def _clip(entry: Entry) -> Clip:
    fetched = fetch(entry, cache_root() / "compose" / "sources")
    return Clip(
        path=fetched.path,
        name=fetched.name,
        sha256=fetched.sha256,
        url=fetched.url,
        person=entry.title,
        licence=entry.rights.licence or fetched.licence,
    )

"""Two sources in everything that can hold them, and a removal that dies on its way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mitds.config import canonical
from mitds.manifests import schemas
from mitds.manifests.items import Item, Release
from mitds.manifests.ledger import End, Ledger, read_ledger
from mitds.manifests.records import Clip
from mitds.manifests.seal import sealed
from mitds.manifests.shard_journal import Laid, ShardRecord, begin_journal, note
from mitds.manifests.shards import ShardWriter
from mitds.pipeline.export import export
from mitds.pipeline.report import write_report
from mitds.pipeline.rights.remove import Asked, remove
from mitds.pipeline.rights.shards import samples
from mitds.pipeline.rights.tables import counted
from mitds.store import sha256_file, write_json
from tests import factories

A, B = "a1" * 32, "b2" * 32
URL_A, URL_B = "https://example.org/talk", "https://example.org/talk2?x=1"
NAME = {A: "Talk of Ann.mp4", B: "Bob.mp4"}
URL = {A: URL_A, B: URL_B}
AT = "2026-01-02T03:04:05+00:00"


@cache
def media() -> dict[str, bytes]:
    return {"mp4": factories.mp4_bytes(10), "wav": factories.wav_bytes(10)}


def clip(number: int, source: str, **changes: object) -> Clip:
    known = factories.clip(number, frames=10, end=Fraction(1, 3) + Fraction(2, 5), source_id=source)
    known = replace(known, key=hashlib.sha256(f"{source}{number}".encode()).hexdigest()[:16])
    return replace(
        known, source_url=URL[source], source_name=NAME[source], shot=f"{source[:16]}-s0000", **changes
    )


def sample(one: Clip) -> dict[str, bytes]:
    digests = {ext: hashlib.sha256(data).hexdigest() for ext, data in media().items()}
    return {**media(), **sealed(one, factories.clip_arrays(one), digests)}


ALONE = (factories.person(0),)
CLIPS = [clip(0, A), clip(1, A), clip(2, A), clip(3, B), clip(4, B), clip(5, B, persons=ALONE)]
"""Two a shard: the first shard is A's alone, the second is shared, the third is B's alone."""


def source_of(source: str, row: int) -> object:
    return factories.source(row=row, id=source, url=URL[source], name=NAME[source])


def listed(folder: Path) -> list[dict[str, object]]:
    return [
        {
            "name": path.name,
            "sha256": sha256_file(path),
            "bytes": path.stat().st_size,
            "samples": len(list(samples(path))),
        }
        for path in sorted(folder.glob("*.tar"))
    ]


def write_raw(folder: Path) -> Path:
    """What ingest leaves, with a duplicate of A and a dead link in the list."""
    with ShardWriter("shots-%06d.tar", folder, max_samples=2) as writer:
        for row, source in enumerate((A, B), 1):
            about = {"kind": "source", "source": source_of(source, row), "sound": None, "shots": 1}
            writer.add(source[:16], {"json": canonical(about).encode()})
            shot = factories.shot(key=f"{source[:16]}-s0000", source_id=source)
            writer.add(shot.key, {"json": canonical({"kind": "shot", "shot": shot}).encode(), "mp4": b"v"})
    again = replace(
        source_of(A, 3), url="https://mirror.example.org/a", status="filtered", reason="duplicate_of"
    )
    lost = factories.source(
        row=4, id=None, url="https://example.org/gone", status="failed", probe=None, reason="x"
    )
    ends = [source_of(A, 1), source_of(B, 2), again, lost]
    schemas.write_sources(folder / "sources.parquet", ends)
    ledger = Ledger(folder / "ledger.jsonl")
    for one in ends:
        detail = f"from {one.url}"
        ledger.append(
            End(
                kind="source",
                item=str(one.row),
                stage="ingest",
                status=one.status,
                reason=one.reason,
                detail=detail,
            )
        )
    funnel = counted(read_ledger(folder / "ledger.jsonl"))
    write_json(folder / "run.json", {"command": "ingest", "shards": listed(folder), "funnel": funnel})
    work = folder / ".work"
    for name in (
        f"downloads/{A}.mp4",
        f"split-1234/{A[:16]}.done",
        f"split-1234/{B[:16]}.done",
        "fetch-1/0a.done",
    ):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(
            json.dumps({"url": URL_A, "sha256": A}) if name.startswith("fetch") else "{}"
        )
    (folder / "events.jsonl").write_text(
        "".join(json.dumps({"item": s[:16], "url": URL[s]}) + "\n" for s in (A, B))
    )
    return folder


def write_out(folder: Path) -> Path:
    """What annotate leaves."""
    with ShardWriter("clips-%06d.tar", folder, max_samples=2) as writer:
        places = [(one, writer.add(one.key, sample(one))) for one in CLIPS]
    labels = [
        factories.source_labels(
            source=source_of(source, row),
            shots=tuple(
                factories.shot(n, start=6 * n, key=f"{source[:16]}-s{n:04d}", source_id=source)
                for n in (0, 1)
            ),
        )
        for row, source in enumerate((A, B), 1)
    ]
    factories.write_sources(folder, *labels)
    dropped = clip(9, A, status="filtered", reasons=("too_short",))
    schemas.write_clips(folder / "clips.parquet", [*places, (dropped, None)])
    schemas.write_sources(folder / "sources.parquet", [source_of(A, 1), source_of(B, 2)])
    ledger = Ledger(folder / "ledger.jsonl")
    for source in (A, B):
        ledger.append(End(kind="source", item=source[:16], stage="annotate", status="kept"))
        ledger.append(
            End(kind="shot", item=f"{source[:16]}-s0000", stage="speaking", status="kept", seconds=6.0)
        )
    for one in (*CLIPS, dropped):
        ledger.append(
            End(kind="clip", item=one.key, stage="clips", status=one.status, reason="".join(one.reasons))
        )
    funnel = counted(read_ledger(folder / "ledger.jsonl"))
    write_json(
        folder / "run.json",
        {
            "command": "annotate",
            "shards": listed(folder),
            "funnel": funnel,
            "config": {"profile": "standard"},
        },
    )
    write_report(folder)
    write_journals(folder)
    (folder / ".work" / "faces-77").mkdir()
    for source in (A, B):
        (folder / ".work" / "faces-77" / f"{source[:16]}-s0000.npz").write_bytes(b"faces")
    return folder


def write_journals(folder: Path) -> None:
    published = folder / ".work" / "shards" / "published"
    published.mkdir(parents=True)
    for path in sorted(folder.glob("clips-*.tar")):
        laid = [Laid(key, "token", "", stretch.end) for key, stretch in samples(path)]
        begin_journal(published / f"{path.name}.journal", laid)
        record = ShardRecord(
            name=path.name, sha256=sha256_file(path), bytes=path.stat().st_size, samples=len(laid)
        )
        note(published / f"{path.name}.journal", record)


def write_release(folder: Path) -> Path:
    """A release of one clip of each source, with what anchors leave."""
    items = []
    with ShardWriter("test-%06d.tar", folder, max_samples=1) as writer:
        for one in (CLIPS[0], CLIPS[3]):
            item = replace(one, key=hashlib.sha256(one.key.encode()).hexdigest()[:16])
            members = sample(item)
            writer.add(item.key, members)
            files = {ext: hashlib.sha256(data).hexdigest() for ext, data in members.items()}
            people, subsets = ("H0", "H1"), ("people-2",)
            items.append(
                Item(
                    id=item.key, clip=one.key, source=one.source_id, cluster="C0", people=people, first=0, frames=10,
                    width=160, height=96, reference_frame=0, subsets=subsets, files=files, pixels="",
                )
            )  # fmt: skip
            (folder / "controls" / "grey" / "videos").mkdir(parents=True, exist_ok=True)
            (folder / "controls" / "grey" / "videos" / f"{item.key}.mp4").write_bytes(b"grey")
    train, held = (CLIPS[1].key, CLIPS[4].key), ()
    items.sort(key=lambda item: item.id)
    release = Release(name="r", items=tuple(items), train=train, held_out=held, config={}, models={})
    write_json(folder / "release.json", release)
    write_json(
        folder / "funnel.json",
        {"clips": 4, "tested": 2, "train": 2, "held_out": 0, "items": 2, "left_out": {}},
    )
    write_json(folder / "anchors.json", {"release": release.digest})
    write_json(folder / "controls" / "grey" / "results.json", {})
    return folder


def build(folder: Path) -> Path:
    """Everything that ingest, annotate, a release and exports leave of two sources."""
    write_raw(folder / "raw")
    write_out(folder / "out")
    write_release(folder / "release")
    for kind in ("rttm", "ava", "coco"):
        export([str(folder / "out" / "clips-*.tar")], kind, folder / "exports")
    return folder


def folders(world: Path) -> list[Path]:
    return [world / name for name in ("raw", "out", "release", "exports")]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All bytes of a tree, with the values of the tables, which are compressed; but for the records of removals."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "removals.jsonl"):
        data = path.read_bytes()
        yield str(path), str(path).encode() + data
        if path.suffix == ".parquet":
            yield str(path), json.dumps(pq.read_table(path).to_pylist()).encode()


def asked(**changes: object) -> Asked:
    return Asked(**{"sources": (A,), "by": "Data officer", "why": "consent withdrawn", "at": AT, **changes})


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


def killing(patch: pytest.MonkeyPatch, left: list[int]) -> None:
    """Die at the n-th change of the file system, before or after it."""
    for name in ("replace", "unlink"):
        real = getattr(Path, name)

        def change(self: Path, *args: object, real: Callable[..., object] = real, **kwargs: object) -> object:
            if self.name != ".lock" and left[0] < 0:
                raise Killed  # what a dying process cannot do any more: clean up
            if self.name != ".lock":
                left[0] -= 1
                if left[0] < 0 and left[0] % 2:
                    raise Killed
            return real(self, *args, **kwargs)

        patch.setattr(Path, name, change)


def killed_after(changes: int, folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run the removal, dying at a change of the file system; say whether it came that far."""
    with monkeypatch.context() as patch:
        killing(patch, [changes])
        try:
            remove(folders, asked())
        except Killed:
            return True
    return False

"""Ingest and annotate from object storage to object storage, against a server that speaks S3 on loopback."""

from __future__ import annotations

import uuid
from pathlib import Path

import av
import pytest

from mitds import load
from mitds.pipeline.annotate import annotate
from mitds.pipeline.ingest import ingest
from mitds.pipeline.report import write_report
from mitds.pipeline.session import ray_session
from mitds.pipeline.settings import annotate_config
from mitds.pipeline.work import staging_of
from mitds.places import listing, matching, place, remote
from mitds.store import publish_copy, remove_tree, sha256_file, write_bytes
from mitds.weights import resolve
from tests.objectstore import serving_s3

pytest.importorskip("s3fs")
pytest.importorskip("moto")
pytestmark = [pytest.mark.media, pytest.mark.long]

SECONDS = 2
CONFIG = annotate_config(
    "embedded", settings=["rules.min_seconds=1", "rules.min_speaking_s=0", "quality.measures=[]"]
)


def first_seconds(film: Path, target: Path) -> None:
    """Copy the packets of a film's first seconds."""
    with av.open(str(film)) as source, av.open(str(target), "w") as short:
        tracks = {
            t.index: short.add_stream_from_template(t) for t in source.streams if t.type in ("video", "audio")
        }
        for packet in source.demux([source.streams[index] for index in tracks]):
            if packet.dts is not None and packet.dts * packet.time_base < SECONDS:
                packet.stream = tracks[packet.stream.index]
                short.mux(packet)


def run(list_path: Path, folder: Path) -> None:
    """Do the main job below a folder."""
    ingest(list_path, folder / "raw")
    annotate([f"{folder}/raw/shots-*.tar"], folder / "clips", CONFIG)


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of all shards in a folder."""
    return {path.name: sha256_file(path) for path in matching(f"{folder}/*.tar")}


def versions(folder: Path) -> dict[Path, str]:
    """Return what changes whenever a result below a folder is put again."""
    found = [path for part in ("raw", "clips") for path in matching(f"{folder}/{part}/[a-z]*")]
    return {path: remote(path).version() for path in found}


def test_from_s3_to_s3_gives_the_shards_of_a_local_run(tmp_path: Path):
    first_seconds(resolve("media.statement"), tmp_path / "film.mp4")
    with serving_s3() as bucket, ray_session(workers=2):
        publish_copy(tmp_path / "film.mp4", place(f"{bucket}/in/film.mp4"))
        urls, there = place(f"{bucket}/in/urls.txt"), place(f"{bucket}/run {uuid.uuid4().hex}")
        write_bytes(urls, f"{bucket}/in/film.mp4\n".encode())
        run(urls, there)
        annotate([f"{there}/raw/shots-*.tar"], tmp_path / "clips", CONFIG)
        assert {"clips-000000.tar", "sources-000000.tar"} <= digests(there / "clips").keys()
        assert digests(there / "clips") == digests(tmp_path / "clips")
        (clip,) = load(f"{there}/clips/clips-*.tar")
        assert sum(1 for _ in clip.frames()) == clip.clip.frames > 25
        assert ".lock" not in listing(there / "raw") | listing(there / "clips")
        before = versions(there)
        run(urls, there)
        assert versions(there) == before
        for part in ("raw", "clips"):
            remove_tree(staging_of(there / part))
        assert b"<html" in write_report(there / "clips").read_bytes()

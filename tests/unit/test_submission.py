"""Submissions: an honest one passes; every way of cheating or breaking one has its code and harms nobody."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mitds.benchmark.cards import card_of
from mitds.benchmark.footage import Shape, WrongShape, read_footage
from mitds.benchmark.isolation import Outcome
from mitds.benchmark.results import Row, read_rows, write_rows
from mitds.benchmark.submission import bundle as layout
from mitds.benchmark.submission import (
    check,
    inspect,
    integrity,
    media,
    pack,
    structure,
    values,
    video_digests,
)
from mitds.benchmark.submission.bundle import SCORES, SOURCES, VIDEOS
from mitds.benchmark.submission.completeness import asked_for
from mitds.benchmark.submission.likeness import FOLLOWS, MIN_CORRELATION, sound_agreement, unfollowed
from mitds.benchmark.submission.media_job import CodecNotAccepted, NotAccepted, check_tracks
from mitds.benchmark.submission.problems import CODES, Problem, problem
from mitds.benchmark.submission.rules import CONSENT
from mitds.benchmark.submission.strict_json import NotStrict, parse
from mitds.errors import BadShard, UsageError
from tests import submissions as make

ITEMS = 3
TODAY = datetime.date(2026, 1, 3)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.make_release(tmp_path_factory.mktemp("release"), ITEMS)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measurements of every item by one metric of items and one of people."""
    folder = tmp_path_factory.mktemp("evaluation")
    found = [_row("psnr@1", n, None, 30.0 + n) for n in range(ITEMS)]
    found += [_row("face-found.yunet@1", n, person, 0.5) for n in range(ITEMS) for person in range(2)]
    write_rows(folder / "rows.parquet", found)
    return folder


def _row(metric: str, number: int, person: int | None, value: float) -> Row:
    return Row(
        item=make.item_id(number), metric=metric, person=person, value=value, charged=value, status="ok", n=50
    )


@pytest.fixture(scope="module")
def tar(release: Path, evaluation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.make_bundle(tmp_path_factory.mktemp("packed"), release, evaluation)


@pytest.fixture
def folder(tar: Path, tmp_path: Path) -> Path:
    return make.unpacked(tar, tmp_path / "bundle")


def codes(bundle: Path, release: Path, **options: Any) -> set[str]:
    return {p.code for p in found(bundle, release, **options)}


def found(bundle: Path, release: Path, **options: Any) -> list[Problem]:
    return check(bundle, release, today=TODAY, **{"decode": False, **options})


# ---- honest bundles


def test_an_honest_bundle_passes_packed_and_unpacked(tar: Path, folder: Path, release: Path) -> None:
    assert found(tar, release, decode=True) == []
    assert found(folder, release) == []


def test_packing_again_gives_the_same_bytes(
    tar: Path, release: Path, evaluation: Path, tmp_path: Path
) -> None:
    again = pack(
        tar.parent / "answers", evaluation, tar.parent / "submission.json", release, tmp_path / "again.tar"
    )
    assert again.read_bytes() == tar.read_bytes()


def test_a_packed_bundle_is_a_plain_tar_without_averages(tar: Path) -> None:
    with tarfile.open(tar) as archive:
        names = archive.getnames()
        scores = archive.extractfile(SCORES).read().decode()  # type: ignore[union-attr]
    assert names == sorted(names)
    assert len(scores.splitlines()) == ITEMS * 3
    assert set(json.loads(scores.splitlines()[0])) == {
        "item",
        "seed",
        "metric",
        "person",
        "value",
        "status",
        "n",
    }


def test_three_seeds_are_packed_from_three_evaluations(
    release: Path, evaluation: Path, tmp_path: Path
) -> None:
    for seed in range(3):
        (tmp_path / "runs" / str(seed)).mkdir(parents=True)
        (tmp_path / "runs" / str(seed) / "rows.parquet").write_bytes(
            (evaluation / "rows.parquet").read_bytes()
        )
    tar = make.make_bundle(tmp_path, release, tmp_path / "runs", seeds=[0, 1, 2], deterministic=False)
    assert found(tar, release) == []


def test_packing_says_what_is_missing(release: Path, tar: Path, tmp_path: Path) -> None:
    declared = tar.parent / "submission.json"
    with pytest.raises(UsageError, match="3 of 3 videos are missing"):
        pack(tmp_path, None, declared, release, tmp_path / "a.tar")
    with pytest.raises(UsageError, match="packed as"):
        pack(tar.parent / "answers", None, declared, release, tmp_path / "a.zip")
    (tmp_path / "submission.json").write_text(json.dumps({"system": "x"}))
    with pytest.raises(UsageError, match="required"):
        pack(tar.parent / "answers", None, tmp_path / "submission.json", release, tmp_path / "a.tar")
    (tmp_path / f"{make.item_id(0)}.mp4").write_text("#EXTM3U")
    for number in (1, 2):
        (tmp_path / f"{make.item_id(number)}.mp4").write_text("#EXTM3U")
    with pytest.raises(UsageError, match="MP4"):
        pack(tmp_path, None, declared, release, tmp_path / "a.tar")


def test_without_a_release_there_is_no_check(tar: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no release"):
        check(tar, tmp_path)
    (tmp_path / "release.json").write_text("{}")
    with pytest.raises(BadShard):
        check(tar, tmp_path)


# ---- S: hostile archives


def _member(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


HOSTILE_TARS: dict[str, Callable[[], bytes]] = {
    "S-NAME traversal": lambda: make.tar_of([(_member("../../etc/passwd"), b"x")]),
    "S-NAME absolute": lambda: make.tar_of([(_member("/etc/passwd"), b"x")]),
    "S-NAME inner traversal": lambda: make.tar_of([(_member("videos/../a.mp4"), b"x")]),
    "S-NAME backslash": lambda: make.tar_of([(_member("videos\\a.mp4"), b"x")]),
    "S-NAME other file": lambda: make.tar_of([(_member("run.py"), b"x")]),
    "S-NAME upper extension": lambda: make.tar_of([(_member("videos/a.MP4"), b"x")]),
    "S-TAR symlink": lambda: make.tar_of([(_member("videos/a.mp4", type=b"2", linkname="/etc/passwd"), b"")]),
    "S-TAR hard link": lambda: make.tar_of([(_member("videos/a.mp4", type=b"1", linkname="b"), b"")]),
    "S-TAR device": lambda: make.tar_of([(_member("videos/a.mp4", type=b"3"), b"")]),
    "S-TAR pipe": lambda: make.tar_of([(_member("videos/a.mp4", type=b"6"), b"")]),
    "S-TAR folder": lambda: make.tar_of([(_member("videos", type=b"5"), b"")]),
    "S-TAR sparse": lambda: make.tar_of([(_member("videos/a.mp4", type=b"S"), b"")]),
    "S-TAR PAX": lambda: make.tar_of(
        [(_member("a", pax_headers={"size": "9" * 15}), b"")], format=tarfile.PAX_FORMAT
    ),
    "S-TAR GNU long name": lambda: make.tar_of([(_member("v" * 300), b"")], format=tarfile.GNU_FORMAT),
    "S-TAR not ASCII": lambda: make.tar_of([(_member("videos/ä.mp4"), b"x")], format=tarfile.GNU_FORMAT),
    "S-TAR terabytes": lambda: _declaring("videos/a.mp4", 0o77777777777),
    "S-TAR base 256": lambda: _declaring("videos/a.mp4", 1 << 60, tarfile.GNU_FORMAT),
    "S-TAR checksum": lambda: b"x" * 512 + bytes(1024),
    "S-TAR ragged": lambda: b"x" * 1000,
    "S-TAR cut off": lambda: make.tar_of([(_member("videos/a.mp4"), b"x" * 5000)])[:2048],
    "S-TAR appended": lambda: make.tar_of([(_member("videos/a.mp4"), b"x")]) + bytes(512) + b"y" * 512,
    "S-TAR gzip": lambda: b"\x1f\x8b" + bytes(1534),
    "S-DUPLICATE same": lambda: make.tar_of([(_member("videos/a.mp4"), b"x"), (_member("videos/a.mp4"), b"y")]),
    "S-DUPLICATE case": lambda: make.tar_of([(_member("videos/a.mp4"), b"x"), (_member("videos/A.mp4"), b"y")]),
    "S-SIZE document": lambda: make.tar_of([(_member("submission.json"), bytes(2 << 20))]),
    "S-MISSING nothing": lambda: bytes(1024),
}  # fmt: skip


def _declaring(name: str, size: int, format: int = tarfile.USTAR_FORMAT) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(format) + bytes(2048)


@pytest.mark.parametrize("case", HOSTILE_TARS)
def test_hostile_archives_are_refused_unextracted(case: str, release: Path, tmp_path: Path) -> None:
    path = tmp_path / "in" / "bundle.tar"
    path.parent.mkdir()
    path.write_bytes(HOSTILE_TARS[case]())
    assert codes(path, release) == {case.split()[0]}
    assert os.listdir(tmp_path) == ["in"]  # noqa: PTH208
    assert os.listdir(tmp_path / "in") == ["bundle.tar"]  # noqa: PTH208


def test_too_many_files_are_refused(tar: Path, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_FILES", 4)
    assert codes(tar, release) == {"S-SIZE"}


def _link(folder: Path) -> None:
    video = folder / "videos" / f"{make.item_id(0)}-0.mp4"
    video.unlink()
    video.symlink_to("/etc/passwd")


def _linked_folder(folder: Path) -> None:
    (folder / "videos").rename(folder.parent / "elsewhere")
    (folder / "videos").symlink_to(folder.parent / "elsewhere")


def _hard_link(folder: Path) -> None:
    (folder / "videos" / "b.mp4").hardlink_to(folder / "videos" / f"{make.item_id(0)}-0.mp4")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "videos" / "b.mp4")


def _hidden_file(folder: Path) -> None:
    (folder / ".DS_Store").write_text("x")


def _other_folder(folder: Path) -> None:
    (folder / "code").mkdir()


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_link, "S-FILE"),
        (_linked_folder, "S-FILE"),
        (_hard_link, "S-FILE"),
        (_pipe, "S-FILE"),
        (_hidden_file, "S-NAME"),
        (_other_folder, "S-NAME"),
    ],
)
def test_hostile_folders_are_refused(
    damage: Callable[[Path], None], code: str, folder: Path, release: Path
) -> None:
    damage(folder)
    assert codes(folder, release) == {code}


def test_a_path_to_nothing_or_to_a_device_is_refused(release: Path, tmp_path: Path) -> None:
    assert codes(tmp_path / "nothing.tar", release) == {"S-BUNDLE"}
    assert codes(Path("/dev/zero"), release) == {"S-BUNDLE"}


@pytest.mark.parametrize("name", [*layout.REQUIRED])
def test_every_file_is_required(name: str, folder: Path, release: Path) -> None:
    (folder / name).unlink()
    assert codes(folder, release) == {"S-MISSING"}


# ---- S: JSON


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"[" + b"9" * 400 + b"]",
        b"[9007199254740993]",
        b"\xef\xbb\xbf{}",
        b'"\xff\xfe"',
        b"\xff\xfe{\x00}\x00",
        b"[" * 17 + b"]" * 17,
        b"[" * 30_000 + b"]" * 30_000,
        b"{} {}",
        b"{'a': 1}",
        b"",
        b'"' + b"x" * 70_000 + b'"',
    ],
    ids=lambda text: repr(text[:20]),
)
def test_json_with_more_than_one_meaning_is_refused(text: bytes) -> None:
    with pytest.raises(NotStrict):
        parse(text)


def test_plain_json_is_read() -> None:
    assert parse(b'{"a": [1, -2.5e-3, null, true, "\\u00e9"]}') == {"a": [1, -0.0025, None, True, "é"]}


@pytest.mark.parametrize("name", ["submission.json", "environment.json", VIDEOS, SCORES])
def test_a_file_that_is_not_strict_json_is_named(name: str, folder: Path, release: Path) -> None:
    text = (folder / name).read_bytes()
    (folder / name).write_bytes(text.replace(b"{", b'{"a": NaN, ', 1))
    (problem_,) = found(make.seal(folder), release)
    assert (problem_.code, problem_.file) == ("S-JSON", name)


@pytest.mark.parametrize("key", ["mean", "aggregate", "std", "score"], ids=str)
def test_averages_are_no_part_of_the_format(key: str, folder: Path, release: Path) -> None:
    make.change_rows(folder, SCORES, lambda rows: rows[1].update({key: 1.0}))
    (problem_,) = found(folder, release)
    assert (problem_.code, problem_.file, problem_.row) == ("S-SCHEMA", SCORES, 2)
    assert key in problem_.what


@pytest.mark.parametrize(
    "name",
    [
        "Talker\n2", "Talker\u202e2", "Talker\u200b2", "T\u0430lker", "<b>Talker</b>", "Talker\x1b[31m",
        "", " Talker", "T" * 65, "Talker 2.0\n", "Talk&er", '"Talker"',
    ],
)  # fmt: skip
def test_names_that_could_deceive_are_refused(name: str, folder: Path, release: Path) -> None:
    refused = codes(make.change_about(folder, system=name), release)
    assert refused
    assert refused <= {"S-SCHEMA", "S-TEXT"}


@pytest.mark.parametrize("name", ["Talker", "X-Talk (v2)", "a.b+c_d-1", "GPT 4.1"])
def test_plain_names_are_accepted(name: str, folder: Path, release: Path) -> None:
    assert codes(make.change_about(folder, system=name), release) == set()


@pytest.mark.parametrize("text", ["a\u202eb", "a\x00b", "a\u2066b", "a\ufeffb", "a\ud800b", "a\nb"])
def test_hidden_characters_are_refused_in_every_text(text: str, folder: Path, release: Path) -> None:
    assert codes(make.change_about(folder, contact=text), release) == {"S-TEXT"}


def test_ordinary_letters_of_any_script_are_accepted(folder: Path, release: Path) -> None:
    assert codes(make.change_about(folder, contact="Zoë Łukasz 山田"), release) == set()


def test_another_version_is_told_apart(folder: Path, release: Path) -> None:
    assert codes(make.change_about(folder, schema="mitds-submission/2"), release) == {"S-VERSION"}


def test_the_schemas_are_closed() -> None:
    for name in ("submission", "videos", "scores", "environment"):
        assert all(part["additionalProperties"] is not True for part in _objects(structure.schema(name)))
        assert structure.schema(name)["additionalProperties"] is False


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found_ for inner in value for found_ in _objects(inner)]
    if not isinstance(value, dict):
        return []
    mine = [value] if value.get("type") == "object" else []
    return mine + [found_ for inner in value.values() for found_ in _objects(inner)]


def test_a_flood_of_bad_rows_is_cut_short(folder: Path, release: Path) -> None:
    (folder / SCORES).write_text("{}\n" * 5000)
    assert len(found(make.seal(folder), release)) == structure.MAX_PROBLEMS


def test_an_endless_line_is_refused(folder: Path, release: Path) -> None:
    (folder / SCORES).write_bytes(b"x" * (8 << 20))
    assert codes(make.seal(folder), release) == {"S-JSON"}


# ---- C


def test_missing_and_extra_and_repeated_rows_are_told(folder: Path, release: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[0]["item"] = "f" * 16
        rows.append(rows[1])

    make.write_rows(folder, SCORES, [])
    told = found(make.change_rows(folder, VIDEOS, change), release)
    assert {p.code for p in told} == {"C-MISSING", "C-EXTRA", "C-DUPLICATE"}


def test_a_row_without_its_file_and_a_file_without_its_row_are_told(folder: Path, release: Path) -> None:
    videos = folder / "videos"
    (videos / f"{make.item_id(0)}-0.mp4").rename(videos / "spare.mp4")
    assert {"C-MISSING", "C-EXTRA"} <= codes(make.seal(folder), release)


def test_files_that_nobody_asked_for_are_refused_unread(
    folder: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(folder / "videos" / f"{make.item_id(0)}-0.mp4", folder / "videos" / "spare.mp4")
    shutil.copy(folder / "videos" / f"{make.item_id(1)}-0.mp4", folder / "videos" / "more.mp4")
    extra = make.rows(folder, VIDEOS)[0] | {"item": "f" * 16, "file": "videos/more.mp4"}
    make.change_rows(folder, VIDEOS, lambda rows: rows.append(extra))
    read: list[str] = []
    digest = layout.Bundle.digest
    monkeypatch.setattr(layout.Bundle, "digest", lambda self, name: read.append(name) or digest(self, name))
    told = found(folder, release)
    assert {"videos/spare.mp4", VIDEOS} <= {p.file for p in told if p.code == "C-EXTRA"}
    assert len([name for name in read if name.startswith("videos/")]) == ITEMS


def test_rows_that_repeat_a_video_do_not_have_it_decoded_again(folder: Path, release: Path) -> None:
    make.change_rows(folder, VIDEOS, lambda rows: rows.extend([rows[0]] * 50))
    contents = _contents(folder)
    assert len(asked_for(layout.open_bundle(folder), contents, _release(release))) == ITEMS


def test_an_undeclared_seed_is_extra(folder: Path, release: Path) -> None:
    make.change_rows(folder, VIDEOS, lambda rows: rows[0].update(seed=7))
    assert {"C-MISSING", "C-EXTRA"} <= codes(folder, release)


@pytest.mark.parametrize("which", [0, 4, 5])
def test_leaving_out_one_bad_measurement_is_told(which: int, folder: Path, release: Path) -> None:
    make.change_rows(folder, SCORES, lambda rows: rows.pop(which))
    assert codes(folder, release) == {"C-SCORES"}


def test_one_value_cannot_stand_for_all_people(folder: Path, release: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        of_people = [
            row for row in rows if row["metric"].startswith("face") and row["item"] == make.item_id(1)
        ]
        rows.remove(of_people[0])
        of_people[1]["person"] = None

    assert codes(make.change_rows(folder, SCORES, change), release) == {"C-SCORES"}


def test_a_person_whom_the_item_does_not_have_is_told(folder: Path, release: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["person"] == 1)["person"] = 2

    assert codes(make.change_rows(folder, SCORES, change), release) == {"C-SCORES"}


def test_a_failed_output_has_one_row_for_all_people(folder: Path, release: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        of_people = [
            row for row in rows if row["metric"].startswith("face") and row["item"] == make.item_id(1)
        ]
        rows.remove(of_people[0])
        of_people[1].update(person=None, value=None, status="unreadable")

    assert codes(make.change_rows(folder, SCORES, change), release) == set()


def test_measurements_may_be_left_to_the_host(folder: Path, release: Path) -> None:
    make.write_rows(folder, SCORES, [])
    assert codes(make.seal(folder), release) == set()


def test_repeated_measurements_are_told(folder: Path, release: Path) -> None:
    make.change_rows(folder, SCORES, lambda rows: rows.append(rows[0] | {"value": 0.25}))
    assert codes(folder, release) == {"C-DUPLICATE"}


# ---- M: one bundle, a bad video an item


def _encoded(
    path: Path, codec: str, frames: int, width: int, height: int, rate: int = 25, **more: Any
) -> Path:
    with av.open(str(path), "w", format=more.pop("format", "mp4")) as container:
        streams = [container.add_stream(codec, rate=rate) for _ in range(more.pop("tracks", 1))]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for stream in streams:
            for k in range(frames):
                grey = np.full((height, width, 3), 40 + k % 200, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
            container.mux(stream.encode())
    return path


NOT_MP4 = {
    "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\nc=IN IP4 127.0.0.1\n",
    "subtitles": b"1\n00:00:00,000 --> 00:00:05,000\nhello\n",
    "playlist behind a brand": b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isomiso2#EXTM3U\nfile:///etc/passwd\n",
    "html": b"<html></html>",
    "empty": b"",
    "zeros": bytes(4096),
}


@pytest.mark.parametrize("case", NOT_MP4)
def test_what_only_claims_to_be_a_video_is_never_followed(case: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(NOT_MP4[case])
    with pytest.raises(NotAccepted):
        check_tracks(path)


def test_other_containers_and_more_tracks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAccepted):
        check_tracks(_encoded(tmp_path / "a.mkv", "libx264", 5, 32, 32, format="matroska"))
    with pytest.raises(NotAccepted, match="video, video"):
        check_tracks(_encoded(tmp_path / "b.mp4", "libx264", 5, 32, 32, tracks=2))


_ONE = 1 << 16
MIRROR = struct.pack(">9i", -_ONE, 0, 0, 0, _ONE, 0, 32 * _ONE, 0, 1 << 30)
AWAY = struct.pack(">9i", _ONE, 0, 0, 0, _ONE, 0, 4000 * _ONE, 0, 1 << 30)
TWO_FACED: dict[str, Callable[[bytes], bytes]] = {
    "display matrix: mirrored": lambda data: _patched(data, b"tkhd", 44, MIRROR),
    "display matrix: moved away": lambda data: _patched(data, b"tkhd", 44, AWAY),
    "display matrix: of the whole": lambda data: _patched(data, b"mvhd", 40, MIRROR),
    "is disabled: flags": lambda data: _patched(data, b"tkhd", 4, bytes(4)),
    "2 boxes: another header": lambda data: data + data[data.index(b"moov") - 4 :],
    "there is no box: text at the end": lambda data: data + b"<script>alert(1)</script>",
    "there is no box: a few bytes": lambda data: data + b"\0\0\0",
    "there is no box: beyond the end": lambda data: data + struct.pack(">I4s", 100, b"free") + bytes(20),
}


def _patched(data: bytes, box: bytes, at: int, new: bytes) -> bytes:
    place = data.index(box) + at
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize("case", TWO_FACED)
def test_what_players_could_show_differently_is_refused(case: str, tmp_path: Path) -> None:
    path = _encoded(tmp_path / "a.mp4", "libx264", 5, 32, 32)
    check_tracks(path)
    path.write_bytes(TWO_FACED[case](path.read_bytes()))
    with pytest.raises(NotAccepted, match=case.split(":")[0]):
        check_tracks(path)


def _stretched(path: Path, aspect: int, frames: int) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = make.WIDTH, make.HEIGHT, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(frames):
            grey = np.full((make.HEIGHT, make.WIDTH, 3), 40, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        container.mux(stream.encode())
    return path


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAccepted, match="square"):
        check_tracks(_stretched(tmp_path / "a.mp4", 2, 5))


WANTED = Shape(make.FRAMES, make.WIDTH, make.HEIGHT)


def test_memory_is_counted_by_the_pictures_that_are_made(tmp_path: Path) -> None:
    with pytest.raises(WrongShape, match="more or larger"):
        read_footage(_stretched(tmp_path / "a.mp4", 8, make.FRAMES), WANTED)


def test_small_pictures_behind_a_large_one_do_not_fill_the_memory(tmp_path: Path) -> None:
    """Each of them would be scaled to the size of the first."""
    path = tmp_path / "bomb.mp4"
    packets = _vp9(800, 1) + _vp9(8, 1) * 500
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 800, 800, "yuv420p"
        for k, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, k, k, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    with pytest.raises(WrongShape, match="change size"):
        read_footage(path, WANTED)


def _vp9(side: int, frames: int) -> list[bytes]:
    context = av.CodecContext.create("libvpx-vp9", "w")
    context.width, context.height, context.pix_fmt = side, side, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"g": "1", "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    packets: list[Any] = []
    for k in range(frames):
        frame = av.VideoFrame.from_ndarray(np.full((side, side, 3), 90, np.uint8), "rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts = k
        packets += context.encode(frame)
    return [bytes(packet) for packet in (*packets, *context.encode(None))]


def test_rare_codecs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CodecNotAccepted, match="mpeg4"):
        check_tracks(_encoded(tmp_path / "a.mp4", "mpeg4", 5, 32, 32))


def test_bad_videos_are_told_apart_and_the_others_pass(tmp_path: Path) -> None:
    release = make.make_release(tmp_path / "release", 8)
    tar = make.make_bundle(tmp_path, release)
    folder = make.unpacked(tar, tmp_path / "bundle")
    real = _real(release, 7)
    torn = (folder / "videos" / f"{make.item_id(1)}-0.mp4").read_bytes()
    middle = slice(len(torn) // 3, 2 * len(torn) // 3)
    videos: dict[int, bytes | Path] = {
        0: NOT_MP4["playlist"],
        1: torn[: middle.start] + b"\xff" * len(torn[middle]) + torn[middle.stop :],
        2: _encoded(tmp_path / "long.mp4", "libx264", make.FRAMES + 1, make.WIDTH, make.HEIGHT),
        3: make.write_mp4(tmp_path / "voice.mp4", make.honest_frames(3), make.wave(99)),
        4: _encoded(tmp_path / "codec.mp4", "mpeg4", make.FRAMES, make.WIDTH, make.HEIGHT),
        5: make.write_mp4(tmp_path / "copy.mp4", make.real_frames(5), make.wave(5), crf=30),
        6: make.write_mp4(tmp_path / "mute.mp4", make.honest_frames(6)),
        7: make.write_mp4(tmp_path / "other.mp4", real, make.wave(7), crf=0),
    }  # fmt: skip
    for number, video in videos.items():
        make.put_video(folder, number, video)
    told = {(p.row, p.code) for p in found(folder, release, decode=True)}
    rows = {make.item_id(n): n for n in range(8)}
    by_item = {rows[make.rows(folder, VIDEOS)[row - 1]["item"]]: code for row, code in told if row}
    assert by_item == {
        0: "M-CONTAINER", 1: by_item[1], 2: "M-SHAPE", 3: "M-SOUND", 4: "M-CODEC", 5: "I-REFERENCE",
        6: "M-ROW", 7: "I-REFERENCE",
    }  # fmt: skip
    assert by_item[1] in ("M-UNREADABLE", "M-CONTAINER", "M-SHAPE")


def _real(release: Path, number: int) -> list[np.ndarray]:
    from mitds.benchmark.release import open_release

    return list(open_release(release).scene(make.item_id(number)).real.frames_THWC)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome("crashed", what="killed by SIGSEGV"), "M-CRASH"),
        (Outcome("crashed", code="out_of_memory", what="out of memory"), "M-CRASH"),
        (Outcome("timeout", what="no result within 240 s"), "M-TIMEOUT"),
        (Outcome("error", code="undecodable", what="decoding breaks"), "M-UNREADABLE"),
        (Outcome("error", code="ValueError", what="x"), "M-UNREADABLE"),
        (Outcome("error", code="wrong_shape", what="x"), "M-SHAPE"),
        (Outcome("error", code="not_video", what="x"), "M-CONTAINER"),
    ],
)
def test_however_decoding_ends_it_is_told(outcome: Outcome, code: str, folder: Path, release: Path) -> None:
    (first, *_) = _contents(folder).videos
    (told,) = media._judged(first, _items(release)[0], outcome)
    assert (told.code, told.file, told.row) == (code, first.file, 1)


def test_a_damaged_release_is_not_blamed_on_the_video(folder: Path, release: Path) -> None:
    outcome = Outcome("error", code="bad_shard", what="member is not the one the release lists")
    with pytest.raises(BadShard, match="member"):
        list(media._judged(_contents(folder).videos[0], _items(release)[0], outcome))


def _contents(folder: Path) -> structure.Contents:
    contents, _ = structure.read_contents(layout.open_bundle(folder))
    assert contents is not None
    return contents


def _items(release: Path) -> Any:
    from mitds.benchmark.release import open_release

    return open_release(release).release.items


@pytest.mark.parametrize("change", [{"frames": 49}, {"width": 80}, {"fps": "30/1"}, {"fps": "25000/1001"}])
def test_a_row_that_says_another_shape_is_told(change: dict[str, Any], folder: Path, release: Path) -> None:
    make.change_rows(folder, VIDEOS, lambda rows: rows[0].update(change))
    assert codes(folder, release) == {"M-ROW"}


def test_a_row_with_another_sound_is_told(folder: Path, release: Path) -> None:
    make.change_rows(folder, VIDEOS, lambda rows: rows[0].update(audio="a" * 64))
    assert codes(folder, release) == {"M-SOUND"}


@pytest.mark.parametrize(("late", "agrees"), [(0, True), (400, True), (-700, True), (1600, False)])
def test_sound_may_be_late_by_a_codec_block_only(late: int, agrees: bool) -> None:
    given = make.wave(1)
    correlation, lag = sound_agreement(given, np.roll(given, late))
    assert (correlation > MIN_CORRELATION) is agrees
    assert not agrees or lag == pytest.approx(late / 16000)


def test_silence_agrees_with_silence_only() -> None:
    silence = np.zeros(16000, np.float32)
    assert sound_agreement(silence, silence)[0] == 1
    assert sound_agreement(silence, make.wave(0))[0] == 0
    assert sound_agreement(make.wave(0), silence)[0] == 0
    assert sound_agreement(make.wave(0), -make.wave(0))[0] < MIN_CORRELATION
    assert sound_agreement(make.wave(0), make.wave(1))[0] < 0.3


# ---- I


def test_following_is_measured_where_the_real_footage_moves() -> None:
    real = np.stack(make.real_frames(0))
    assert unfollowed(real, real, 0) == 0
    assert unfollowed(real, real[:, :, ::-1], 0) == 0
    assert unfollowed(real, np.roll(real, 1, 0), 0) < FOLLOWS  # type: ignore[operator]
    assert unfollowed(real, (real * 0.8 + 20).astype(np.uint8), 0) < 0.05  # type: ignore[operator]
    assert unfollowed(real, np.stack([real[0]] * len(real)), 0) > 0.5  # type: ignore[operator]
    assert unfollowed(real, np.stack(make.honest_frames(0)), 0) > 0.4  # type: ignore[operator]
    assert unfollowed(real, np.full_like(real, 128), 0) > 0.5  # type: ignore[operator]
    assert unfollowed(np.stack([real[0]] * 20), real[:20], 0) is None


DISGUISES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "a ramp of brightness": lambda real: _lit(real, np.linspace(-50, 50, make.WIDTH)),
    "a light on one side": lambda real: _lit(real, 60 * np.exp(-np.arange(make.WIDTH) / 60)),
    "five frames late": lambda real: np.concatenate([real[:1].repeat(5, 0), real[:-5]]),
    "eight frames early": lambda real: np.concatenate([real[8:], real[-1:].repeat(8, 0)]),
    "swaying": lambda real: _mapped(real, lambda t: [[1, 0, 3 * np.sin(t / 8)], [0, 1, 3 * np.cos(t / 8)]]),
    "slowly zoomed": lambda real: _mapped(real, lambda t: [[1 + t / 800, 0, -t / 10], [0, 1 + t / 800, -t / 16]]),
    "half of it, then a still": lambda real: np.concatenate([real[:22], real[:1].repeat(28, 0)]),
}  # fmt: skip


def _lit(real_THWC: np.ndarray, light_W: np.ndarray) -> np.ndarray:
    return np.clip(real_THWC + light_W[:, None], 0, 255).astype(np.uint8)


def _mapped(real_THWC: np.ndarray, at: Callable[[int], Any]) -> np.ndarray:
    size = real_THWC.shape[2:0:-1]
    return np.stack(
        [
            cv2.warpAffine(frame, np.array(at(t), np.float32), size, borderMode=cv2.BORDER_REPLICATE)
            for t, frame in enumerate(real_THWC)
        ]
    )


@pytest.mark.parametrize("name", DISGUISES)
def test_the_real_footage_in_disguise_is_told(name: str) -> None:
    real = np.stack(make.real_frames(0))
    wrong = unfollowed(real, DISGUISES[name](real), 0)
    assert wrong is not None
    assert wrong < FOLLOWS


def test_a_still_is_no_copy_of_footage_in_which_only_the_camera_moves() -> None:
    wall = cv2.resize(
        np.random.default_rng(0).integers(0, 255, (12, 20, 3), np.uint8), (make.WIDTH, make.HEIGHT)
    )
    still = wall[None].repeat(make.FRAMES, 0)
    real = _mapped(still, lambda t: [[1, 0, 6 * np.sin(t / 5)], [0, 1, 4 * np.cos(t / 7) - 4]])
    wrong = unfollowed(real, real[:1].repeat(make.FRAMES, 0), 0)
    assert wrong is None or wrong > 2 * FOLLOWS


def test_a_changed_byte_is_told(folder: Path, release: Path) -> None:
    video = folder / "videos" / f"{make.item_id(0)}-0.mp4"
    video.write_bytes(video.read_bytes()[:-1] + b"?")
    assert codes(folder, release) == {"I-DIGEST"}
    assert codes(make.seal(folder), release) == {"I-DIGEST"}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.splitlines(keepends=True)[0],
        lambda text: text + f"{'0' * 64}  videos/none.mp4\n",
        lambda text: text + text.splitlines(keepends=True)[0],
        lambda text: text.replace("  ", " *", 1),
        lambda text: text + "../../etc/passwd\n",
        lambda text: "",
    ],
)
def test_the_manifest_lists_exactly_what_is_there(
    change: Callable[[str], str], folder: Path, release: Path
) -> None:
    path = folder / "MANIFEST.sha256"
    path.write_text(change(path.read_text()))
    assert codes(folder, release) == {"I-MANIFEST"}


def test_one_video_for_two_items_is_told(folder: Path, release: Path) -> None:
    make.put_video(folder, 1, folder / "videos" / f"{make.item_id(0)}-0.mp4")
    assert codes(folder, release) == {"I-SHARED"}


def test_one_video_for_two_items_is_told_in_another_container_too(folder: Path, release: Path) -> None:
    contents = _contents(folder)
    seen = [media.Seen(row, "same") for row in contents.videos[:2]]
    told = list(integrity.check_own(contents, seen, _release(release)))
    assert [p.code for p in told] == ["I-SHARED"]


def test_the_pictures_of_another_item_are_told(folder: Path, release: Path) -> None:
    contents = _contents(folder)
    seen = [media.Seen(contents.videos[0], _items(release)[2].pixels)]
    assert [p.code for p in integrity.check_own(contents, seen, _release(release))] == ["I-ITEM"]


def _release(release: Path) -> Any:
    from mitds.benchmark.release import open_release

    return open_release(release).release


@pytest.mark.parametrize(("of", "code"), [(0, "I-REFERENCE"), (2, "I-ITEM")])
def test_files_of_the_release_are_told_without_decoding(
    of: int, code: str, folder: Path, release: Path
) -> None:
    from mitds.benchmark.release import open_release

    make.put_video(folder, 0, open_release(release).member(make.item_id(of), "mp4"))
    assert codes(folder, release) == {code}


def test_a_video_of_another_team_is_told(tar: Path, folder: Path, release: Path, tmp_path: Path) -> None:
    make.change_about(folder, system="Thief 1.0")
    assert codes(folder, release, other_bundles=[tar]) == {"I-OTHER"}
    assert codes(tar, release, other_bundles=[tar, tmp_path / "gone.tar"]) == set()


def test_a_video_of_another_team_in_another_container_is_told(
    tar: Path, folder: Path, release: Path, tmp_path: Path
) -> None:
    video = folder / "videos" / f"{make.item_id(0)}-0.mp4"
    padded = video.read_bytes() + struct.pack(">I4s", 16, b"free") + bytes(8)
    make.put_video(folder, 0, padded)
    for number in range(1, ITEMS):
        make.put_video(
            folder,
            number,
            make.write_mp4(tmp_path / "a.mp4", make.honest_frames(number, 9), make.wave(number)),
        )
    told = found(folder, release, other_bundles=[tar], decode=True)
    assert [(p.code, p.file) for p in told] == [("I-OTHER", f"videos/{video.name}")]


def test_a_list_of_anothers_videos_does_not_get_the_other_refused(
    tar: Path, folder: Path, release: Path, tmp_path: Path
) -> None:
    """Neither a bundle of nothing but a manifest, nor one whose rows name videos that it does not hold."""
    (tmp_path / "evil").mkdir()
    shutil.copy(folder / "MANIFEST.sha256", tmp_path / "evil")
    liar = make.copied(folder, tmp_path / "liar")
    for video in (liar / "videos").iterdir():
        video.write_bytes(b"nothing")
    assert codes(tar, release, other_bundles=[tmp_path / "evil", liar]) == set()
    for bundle in (tmp_path / "evil", liar):
        assert inspect(bundle, release, today=TODAY, decode=False).digests == frozenset()


def test_who_comes_first_keeps_the_videos(tar: Path, folder: Path, release: Path) -> None:
    thief = make.change_about(folder, system="Thief 1.0")
    known: dict[str, str] = {}
    told = []
    for name, bundle in (("Talker", tar), ("Thief", thief), ("Talker again", tar)):
        seen = inspect(bundle, release, known=known, today=TODAY, decode=False)
        told.append({p.code for p in seen.problems})
        known |= dict.fromkeys(seen.digests, name)
    assert told == [set(), {"I-OTHER"}, {"I-OTHER"}]
    assert set(known.values()) == {"Talker"}


def test_accepted_videos_have_a_digest_of_bytes_and_one_of_pictures(tar: Path, release: Path) -> None:
    bytes_only = video_digests(tar, release, decode=False)
    both = video_digests(tar, release)
    assert len(bytes_only) == ITEMS
    assert len(both - bytes_only) == ITEMS
    assert both == inspect(tar, release, today=TODAY).digests


def test_seeds_that_change_nothing_are_told(release: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    for number in range(ITEMS):
        for seed in range(3):
            frames = make.honest_frames(number, seed=0 if number == 1 else seed)
            make.write_mp4(answers / f"{make.item_id(number)}-{seed}.mp4", frames)
    tar = make.make_bundle(tmp_path, release, seeds=[0, 1, 2], deterministic=False)
    told = found(tar, release)
    assert [p.code for p in told] == ["I-SEEDS", "I-SEEDS"]
    assert all(make.item_id(1) in p.file for p in told)


# ---- V


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"metric": "no-such@1"}, "V-METRIC"),
        ({"metric": "fid.inception2048@1"}, "V-METRIC"),
        ({"value": 1.5}, "V-RANGE"),
        ({"value": -0.5}, "V-RANGE"),
        ({"value": None}, "V-STATUS"),
        ({"status": "no_face"}, "V-STATUS"),
        ({"n": 50 * 4 + 1}, "V-COUNT"),
    ],
)
def test_measurements_that_cannot_be_are_told(
    change: dict[str, Any], code: str, folder: Path, release: Path
) -> None:
    def alter(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["metric"].startswith("face")).update(change)

    assert code in codes(make.change_rows(folder, SCORES, alter), release)


@pytest.mark.parametrize("value", ["NaN", "1e999", '"30"', "true", "[1]"])
def test_values_that_are_no_numbers_are_told(value: str, folder: Path, release: Path) -> None:
    text = (folder / SCORES).read_text()
    (folder / SCORES).write_text(re.sub(r'"value": ?[0-9.]+', f'"value":{value}', text, count=1))
    assert codes(make.seal(folder), release) <= {"S-JSON", "S-SCHEMA"}
    assert codes(folder, release)


def test_a_problem_reads_as_a_line() -> None:
    told = problem("V-RANGE", "psnr@1 is 900.0", SCORES, 7)
    assert str(told) == "V-RANGE  scores.jsonl:7: psnr@1 is 900.0. Score the videos with mitds."
    assert str(problem("S-BUNDLE", "it is torn")).startswith("S-BUNDLE  it is torn. Give the folder")


def test_only_the_release_decides_what_is_undefined(release: Path, evaluation: Path, tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / "runs" / str(seed)).mkdir(parents=True)
        (tmp_path / "runs" / str(seed) / "rows.parquet").write_bytes(
            (evaluation / "rows.parquet").read_bytes()
        )
    tar = make.make_bundle(tmp_path, release, tmp_path / "runs", seeds=[0, 1, 2], deterministic=False)
    folder = make.unpacked(tar, tmp_path / "bundle")
    make.change_rows(folder, SCORES, lambda rows: rows[-1].update(value=None, status="undefined"))
    assert codes(folder, release) == {"V-UNDEFINED"}


@pytest.fixture
def measured(release: Path, evaluation: Path, tmp_path: Path) -> Path:
    """The release with its real footage measured: person 1 of item 0 is undefined."""
    folder = make.copied(release, tmp_path / "measured")
    (folder / "controls" / "real").mkdir(parents=True)
    rows = [
        replace(row, value=None, status="undefined") if _is_unseen(row.item, row.metric, row.person) else row
        for row in read_rows(evaluation / "rows.parquet")
    ]
    write_rows(folder / "controls" / "real" / "rows.parquet", rows)
    return folder


def _is_unseen(item: str, metric: str, person: int | None) -> bool:
    return (item, metric, person) == (make.item_id(0), "face-found.yunet@1", 1)


def _say(row: dict[str, Any], **said: Any) -> None:
    row.update(said)


def _unseen(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if _is_unseen(row["item"], row["metric"], row["person"]))


def test_what_the_real_footage_leaves_undefined_is_undefined_for_all(measured: Path, folder: Path) -> None:
    assert codes(folder, measured) == {"V-UNDEFINED"}
    make.change_rows(folder, SCORES, lambda rows: _say(_unseen(rows), value=None, status="undefined"))
    assert codes(folder, measured) == set()


def test_bad_values_cannot_be_called_undefined(measured: Path, folder: Path) -> None:
    """With one seed there is no other that would contradict."""

    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            _say(row, value=None, status="undefined")

    assert codes(make.change_rows(folder, SCORES, change), measured) == {"V-UNDEFINED"}
    told = found(folder, measured)
    assert len(told) == ITEMS * 3 - 1


@pytest.mark.parametrize("status", ["undefined", "no_face", "ok"])
def test_one_row_cannot_stand_for_people_whom_the_release_measures(
    status: str, measured: Path, folder: Path
) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        of_people = [r for r in rows if r["metric"].startswith("face") and r["item"] == make.item_id(1)]
        rows.remove(of_people[0])
        _say(of_people[1], person=None, value=0.9 if status == "ok" else None, status=status)
        _say(_unseen(rows), value=None, status="undefined")

    assert codes(make.change_rows(folder, SCORES, change), measured) == {"C-SCORES"}


def test_a_failed_output_has_one_row_where_the_release_is_measured_too(measured: Path, folder: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        of_people = [r for r in rows if r["metric"].startswith("face") and r["item"] == make.item_id(1)]
        rows.remove(of_people[0])
        _say(of_people[1], person=None, value=None, status="crashed")
        _say(_unseen(rows), value=None, status="undefined")

    assert codes(make.change_rows(folder, SCORES, change), measured) == set()


@pytest.fixture
def one_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A board whose aggregate rests on one metric, of which the bundle has rows."""
    monkeypatch.setattr(values, "axis_metrics", lambda places=None: ["face-found.yunet@1"])


def test_the_rows_of_each_axis_are_drawn_by_themselves(folder: Path, one_axis: None) -> None:
    """So a few lies about an axis are not lost among many true rows."""

    def change(rows: list[dict[str, Any]]) -> None:
        rows.extend(rows[0] | {"metric": f"padding-{k}@1"} for k in range(500))

    make.change_rows(folder, SCORES, change)
    picks = values.picked(layout.open_bundle(folder), _contents(folder), "salt", 4)
    of_axis = [row for row in picks if row.metric == "face-found.yunet@1"]
    assert (len(of_axis), len(picks)) == (4, 8)


def test_an_axis_without_claims_cannot_be_spot_checked(folder: Path, release: Path) -> None:
    told = found(folder, release, rescore=_claimed(folder))
    assert {p.code for p in told} == {"C-SCORES"}
    assert "binding" in told[0].what
    make.write_rows(folder, SCORES, [])
    assert codes(make.seal(folder), release, rescore=_claimed(folder)) == {"C-SCORES"}


def test_axes_are_those_that_the_release_is_measured_by() -> None:
    axes = values.axis_metrics()
    assert {card_of(metric).axis for metric in axes} >= {
        "likeness",
        "identity",
        "binding",
        "silence",
        "motion",
    }
    assert values.axis_metrics({"psnr@1": {}, axes[0]: {}}) == [axes[0]]


def _claimed(folder: Path) -> Callable[[str, int, str], list[Row]]:
    rows = make.rows(folder, SCORES)

    def rescore(item: str, seed: int, metric: str) -> list[Row]:
        mine = [r for r in rows if (r["item"], r["seed"], r["metric"]) == (item, seed, metric)]
        return [Row(charged=None, **{k: v for k, v in r.items() if k != "seed"}) for r in mine]

    return rescore


def test_true_claims_survive_being_measured_again(folder: Path, release: Path, one_axis: None) -> None:
    assert codes(folder, release, rescore=_claimed(folder)) == set()


@pytest.mark.parametrize("change", [{"value": 0.9}, {"value": None, "status": "undefined"}])
def test_a_polished_value_is_told_when_measured_again(
    change: dict[str, Any], folder: Path, release: Path, one_axis: None
) -> None:
    honest = _claimed(folder)
    make.change_rows(folder, SCORES, lambda rows: rows[0].update(change))
    told = found(folder, release, rescore=honest)
    assert [(p.code, p.row) for p in told] == [("V-RECOMPUTED", 1)]


def test_the_salt_decides_which_rows_are_measured_again(folder: Path) -> None:
    from mitds.benchmark.submission.values import picked

    bundle, contents = layout.open_bundle(folder), _contents(folder)
    picks = {salt: [r.line for r in picked(bundle, contents, salt, 4)] for salt in ("a", "b", "c", "d")}
    assert len({tuple(lines) for lines in picks.values()}) > 1
    assert picks["a"] == [r.line for r in picked(bundle, contents, "a", 4)]


# ---- R


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"track": "text-driven"}, "R-TRACK"),
        ({"consent": CONSENT + " Not."}, "R-CONSENT"),
        ({"consent": "yes"}, "R-CONSENT"),
        ({"date": "2026-02-30"}, "R-DATE"),
        ({"date": "2027-01-01"}, "R-DATE"),
        ({"deterministic": False}, "R-SEEDS"),
        *(
            ({"system": name}, "R-NAME")
            for name in ("real footage", "Real-Footage", "REAL", "Floor", "wrong voice")
        ),
        ({"release": {"name": "tiny-2025.1", "digest": "0" * 16}}, "R-RELEASE"),
    ],
)
def test_rules_are_held(change: dict[str, Any], code: str, folder: Path, release: Path) -> None:
    assert codes(make.change_about(folder, **change), release) == {code}


@pytest.mark.parametrize(
    ("trained_on", "told"),
    [
        (f"{1:064x}", {"R-TRAINING"}),
        (f"{102:016x}", {"R-TRAINING"}),
        (make.CLIP, {"R-TRAINING"}),
        ("e" * 64, set()),
        ("E" * 64, {"S-SCHEMA"}),
        ("../../secret", {"S-SCHEMA"}),
    ],
)
def test_declared_training_sources_are_compared_with_the_release(
    trained_on: str, told: set[str], folder: Path, release: Path
) -> None:
    (folder / SOURCES).write_text(f"{'d' * 64}\n{trained_on}\n")
    make.change_about(folder, training_data={"datasets": ["Talks"], "sources": SOURCES})
    assert codes(folder, release) == told


def test_a_list_of_training_sources_is_there_exactly_if_declared(folder: Path, release: Path) -> None:
    (folder / SOURCES).write_text("d" * 64 + "\n")
    assert codes(make.seal(folder), release) == {"S-MISSING"}
    (folder / SOURCES).unlink()
    make.change_about(folder, training_data={"datasets": [], "sources": SOURCES})
    assert codes(folder, release) == {"S-MISSING"}


def test_the_list_of_training_sources_is_packed(release: Path, tmp_path: Path, tar: Path) -> None:
    declared = json.loads((tar.parent / "submission.json").read_text())
    declared["training_data"] = {"datasets": ["Talks"], "sources": SOURCES}
    (tmp_path / "submission.json").write_text(json.dumps(declared))
    with pytest.raises(UsageError, match="training sources"):
        pack(tar.parent / "answers", None, tmp_path / "submission.json", release, tmp_path / "a.tar")
    (tmp_path / SOURCES).write_text("d" * 64 + "\n")
    out = pack(tar.parent / "answers", None, tmp_path / "submission.json", release, tmp_path / "a.tar")
    assert codes(out, release) == set()


# ---- codes


def test_what_comes_from_a_bundle_is_harmless_to_print() -> None:
    told = problem("S-NAME", "\x1b[2J\u202e" + "x" * 999, file="a\nb")
    assert told.what.isprintable()
    assert told.what.isascii()
    assert len(told.what) <= 400
    assert "\n" not in told.file


def test_the_page_lists_every_code_and_no_other() -> None:
    page = (ROOT / "docs" / "submission.md").read_text()
    table = dict(re.findall(r"^\| `([A-Z]-[A-Z]+)` \| (.*) \|$", page, flags=re.M))
    assert table == {code: f"{entry.meaning} | {entry.remedy}" for code, entry in CODES.items()}
    assert CONSENT in page


def test_every_code_is_used_and_every_used_code_is_known() -> None:
    sources = [
        p.read_text() for p in (ROOT / "benchmark" / "submission").glob("*.py") if p.name != "problems.py"
    ]
    used = set(re.findall(r"\"([SCMIVR]-[A-Z]+)\"", "\n".join(sources)))
    assert used == set(CODES)

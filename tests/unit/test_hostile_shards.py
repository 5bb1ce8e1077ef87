"""Shards and media that mean harm: refused with a reason, nothing opened, nothing run, nothing written."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mitds.errors import BadShard, NotVideo, Undecodable
from mitds.manifests import codec
from mitds.manifests.records import Clip, Shot
from mitds.manifests.shards import index_shard, read_shard
from mitds.media import audible_track, pictures, probe, read_sound, write_video
from tests import factories
from tests.webserver import Answer, Site

BLOCK = tarfile.BLOCKSIZE


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """One raw block: sizes past what octal digits hold are written in base 256, as GNU tar does."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def shard(path: Path, *blocks: bytes, end: bytes = bytes(2 * BLOCK)) -> Path:
    path.write_bytes(b"".join(block + bytes(-len(block) % BLOCK) for block in blocks) + end)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BadShard) as caught:
        list(read_shard(path))
    with pytest.raises(BadShard):
        index_shard(path)
    return str(caught.value)


@pytest.fixture
def small_memory() -> object:
    """Let this process have 1 GiB more than it has, for the length of a test."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K", b"X"], ids=lambda kind: kind.decode())
@pytest.mark.parametrize("size", [1 << 20, 8 << 30, 1 << 62, 1 << 80])
def test_headers_that_announce_gigabytes(tmp_path: Path, kind: bytes, size: int) -> None:
    path = shard(tmp_path / "x.tar", header("k.json", size, kind), b"x" * 1000)
    assert f"a header says that it has {size} bytes" in refused(path)


@pytest.mark.parametrize("size", [8 << 30, 1 << 62, 1 << 80])
def test_members_that_announce_gigabytes(tmp_path: Path, size: int) -> None:
    assert "limit" in refused(shard(tmp_path / "x.tar", header("k.mp4", size), b"x"))
    assert "cut off" in refused(shard(tmp_path / "y.tar", header("k.mp4", 1 << 30), b"x"))


def test_a_sparse_file_that_is_long_and_holds_nothing(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", header("k.mp4", 5 << 30))
    with path.open("r+b") as file:
        file.truncate(6 << 30)
    assert "limit" in refused(path)


def sparse(path: Path, style: str) -> Path:
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("k.json")
        if style == "pax":
            info.pax_headers = pax
        else:
            info.type = tarfile.GNUTYPE_SPARSE
        info.size = BLOCK
        tar.addfile(info, io.BytesIO(b"1\n0\n512\n".ljust(BLOCK, b"\0")))
    return path


@pytest.mark.parametrize("style", ["pax", "gnu"])
def test_sparse_members(tmp_path: Path, style: str) -> None:
    refused(sparse(tmp_path / "x.tar", style))


@pytest.mark.parametrize(
    "name",
    ["k.json\0.exe", "k\n.json", "$(id).json", "k.json;id", "..", ".", "C:\\k.json", "\u202ek.json", ""],
)
def test_names_of_members(tmp_path: Path, name: str) -> None:
    raw = bytearray(header("k.json", 0))
    raw[:100] = name.encode()[:100].ljust(100, b"\0")
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    path = shard(tmp_path / "x.tar", bytes(raw))
    if name == "k.json\0.exe":  # to tar, a name ends here
        assert [sample.key for sample in read_shard(path)] == ["k"]
    else:
        refused(path)


def test_long_names_of_both_kinds(tmp_path: Path) -> None:
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=style) as tar:
            tar.addfile(tarfile.TarInfo("k" * 300 + ".json"))
        assert "KEY.ext" in refused(tmp_path / "x.tar")


def test_many_members_cost_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        for first in range(20_000):
            file.write(header(f"k{first}.json", 0))
        file.write(bytes(2 * BLOCK))
    program = (
        "import sys; from pathlib import Path; from mitds.manifests.shards import read_shard\n"
        "def peak_kB(): return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
        "before = peak_kB()\n"
        "assert sum(1 for _ in read_shard(Path(sys.argv[1]))) == 20_000\n"
        "print(peak_kB() - before)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) < 6_000, "kB: the keys, and no headers"


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("was-run",)


def test_pickles_in_any_clothing_are_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    payload = pickle.dumps(_Evil())
    objects = io.BytesIO()
    np.save(objects, np.array([_Evil()], dtype=object), allow_pickle=True)
    lying = io.BytesIO()
    with zipfile.ZipFile(lying, "w") as archive:
        archive.writestr("visible_NT.npy", objects.getvalue())
    for data in (payload, objects.getvalue(), lying.getvalue(), b"\x93NUMPY" + payload):
        with pytest.raises(BadShard):
            codec.unpack_arrays(data)
        with pytest.raises(BadShard):
            codec.from_json(Clip, data)
        with pytest.raises((NotVideo, Undecodable)):
            probe(_file(tmp_path / "x.mp4", data))
    assert not (tmp_path / "was-run").exists()


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1 << 40,)),
        pytest.param((1 << 20, 1 << 20)),
        pytest.param((10**30,)),
        (1 << 62,),
        (-1,),
    ],
)
def test_arrays_that_claim_a_shape_beyond_measure(shape: tuple[int, ...]) -> None:
    head = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).ljust(117).encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.npy", member)
    with pytest.raises(BadShard):
        codec.unpack_arrays(data.getvalue())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 100_000),
        pytest.param('{"a":' * 100_000),
        "1" * 10_000,
        '{"start": "1e999999999"}',
        "NaN",
        '{"frames": NaN}',
        '{"frames": 1e400}',
        '{"frames": 2, "frames": 3}',
        '"\\ud800"',
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.timeout(20)
def test_json_bombs(text: str) -> None:
    with pytest.raises(BadShard):
        codec.from_json(Clip, text)


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param("1e999999999"),
        pytest.param("-1e999999999"),
        pytest.param("1e-999999999"),
        "1/" + "9" * 5000,
        "nan",
        "inf",
        pytest.param("\uff11"),
    ],
    ids=lambda number: number[:12],
)
def test_times_that_would_take_all_memory_to_compute(number: str) -> None:
    values = json.loads(codec.to_json(factories.shot(0))) | {"start": number}
    with pytest.raises(BadShard, match="start"):
        codec.from_json(Shot, json.dumps(values))


# ---- media that name other media


def scripts(url: str, secret: Path) -> dict[str, str]:
    """Texts that make ffmpeg open what they name."""
    media = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}/a.ts\n#EXT-X-ENDLIST\n"
    return {
        "hls": media,
        "hls-file": media.replace(f"{url}/a.ts", f"file://{secret}"),
        "hls-concat": media.replace(f"{url}/a.ts", f"concat:{secret}|{url}/a.ts"),
        "hls-key": media.replace("#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{url}/key"\n#EXTINF'),
        "ffconcat": f"ffconcat version 1.0\nfile '{secret}'\nfile '{url}/a.mp4'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT9S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="v" '
        f'bandwidth="9"><BaseURL>{url}/a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "smil": f'<smil><body><video src="{url}/a.mp4"/></body></smil>',
        "rtsp": f"[Reference]\nRef1={url}/a.asf\n",
        "imf": f'<?xml version="1.0"?><CompositionPlaylist xmlns="x"><Asset>{url}</Asset></CompositionPlaylist>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}/a.png"/></svg>',
        "subtitles": f"1\n00:00:00,000 --> 00:00:09,000\n<img src={url}/a.png>\n",
        "avisynth": f'AviSource("{secret}")\n',
        "ffmetadata": f";FFMETADATA1\ntitle={url}\n",
    }


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A real video that must not be reached by way of another file."""
    path = tmp_path / "secret.mp4"
    write_video(path, ((Fraction(k, 25), np.full((48, 64, 3), 9 * k, np.uint8)) for k in range(10)))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".txt"])
def test_playlists_and_scripts_open_nothing(site: Site, tmp_path: Path, secret: Path, suffix: str) -> None:
    for name in ("/a.ts", "/a.mp4", "/key", "/a.asf", "/a.png"):
        site.put(name, Answer(body=secret.read_bytes(), headers={"Content-Type": "video/mp4"}))
    for text in scripts(site.url, secret).values():
        path = _file(tmp_path / f"x{suffix}", text.encode())
        for read in (probe, lambda path: next(iter(pictures(path)))):
            with pytest.raises((NotVideo, Undecodable)):
                read(path)
        for hear in (audible_track, read_sound):
            with suppress(NotVideo, Undecodable):  # a drawing is a picture without sound
                assert not hear(path)
    assert site.asked == []


def test_the_texts_would_open_what_they_name_if_they_were_let(
    site: Site, tmp_path: Path, secret: Path
) -> None:
    """The test above can fail: libav with its usual settings follows them."""
    site.put("/a.ts", Answer(body=secret.read_bytes(), headers={"Content-Type": "video/mp4"}))
    path = _file(tmp_path / "x.m3u8", scripts(site.url, secret)["hls"].encode())
    options = {
        "protocol_whitelist": "file,http,tcp,crypto",
        "allowed_extensions": "ALL",
        "extension_picky": "0",
    }
    try:
        with av.open(str(path), container_options=options):
            pass
    except av.error.FFmpegError:
        pass
    assert site.asked


def patched(secret: Path, path: Path, **boxes: tuple[int, bytes]) -> Path:
    """Overwrite bytes behind box names of an mp4."""
    data = bytearray(secret.read_bytes())
    for name, (offset, new) in boxes.items():
        at = data.index(name.encode()) + 4 + offset
        data[at : at + len(new)] = new
    return _file(path, bytes(data))


BILLION = struct.pack(">I", 10**9)
HUGE = struct.pack(">HH", 65535, 65535)


@pytest.mark.parametrize(
    "boxes",
    [
        {"stts": (8, BILLION)},
        {"stsz": (4, struct.pack(">II", 1, 10**9)), "stts": (8, BILLION), "stsc": (12, BILLION)},
        {"stsz": (8, BILLION), "stts": (8, BILLION), "stsc": (12, BILLION)},
        {"avc1": (24, HUGE)},
        {"tkhd": (76, struct.pack(">II", 65535 << 16, 65535 << 16)), "avc1": (24, HUGE)},
        {"mdhd": (8, struct.pack(">II", 1, 0xFFFFFFFF))},
    ],
    ids=["stts", "stsc", "stsz", "avc1", "tkhd", "mdhd"],
)
@pytest.mark.timeout(60)
def test_an_mp4_that_declares_more_than_it_holds(
    secret: Path, tmp_path: Path, boxes: dict[str, tuple[int, bytes]]
) -> None:
    path = patched(secret, tmp_path / "x.mp4", **boxes)
    assert bounded(path) in ("decoded", "NotVideo", "Undecodable")


def mjpeg(path: Path, width: int, height: int) -> Path:
    """A video whose every picture says that it is of another size than it is."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("mjpeg", rate=25)
        track.width, track.height, track.pix_fmt = 64, 48, "yuvj420p"
        for k in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * k, np.uint8)).reformat(
                format="yuvj420p"
            )
            container.mux(track.encode(frame))
        container.mux(track.encode())
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"\xff\xc0\x00\x11\x08", at + 1)) >= 0:
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return _file(path, bytes(data))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("side", [65_500, 30_000, 16_000])
def test_pictures_that_declare_a_size_beyond_measure(tmp_path: Path, side: int) -> None:
    assert bounded(mjpeg(tmp_path / "x.avi", side, side)) in ("NotVideo", "Undecodable")


PROGRAM = """
import resource, sys
from pathlib import Path
from mitds.errors import MitdsError
from mitds.media import pictures, probe
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
path = Path(sys.argv[1])
try:
    probe(path)
    for picture in pictures(path):
        pass
    print("decoded", picture.index + 1)
except MitdsError as error:
    print(type(error).__name__)
"""


def bounded(path: Path) -> str:
    """Decode a file in 1.5 GiB and 20 s; return what came of it."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    return found.stdout.split()[0]

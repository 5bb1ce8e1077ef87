"""Pages, through the real yt-dlp and its generic extractor."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mitds.errors import SourceUnreachable
from mitds.manifests.records import Rights
from mitds.pipeline.sources import Entry, FetchConfig, Fetched, fetch
from tests.webserver import Answer, Site

DATA = b"\x00\x00\x00\x18ftypmp42" + bytes(4000)
QUICK = FetchConfig(private_hosts=True, backoff_s=0.01, host_interval_s=0.0, read_s=5.0, attempts=2)


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def page(*sources: str, title: str = "A ../talk", status: int = 200) -> Answer:
    tags = "".join(f'<video src="{source}"></video>' for source in sources)
    text = f"<html><head><title>{title}</title></head><body>{tags}</body></html>"
    headers = {"Content-Type": "text/html; charset=utf-8", "X-Robots-Tag": "noai"}
    return Answer(body=text.encode(), headers=headers, status=status)


def got(url: str, folder: Path, config: FetchConfig = QUICK) -> Fetched:
    return fetch(Entry(1, url, Rights()), folder, config)


def refusal(url: str, folder: Path, config: FetchConfig = QUICK) -> str:
    with pytest.raises(SourceUnreachable) as caught:
        got(url, folder, config)
    assert list(folder.iterdir()) == []
    return caught.value.what


def test_the_video_of_a_page(site: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site.put("/clip.mp4", Answer(body=DATA, headers={"Content-Type": "video/mp4"}))
    found = got(site.put("/watch", page("/clip.mp4")), tmp_path / "got")
    assert found.path.read_bytes() == DATA
    assert found.path == tmp_path / "got" / f"{found.sha256}.mp4"
    assert (found.title or "").startswith("A ../talk")
    assert "opt-out: X-Robots-Tag noai" in found.notes
    assert f"page: {site.url}/watch" in found.notes
    assert [path.name for path in (tmp_path / "got").iterdir()] == [found.path.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ((), "Unsupported URL"),
        (("/a.mp4", "/b.mp4"), "several videos"),
        (("/gone.mp4",), "404"),
        (("file:///etc/hostname",), "file"),
    ],
    ids=["none", "several", "dead", "local"],
)
def test_pages_that_give_nothing(site: Site, tmp_path: Path, sources: tuple[str, ...], words: str) -> None:
    told = refusal(site.put("/watch", page(*sources)), tmp_path / "got")
    assert told.startswith("yt-dlp: ")
    assert words in told
    assert "report" not in told


def test_a_page_that_refuses_everybody(site: Site, tmp_path: Path) -> None:
    assert "403" in refusal(site.put("/watch", page(status=403)), tmp_path / "got")


def test_limits_hold_for_pages_too(site: Site, tmp_path: Path) -> None:
    site.put("/clip.mp4", Answer(body=DATA, headers={"Content-Type": "video/mp4"}))
    url = site.put("/watch", page("/clip.mp4"))
    small = FetchConfig(private_hosts=True, host_interval_s=0.0, max_bytes=1000)
    assert "max-filesize" in refusal(url, tmp_path / "got", small)


def encoded(path: Path, codec: str) -> bytes:
    """One second of picture or of sound, in the container that the suffix names."""
    with av.open(str(path), "w") as container:
        if codec == "aac":
            track = container.add_stream(codec, rate=16_000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
            sound.rate, sound.pts, sound.time_base = 16_000, 0, Fraction(1, 16_000)
            frames = [sound]
        else:
            track = container.add_stream(codec, rate=25)
            track.width = track.height = 64
            frames = [av.VideoFrame.from_ndarray(np.full((64, 64, 3), k, np.uint8)) for k in range(25)]
        for frame in frames:
            container.mux(track.encode(frame))
        container.mux(track.encode())
    return path.read_bytes()


def test_a_playlist_of_segments(site: Site, tmp_path: Path) -> None:
    for name in ("1.ts", "2.ts"):
        site.put(f"/{name}", Answer(body=encoded(tmp_path / name, "libx264")))
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n1.ts\n#EXTINF:1,\n2.ts\n#EXT-X-ENDLIST\n"
    headers = {"Content-Type": "application/vnd.apple.mpegurl"}
    found = got(site.put("/talk.m3u8", Answer(body=text.encode(), headers=headers)), tmp_path / "got")
    assert found.bytes == sum((tmp_path / name).stat().st_size for name in ("1.ts", "2.ts"))
    with av.open(str(found.path)) as joined:
        assert sum(1 for _ in joined.decode(video=0)) == 50


def test_picture_and_sound_that_come_apart_are_put_together(site: Site, tmp_path: Path) -> None:
    for name, codec in (("video.mp4", "libx264"), ("audio.m4a", "aac")):
        site.put(f"/{name}", Answer(body=encoded(tmp_path / name, codec)))
    manifest = f"""<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"><Period>
<AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="9000" codecs="avc1.64000a" width="64"
 height="64"><BaseURL>{site.url}/video.mp4</BaseURL></Representation></AdaptationSet>
<AdaptationSet mimeType="audio/mp4"><Representation id="a" bandwidth="900" codecs="mp4a.40.2"
 audioSamplingRate="16000"><BaseURL>{site.url}/audio.m4a</BaseURL></Representation></AdaptationSet>
</Period></MPD>"""
    headers = {"Content-Type": "application/dash+xml"}
    found = got(site.put("/talk.mpd", Answer(body=manifest.encode(), headers=headers)), tmp_path / "got")
    with av.open(str(found.path)) as joined, av.open(str(tmp_path / "video.mp4")) as alone:
        times = [[f.time for f in c.decode(video=0)] for c in (joined, alone)]
        assert times[0] == times[1]
        assert len(times[0]) == 25
    with av.open(str(found.path)) as joined:
        assert sum(frame.samples for frame in joined.decode(audio=0)) >= 16_000

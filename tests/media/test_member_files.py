"""Media read through Python's files, as members of shards are, decode as libav decodes them by name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mitds.manifests.shards import Entry
from mitds.media import pictures, probe, read_sound
from mitds.media.rgb import Geometry, ToRgb
from mitds.pipeline.work import Member
from tests.numbered import Coding, encode

pytestmark = pytest.mark.media

MPEG4 = {"bf": "0", "b": "3000000"}
KINDS = {
    "a.mp4": Coding(options={"bf": "3"}, tone_from=Fraction(0)),
    "fragmented.mp4": Coding(options={"bf": "3"}, mux={"movflags": "frag_keyframe+empty_moov"}, tone_from=Fraction(0)),
    "a.mkv": Coding(options={"bf": "3"}, tone_from=Fraction(0)),
    "a.webm": Coding(codec="libvpx-vp9", options={"b": "1000000", "cpu-used": "8"}, unit=Fraction(1, 1000)),
    "a.ts": Coding(options={"bf": "3"}, tone_from=Fraction(0)),
    "a.avi": Coding(codec="mpeg4", options=MPEG4, unit=Fraction(1, 25), tone_from=Fraction(0)),
    "a.mpg": Coding(codec="mpeg2video", options=MPEG4, unit=Fraction(1, 25)),
    "a.flv": Coding(options={"bf": "2"}, unit=Fraction(1, 1000)),
}  # fmt: skip


def within(path: Path, folder: Path) -> Member:
    """Lay a file between other bytes, as in a shard."""
    shard, data = folder / "shard.tar", path.read_bytes()
    shard.write_bytes(b"\xff" * 1536 + data + b"\xff" * 4096)
    return Member(shard, Entry("x", path.suffix[1:].lower(), 1536, len(data)))


def check(path: Path, folder: Path) -> None:
    """Compare the first 60 pictures, their times, the probe and the sound."""
    member = within(path, folder)
    assert probe(member) == probe(path)
    with av.open(str(path)) as container:
        track, convert = container.streams.video[0], None
        track.codec_context.thread_count = 1
        by_name = container.decode(track)
        for k, ours in enumerate(pictures(member, max_side=320)):
            frame = next(by_name)
            convert = convert or ToRgb(Geometry.of(frame, track), 320)
            assert np.array_equal(ours.frame_HWC, convert(frame))
            assert ours.pts == frame.pts * Fraction(frame.time_base)
            if k == 59:
                break
    by_path, inside = read_sound(path), read_sound(member)
    assert (by_path is None) == (inside is None)
    if by_path is not None and inside is not None:
        assert (by_path.start, by_path.rate) == (inside.start, inside.rate)
        assert np.array_equal(by_path.wave_CS, inside.wave_CS)


@pytest.mark.parametrize("name", KINDS)
def test_drawn_files_of_every_kind(name: str, tmp_path: Path) -> None:
    check(encode(tmp_path / name, [Fraction(k, 25) for k in range(50)], KINDS[name]), tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "counter.mp4",
        "decord_video_90.mov",
        "issue-236-split-copy.mkv",
        "torchcodec_av1_video.mkv",
        "derived/hevc10_interview.mp4",
        "derived/name with spaces é 中文 letterbox15fps.webm",
        "derived/two_audio_tracks_interview.mkv",
    ],
)
def test_real_files(name: str, shared_media: Path, tmp_path: Path) -> None:
    check(shared_media / "robust" / name, tmp_path)

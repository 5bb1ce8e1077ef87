"""Every broken and unusual file goes through the main job: one end each, in words, and no harm to the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from mitds import load
from mitds.manifests.ledger import read_ledger
from mitds.pipeline.annotate import AnnotateResult, annotate
from mitds.pipeline.ingest import IngestResult, ingest
from mitds.pipeline.session import ray_session
from mitds.pipeline.settings import annotate_config

pytestmark = pytest.mark.media

REFUSED = {
    "audio_only_interview.mp4": ("not_video", "sound only"),
    "jpeg_renamed.mp4": ("not_video", "still image"),
    "text_renamed.mp4": ("not_video", "neither video nor sound"),
    "zero_bytes.mp4": ("not_video", "empty"),
    "truncated_interview.mp4": ("undecodable", "cut short"),
    "cut_both_ends_interview.ts": ("undecodable", ""),
}
TWO_PEOPLE = (
    "fps60_audio8k_interview.mp4",
    "hevc10_interview.mp4",
    "interlaced_sar_mpeg2.mpg",
    "name with spaces é 中文 letterbox15fps.webm",
    "noaudio_interview.mp4",
    "odd_height_yuv444_interview.mp4",
    "rot90_flag_interview.mp4",
    "two_audio_tracks_interview.mkv",
    "vfr_interview.mp4",
    "bitflips_interview.mp4",
)
"""Variants of one two-person interview; all must give clips of two people, but for those named below."""

Runs = tuple[IngestResult, AnnotateResult]


@pytest.fixture(scope="module")
def runs(shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("robust")
    files = sorted(p for p in (shared_media / "robust").rglob("*") if p.is_file())
    (folder / "list.txt").write_text("".join(f"{p}\n" for p in files))
    with ray_session(workers=2):
        raw = ingest(folder / "list.txt", folder / "raw")
        return raw, annotate([str(p) for p in raw.shards], folder / "clips", annotate_config("embedded"))


def name(url: str) -> str:
    return url.rpartition("/")[2]


def test_every_file_has_one_end_with_a_reason_a_person_understands(runs: Runs):
    raw, _ = runs
    failed = {name(s.url): (s.reason, s.detail) for s in raw.sources if s.status == "failed"}
    assert failed.keys() == REFUSED.keys()
    for file, (reason, words) in REFUSED.items():
        assert failed[file][0] == reason
        assert words in failed[file][1]
        assert file in failed[file][1], "the sentence must say where"
    assert len({s.row for s in raw.sources}) == len(raw.sources)
    assert sum(row.count for row in raw.funnel) == len(raw.sources)


def test_what_can_be_decoded_is_annotated_and_the_sums_match(runs: Runs):
    raw, done = runs
    assert done.failures == []
    ends = [end for end in read_ledger(done.out / "ledger.jsonl") if end.kind == "source"]
    assert len(ends) == len(raw.sources) - len(REFUSED)
    assert {(row.kind, row.status) for row in done.funnel} >= {("source", "kept"), ("clip", "kept")}


def test_every_variant_of_the_interview_shows_its_two_people(runs: Runs):
    _, done = runs
    people = {}
    for clip, _ in done.clips:
        people.setdefault(clip.source_name, []).append(len(clip.persons))
    for file in TWO_PEOPLE:
        assert 2 in people[file], file


def test_damage_is_noted_on_the_source(runs: Runs):
    raw, _ = runs
    notes = {name(s.url): " ".join(s.notes) for s in raw.sources}
    assert "patched up by the decoder" in notes["bitflips_interview.mp4"]
    assert notes["hevc10_interview.mp4"] == ""


def test_the_sound_track_that_was_taken_is_named(runs: Runs):
    raw, _ = runs
    (noted,) = (s.notes for s in raw.sources if name(s.url) == "two_audio_tracks_interview.mkv")
    assert any("of 2 used" in note for note in noted)


def test_silent_source_gets_no_made_up_speech(runs: Runs):
    _, done = runs
    for clip, _ in done.clips:
        if clip.source_name == "noaudio_interview.mp4":
            assert clip.scores["speech_share"] == 0
            assert "nobody_speaks" in clip.reasons
            assert all(person.turns == () for person in clip.persons)


def test_kept_clips_read_back_with_arrays_of_their_length(runs: Runs):
    _, done = runs
    read = 0
    for clip in load(str(done.out / "clips-*.tar")):
        assert sum(1 for _ in clip.frames()) == clip.clip.frames == clip.arrays.speaking_NT.shape[1]
        read += 1
    assert read > 5

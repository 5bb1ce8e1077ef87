"""The whole job on drawn videos with fakes in place of networks: what is written, and that it fits together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mitds import load
from mitds.annotators.asd.fake import FakeScorerConfig
from mitds.annotators.faces.fake import FakeFaceTrackerConfig
from mitds.annotators.pose.fake import FakePoseConfig
from mitds.annotators.speech.fake import FakeDiarizerConfig
from mitds.errors import UsageError
from mitds.manifests.records import Rights
from mitds.media import Sound, write_video
from mitds.pipeline.annotate import AnnotateResult, annotate
from mitds.pipeline.export import export
from mitds.pipeline.ingest import IngestConfig, IngestResult, ingest
from mitds.pipeline.session import ray_session
from mitds.pipeline.settings import AnnotateConfig, annotate_config
from mitds.pipeline.stages.quality import QualityConfig

FAKES = {
    "faces": "mitds.annotators.faces.fake:FakeFaceTracker",
    "speech": "mitds.annotators.speech.fake:FakeDiarizer",
    "asd": "mitds.annotators.asd.fake:FakeScorer",
    "pose": "mitds.annotators.pose.fake:FakePose",
}


def draw(path: Path, seconds: float, cut_s: float, rate: int = 25) -> None:
    """Draw two scenes of noise, dark then bright, with a tone; the frame number is written as grey levels."""
    rng = np.random.default_rng(7)
    scenes = (
        rng.integers(0, 60, (2, 120, 160, 3), np.uint8) + np.array([10, 180], np.uint8)[:, None, None, None]
    )

    def frames() -> Iterator[tuple[Fraction, np.ndarray]]:
        for k in range(round(seconds * rate)):
            frame = scenes[int(k >= cut_s * rate)].copy()
            for bit in range(8):
                frame[-16:, bit * 16 : bit * 16 + 16] = 255 if k >> bit & 1 else 0
            yield Fraction(k, rate), frame

    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * 16_000)) / 16_000)
    write_video(path, frames(), sound=Sound(tone.astype(np.float32)[None], 16_000, Fraction(0)))


def number(frame_HWC: np.ndarray) -> int:
    """Read the frame number back."""
    return sum(int(frame_HWC[-8, bit * 16 + 8].mean() > 127) << bit for bit in range(8))


def config() -> AnnotateConfig:
    resolved = annotate_config("embedded", backends=FAKES, keep_all=True)
    return replace(
        resolved,
        faces=FakeFaceTrackerConfig(boxes=((10.0, 20.0, 40.0, 50.0), (100.0, 20.0, 130.0, 50.0))),
        asd=FakeScorerConfig(speaking={0: ((10, 80),), 1: ((90, 150),)}),
        speech=FakeDiarizerConfig(turns=(("a", 0.4, 3.2), ("b", 3.6, 6.0))),
        pose=FakePoseConfig(),
        quality=QualityConfig(measures=("camera", "stills", "blur", "exposure")),
    )


Runs = tuple[IngestResult, AnnotateResult, AnnotateResult]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("pipeline")
    draw(folder / "talk.mp4", 9.0, 7.0)
    (folder / "again.mp4").write_bytes((folder / "talk.mp4").read_bytes())
    (folder / "words.mp4").write_text("this is not a film")
    rows = [
        {"url": "talk.mp4", "licence": "CC0", "consent": "signed", "note": "drawn"},
        {"url": "again.mp4"},
        {"url": "words.mp4"},
        {"url": "missing.mp4"},
    ]
    (folder / "list.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    with ray_session(workers=2):
        raw = ingest(folder / "list.jsonl", folder / "raw", IngestConfig())
        shards = [str(p) for p in raw.shards]
        done = annotate(shards, folder / "clips", config())
        relaxed = replace(
            config(), rules=replace(config().rules, max_people=1, min_speaking_s=0.0), keep_all=False
        )
        return raw, done, annotate(shards, folder / "changed", relaxed)


@pytest.fixture(scope="module")
def raw(runs: Runs) -> IngestResult:
    return runs[0]


@pytest.fixture(scope="module")
def done(runs: Runs) -> AnnotateResult:
    return runs[1]


@pytest.fixture(scope="module")
def changed(runs: Runs) -> AnnotateResult:
    return runs[2]


def test_every_line_of_the_list_has_one_end(raw: IngestResult):
    ends = {s.name.rpartition("/")[2]: (s.status, s.reason) for s in raw.sources}
    assert ends == {
        "talk.mp4": ("kept", ""),
        "again.mp4": ("filtered", "duplicate_of"),
        "words.mp4": ("failed", "not_video"),
        "missing.mp4": ("failed", "unreachable"),
    }
    assert raw.failed == 2
    assert sum(row.count for row in raw.funnel) == 4
    table = pq.read_table(raw.out / "sources.parquet").to_pylist()
    assert [row["consent"] for row in table] == ["signed", None, None, None]
    assert "line 1" in table[1]["detail"]


def test_clips_carry_people_voices_rights_and_reasons(done: AnnotateResult):
    kept = list(load(str(done.out / "clips-*.tar")))
    assert [c.clip.status for c in kept] == ["kept"]
    clip = kept[0].clip
    assert clip.frames == 175
    assert {"contrast", "face_sharpness", "still_share", "hand_on_face"} <= set(clip.scores)
    assert clip.rights == Rights(licence="CC0", consent="signed", note="drawn")
    assert [(p.identity, p.voice, p.voice_status) for p in clip.persons] == [
        ("P0", "V0", "bound"),
        ("P1", "V1", "bound"),
    ]
    assert clip.persons[0].turns[0].start_s == pytest.approx(0.4, abs=0.05)
    assert clip.persons[0].turns[0].end_s == pytest.approx(3.2, abs=0.05)
    assert clip.offscreen == ()
    rejected = list(load(str(done.out / "rejected-*.tar")))
    assert [c.clip.reasons for c in rejected] == [("too_short", "nobody_speaks")]


def test_arrays_have_one_length_and_label_frames_are_picture_frames(done: AnnotateResult):
    for shard in ("clips", "rejected"):
        for clip in load(str(done.out / f"{shard}-*.tar")):
            frames = clip.clip.frames
            arrays = clip.arrays
            assert arrays.face_xyxy_NT4.shape == (2, frames, 4)
            assert arrays.speaking_NT.shape == arrays.visible_NT.shape == (2, frames)
            assert arrays.pose_NTK3.shape == (2, frames, 133, 3)
            first = round(clip.clip.start * 25)
            shown = [number(frame) for frame in clip.frames()]
            assert shown == [(first + k) & 255 for k in range(frames)]
            wave_S = clip.wave()
            assert wave_S is not None
            assert len(wave_S) == frames * 640


def test_run_writes_what_the_documents_promise(done: AnnotateResult):
    names = {path.name for path in done.out.iterdir()}
    assert names - {".work"} == {
        "clips-000000.tar", "rejected-000000.tar", "sources-000000.tar",
        "clips.parquet", "sources.parquet", "ledger.jsonl", "run.json",
    }  # fmt: skip
    table = pq.read_table(done.out / "clips.parquet").to_pylist()
    assert [row["shard"] for row in table] == ["clips-000000.tar", "rejected-000000.tar"]
    run = json.loads((done.out / "run.json").read_text())
    assert run["config_digest"] == table[0]["config_digest"]
    assert {(r.kind, r.status): r.count for r in done.funnel if r.kind == "clip"} == {
        ("clip", "kept"): 1,
        ("clip", "filtered"): 1,
    }


def test_a_second_run_writes_the_same_bytes_at_another_number_of_workers(
    done: AnnotateResult, raw: IngestResult, tmp_path: Path
):
    again = annotate([str(p) for p in raw.shards], tmp_path / "again", config(), workers=1)
    for name in ("clips-000000.tar", "rejected-000000.tar", "sources-000000.tar", "clips.parquet"):
        assert (again.out / name).read_bytes() == (done.out / name).read_bytes(), name


def test_a_dead_list_does_not_cost_the_shards_of_an_earlier_one(raw: IngestResult, tmp_path: Path):
    before = {path.name: path.read_bytes() for path in raw.out.iterdir() if path.is_file()}
    (tmp_path / "dead.txt").write_text("nowhere.mp4\n")
    with pytest.raises(UsageError, match="an earlier run kept 1 sources"):
        ingest(tmp_path / "dead.txt", raw.out, IngestConfig(), workers=1)
    assert {path.name: path.read_bytes() for path in raw.out.iterdir() if path.is_file()} == before


def test_clips_do_not_go_where_shots_lie(raw: IngestResult):
    with pytest.raises(UsageError, match="holds what mitds ingest wrote"):
        annotate([str(p) for p in raw.shards], raw.out, config(), workers=1)


def test_a_changed_rule_changes_the_ends_and_the_clip_keys(done: AnnotateResult, changed: AnnotateResult):
    assert [c.reasons for c, _ in changed.clips] == [("too_many_people",), ("too_many_people", "too_short")]
    assert [shard for _, shard in changed.clips] == [None, None]
    assert not list(changed.out.glob("rejected-*.tar"))
    assert not {c.key for c, _ in changed.clips} & {c.key for c, _ in done.clips}


def test_exports_agree_with_what_was_drawn(done: AnnotateResult, tmp_path: Path):
    shards = [str(done.out / "clips-*.tar")]
    (cuts,) = export(shards, "cuts", tmp_path, "source").paths
    assert cuts.name == "talk.cuts.txt"
    assert [line.split()[0] for line in cuts.read_text().splitlines()] == ["175"]
    (rttm,) = export(shards, "rttm", tmp_path, "source").paths
    turns = [line.split() for line in rttm.read_text().splitlines()]
    assert [(t[1], float(t[3]), t[7]) for t in turns] == [
        ("talk", pytest.approx(0.4), "P0"),
        ("talk", pytest.approx(3.6), "P1"),
    ]
    (ava,) = export(shards, "ava", tmp_path, "source").paths
    assert sum(line.startswith("talk,") for line in ava.read_text().splitlines()) == 2 * 225

"""What judges saw is kept by content: in memory, on disk, and never for another video, judge or setting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mitds.benchmark.contracts import Arrays
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.cache import judged


class Judge:
    """Counts how often it has to look."""

    def __init__(self) -> None:
        self.looks = 0

    def see(self) -> Arrays:
        self.looks += 1
        return {"value_N": np.array([self.looks, np.nan])}


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    monkeypatch.setenv("MITDS_CACHE", str(tmp_path))
    monkeypatch.delenv("MITDS_JUDGE_CACHE", raising=False)
    return Judge()


def video(tag: int = 0) -> Footage:
    return Footage(np.full((2, 4, 4, 3), tag, np.uint8))


def test_a_video_is_looked_at_once_and_its_content_once_for_all_time(judge: Judge) -> None:
    first = video()
    for footage in (first, first, video()):
        assert judged(footage, "eye@1:ab", {"step": 1}, judge.see)["value_N"][0] == 1


def test_another_video_judge_or_setting_is_looked_at_anew(judge: Judge) -> None:
    for footage, name, inputs in (
        (video(), "eye@1:ab", {"step": 1}),
        (video(1), "eye@1:ab", {"step": 1}),
        (video(), "eye@2:ab", {"step": 1}),
        (video(), "eye@1:ab", {"step": 2}),
    ):
        judged(footage, name, inputs, judge.see)
    assert judge.looks == 4


def test_a_torn_file_is_seen_anew(judge: Judge, tmp_path: Path) -> None:
    judged(video(), "eye@1:ab", {}, judge.see)
    (kept,) = (tmp_path / "judges" / "eye").rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:40])
    assert judged(video(), "eye@1:ab", {}, judge.see)["value_N"][0] == 2
    assert judged(video(), "eye@1:ab", {}, judge.see)["value_N"][0] == 2


def test_nothing_is_kept_on_disk_unless_wanted(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITDS_JUDGE_CACHE", "0")
    for looks in (1, 2):
        assert judged(video(), "eye@1:ab", {}, judge.see)["value_N"][0] == looks
    assert not list(tmp_path.iterdir())


def test_no_metric_can_change_what_the_others_see(judge: Judge) -> None:
    footage = video()
    for seen in (footage, video()):
        with pytest.raises(ValueError, match="read-only"):
            judged(seen, "eye@1:ab", {}, judge.see)["value_N"][0] = 9

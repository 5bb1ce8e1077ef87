"""Truth survives the disk, what is missing stays unknown, and a bad line is named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mitds.errors import UsageError
from mitds.manifests.records import SpeechTurn
from mitds.manifests.truth import Region, Truth, TruthFaces, read_truth, truth_names, write_truth


def said(voice: str, start_s: float, end_s: float) -> SpeechTurn:
    return SpeechTurn(voice=voice, start_s=start_s, end_s=end_s)


FACES = TruthFaces(
    frame_R=np.array([0, 0, 1]),
    person_R=("ann", "bob", "ann"),
    xyxy_R4=np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.2, 0.7, 0.4], [0.1, 0.2, 0.3, 0.4]], np.float32),
    speaking_R=np.array([True, False, False]),
)
TRUTH = Truth(
    name="scene",
    frames=50,
    width=640,
    height=360,
    duration_s=2.0,
    cuts=(20, 40),
    soft=((28, 33),),
    speech=(said("ann", 0.0, 0.5), said("off", 0.4, 1.25)),
    faces=FACES,
    moving_lips=(said("bob", 0.0, 1.0),),
    about={"seed": 7},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_truth(tmp_path, TRUTH)
    assert truth_names(tmp_path) == ["scene"]
    again = read_truth(tmp_path, "scene")
    assert again.faces is not None
    for name in ("fps", "frames", "width", "height", "duration_s", "cuts", "soft", "speech", "moving_lips"):
        assert getattr(again, name) == getattr(TRUTH, name), name
    assert again.faces.person_R == FACES.person_R
    for name in ("frame_R", "xyxy_R4", "speaking_R"):
        assert np.array_equal(getattr(again.faces, name), getattr(FACES, name)), name
    assert again.about["seed"] == 7


def test_frames_are_counted_at_the_rate_of_the_video(tmp_path: Path) -> None:
    truth = Truth(name="ntsc", fps=Fraction(30000, 1001), frames=900, duration_s=30.03, faces=FACES)
    write_truth(tmp_path, truth)
    again = read_truth(tmp_path, "ntsc")
    assert again.fps == Fraction(30000, 1001)
    assert again.faces is not None
    assert again.faces.frame_R.tolist() == [0, 0, 1]


def test_what_is_not_there_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "only.cuts.txt").write_text("# no cuts\n")
    truth = read_truth(tmp_path, "only")
    assert truth.cuts == ()
    assert truth.speech is None
    assert truth.faces is None
    assert truth.regions is None
    with pytest.raises(UsageError, match="holds no truth"):
        truth_names(tmp_path / "empty")


def test_turns_of_another_video_are_not_its_own(tmp_path: Path) -> None:
    line = "SPEAKER {} 1 0.5 1.0 <NA> <NA> ann <NA> <NA>\n"
    (tmp_path / "a.rttm").write_text(line.format("a") + line.format("b"))
    assert read_truth(tmp_path, "a").speech == (said("ann", 0.5, 1.5),)


def test_passages_labelled_by_hand(tmp_path: Path) -> None:
    write_truth(tmp_path, TRUTH)
    (tmp_path / "scene.scored.txt").write_text("# start end what\n0.5 1.0 all\n1.0 1.5 diar\n")
    (tmp_path / "scene.bindframes.json").write_text("[13, 14]")
    truth = read_truth(tmp_path, "scene")
    assert truth.regions == (
        Region(start_s=0.5, end_s=1.0, kind="all"),
        Region(start_s=1.0, end_s=1.5, kind="diar"),
    )
    assert truth.bind_frames == frozenset({13, 14})


def test_muted_talkers_move_their_lips_throughout(tmp_path: Path) -> None:
    (tmp_path / "old.rttm").write_text("")
    (tmp_path / "old.json").write_text('{"listen_mode": "muted", "duration": 9.5, "persons": {"ann": {}}}')
    assert read_truth(tmp_path, "old").moving_lips == (said("ann", 0.0, 9.5),)


@pytest.mark.parametrize(
    ("suffix", "text", "line"),
    [
        (".cuts.txt", "12\nsoft 3\n", 2),
        (".rttm", "SPEAKER scene 1 zero 1 <NA> <NA> ann\n", 1),
        (".asd.csv", "scene,0.0,0.1,0.1,0.2,0.2,SPEAKING_AUDIBLE\n", 1),
        (".scored.txt", "0 1 all\n1 2 some\n", 2),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, suffix: str, text: str, line: int) -> None:
    (tmp_path / "scene.rttm").write_text("")
    (tmp_path / f"scene{suffix}").write_text(text)
    with pytest.raises(UsageError, match=f"line {line} of the truth") as caught:
        read_truth(tmp_path, "scene")
    assert str(caught.value.where).endswith(f"scene{suffix}")

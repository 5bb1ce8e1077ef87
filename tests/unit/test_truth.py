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


GOOD = "scene,0.0,0.1,0.1,0.2,0.2,{},scene:ann,ann\n"
SPOKEN = "SPEAKER scene 1 {} {} <NA> <NA> ann\n"


@pytest.mark.parametrize(
    ("suffix", "text", "line"),
    [
        (".asd.csv", GOOD.format("NOT_SPEAKING") + GOOD.format("SPEAKING"), 2),
        (".asd.csv", "scene,inf,0.1,0.1,0.2,0.2,NOT_SPEAKING,e,ann\n", 1),
        (".asd.csv", "scene,-0.2,0.1,0.1,0.2,0.2,NOT_SPEAKING,e,ann\n", 1),
        (".asd.csv", "scene,0.0,100,80,220,210,NOT_SPEAKING,e,ann\n", 1),
        (".asd.csv", "scene,0.0,nan,0.1,0.2,0.2,NOT_SPEAKING,e,ann\n", 1),
        (".asd.csv", "scene,0.0,0.5,0.5,0.2,0.2,NOT_SPEAKING,e,ann\n", 1),
        (".asd.csv", "scene,0.0,0.1,0.1,0.2,0.2,NOT_SPEAKING,e,\n", 1),
        (".rttm", SPOKEN.format("0", "1") + SPOKEN.format("-1", "2"), 2),
        (".rttm", SPOKEN.format("1", "-2"), 1),
        (".rttm", SPOKEN.format("nan", "1"), 1),
        (".rttm", SPOKEN.format("0", "inf"), 1),
        (".rttm", "SPEAKER\n", 1),
        (".scored.txt", "2 1 all\n", 1),
        (".scored.txt", "0 nan all\n", 1),
        (".cuts.txt", "-3\n", 1),
        (".cuts.txt", "soft 9 3\n", 1),
    ],
)
def test_a_value_that_cannot_be_right_is_named(tmp_path: Path, suffix: str, text: str, line: int) -> None:
    test_a_line_that_cannot_be_read_is_named(tmp_path, suffix, text, line)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"fps": "abc"}', "fps"),
        ('{"fps": null}', "fps"),
        ('{"fps": 0}', "fps"),
        ('{"fps": NaN}', "fps"),
        ('{"frames": 2.5}', "frames"),
        ('{"width": -3}', "width"),
        ('{"duration": "long"}', "duration"),
        ('{"moving_lips": [{"start": 0, "end": 1}]}', "moving_lips"),
        ('{"moving_lips": [{"person": "ann", "start": 0, "end": NaN}]}', "moving_lips"),
        ('{"moving_lips": null}', "moving_lips"),
        ('{"listen_mode": "muted", "persons": {"ann": {}}}', "moving_lips"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_a_json_that_cannot_be_right_is_named(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(UsageError, match=what) as caught:
        read_truth(tmp_path, "scene")
    assert str(caught.value.where).endswith("scene.json")


@pytest.mark.parametrize("text", ["[[1, 2]]", "{}", "[-1]", '["3"]', "[true]", "null"])
def test_frames_for_binding_are_numbers(tmp_path: Path, text: str) -> None:
    (tmp_path / "scene.bindframes.json").write_text(text)
    with pytest.raises(UsageError, match="list of frame numbers") as caught:
        read_truth(tmp_path, "scene")
    assert str(caught.value.where).endswith("scene.bindframes.json")


@pytest.mark.parametrize("suffix", [".rttm", ".asd.csv", ".cuts.txt", ".scored.txt", ".json"])
def test_what_is_not_text_is_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"scene{suffix}").write_bytes(b"\xff\xfe\x00caf\xe9")
    with pytest.raises(UsageError, match="UTF-8") as caught:
        read_truth(tmp_path, "scene")
    assert str(caught.value.where).endswith(f"scene{suffix}")


def test_turns_of_others_alone_are_no_silence(tmp_path: Path) -> None:
    line = "SPEAKER {} 1 0.5 1.0 <NA> <NA> ann <NA> <NA>\n"
    (tmp_path / "a.rttm").write_text(line.format("b") + line.format("c"))
    with pytest.raises(UsageError, match="no line is about a, but about b, c") as caught:
        read_truth(tmp_path, "a")
    assert str(caught.value.where).endswith("a.rttm")
    (tmp_path / "a.rttm").write_text("")
    assert read_truth(tmp_path, "a").speech == ()


def test_names_with_spaces_are_written_without(tmp_path: Path) -> None:
    write_truth(tmp_path, Truth(name="Interview 1", speech=(said("ann", 0.0, 1.0),)))
    assert "SPEAKER Interview-1 1 " in (tmp_path / "Interview 1.rttm").read_text()
    assert read_truth(tmp_path, "Interview 1").speech == (said("ann", 0.0, 1.0),)


def test_the_rate_of_the_video_counts_where_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "scene.asd.csv").write_text("scene,1.0,0.1,0.1,0.2,0.2,NOT_SPEAKING,e,ann\n")
    frames = {fps: read_truth(tmp_path, "scene", fps).faces for fps in (None, Fraction(50))}
    assert [f.frame_R.tolist() for f in frames.values() if f] == [[25], [50]]
    (tmp_path / "scene.json").write_text('{"fps": 30}')
    assert read_truth(tmp_path, "scene", Fraction(50)).fps == 30

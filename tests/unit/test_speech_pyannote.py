"""The pyannote backend's conversion and its refusals, without pyannote.audio; and the fake diarizer."""

from __future__ import annotations

import os
import types
from typing import Any

import numpy as np
import pytest
import torch

from mitds.annotators.registries import SPEECH
from mitds.annotators.speech import pyannote_backend
from mitds.annotators.speech.fake import FakeDiarizer, FakeDiarizerConfig
from mitds.annotators.speech.pyannote_backend import PyannoteCommunity, PyannoteConfig, to_voices
from mitds.errors import MissingDependency, MissingWeights

WAVE_S = np.full(16_000 * 4, 0.1, np.float32)


class Annotation:
    """As much of pyannote.core.Annotation as is used."""

    tracks = (("S1", 2.0, 3.5), ("S0", 0.5, 2.25), ("S1", 3.75, 4.0))

    def labels(self) -> list[str]:
        return ["S0", "S1"]

    def itertracks(self, yield_label: bool) -> Any:
        assert yield_label
        for label, start, end in self.tracks:
            yield types.SimpleNamespace(start=start, end=end), "track", label


class Pipeline:
    """As much of pyannote.audio.Pipeline as is used; keeps what it was given."""

    given: dict[str, Any]

    def to(self, device: torch.device) -> Pipeline:
        self.device = device
        return self

    def __call__(self, audio: dict[str, Any], **counts: int | None) -> Any:
        Pipeline.given = {
            **audio,
            **counts,
            "device": self.device,
            "metrics": os.environ["PYANNOTE_METRICS_ENABLED"],
        }
        embedding_VD = np.array([[3.0, 4.0], [0.0, 2.0]])
        return types.SimpleNamespace(speaker_diarization=Annotation(), speaker_embeddings=embedding_VD)


def install(monkeypatch: pytest.MonkeyPatch, from_pretrained: Any) -> None:
    module = types.SimpleNamespace(Pipeline=types.SimpleNamespace(from_pretrained=from_pretrained))
    monkeypatch.setenv("PYANNOTE_METRICS_ENABLED", "1")
    monkeypatch.setattr(pyannote_backend.importlib, "import_module", lambda name: module)


def refuse(error: Exception) -> Any:
    def raise_it(*_: object) -> Any:
        raise error

    return raise_it


def test_registered() -> None:
    assert SPEECH.get("pyannote") is PyannoteCommunity


def test_converts_an_annotation(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda name: Pipeline())
    voices = PyannoteCommunity(PyannoteConfig(device="cpu", fewest=2, most=5)).diarize(WAVE_S)
    assert voices.voices == ("V0", "V1")
    assert [(t.voice, t.start_s, t.end_s) for t in voices.turns] == [
        ("V0", 0.5, 2.25),
        ("V1", 2.0, 3.5),
        ("V1", 3.75, 4.0),
    ]
    assert voices.activity_FV.shape == (200, 2)
    assert voices.activity_FV[105].tolist() == [1, 1]
    assert voices.activity_FV.sum(0) * voices.hop_s == pytest.approx([1.75, 1.75], abs=0.03)
    assert voices.speech_F.sum() * voices.hop_s == pytest.approx(3.25, abs=0.03)
    assert voices.embedding_VD == pytest.approx(np.array([[0.6, 0.8], [0.0, 1.0]]))
    assert voices.model == "pyannote"


@pytest.mark.filterwarnings("error")
def test_sound_goes_in_from_memory_with_telemetry_off(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda name: Pipeline())
    shared_S = WAVE_S.copy()
    shared_S.flags.writeable = False
    PyannoteCommunity(PyannoteConfig(device="cpu", most=3)).diarize(shared_S)
    given = Pipeline.given
    assert given["waveform"].shape == (1, len(WAVE_S))
    assert given["sample_rate"] == 16_000
    assert (given["min_speakers"], given["max_speakers"]) == (None, 3)
    assert given["device"] == torch.device("cpu")
    assert given["metrics"] == "0"


@pytest.mark.parametrize("samples", [0, 1, 4_000])
def test_silence_needs_no_pipeline(samples: int) -> None:
    voices = PyannoteCommunity().diarize(np.zeros(samples, np.float32))
    assert voices.voices == ()
    assert voices.activity_FV.shape == (-(-samples // 320), 0)
    assert voices.speech_F.shape == (-(-samples // 320),)


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'pyannote.audio'"),
        OSError("Could not load this library: _torchaudio.abi3.so"),
    ],
)
def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(pyannote_backend.importlib, "import_module", refuse(error))
    monkeypatch.setenv("PYANNOTE_METRICS_ENABLED", "1")
    with pytest.raises(MissingDependency) as caught:
        PyannoteCommunity(PyannoteConfig(device="cpu")).diarize(WAVE_S)
    assert "pip install 'mitds[diar]'" in caught.value.remedy
    assert "torchaudio" in caught.value.remedy
    assert str(error) in caught.value.what


@pytest.mark.parametrize(
    "answer", [refuse(OSError("403 Client Error.\n\nCannot access gated repo")), lambda name: None]
)
def test_gated_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    install(monkeypatch, answer)
    with pytest.raises(MissingWeights) as caught:
        PyannoteCommunity(PyannoteConfig(device="cpu")).diarize(WAVE_S)
    assert "HF_TOKEN" in caught.value.remedy
    assert "pyannote/speaker-diarization-community-1" in caught.value.remedy
    assert "\n" not in caught.value.what


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_silent_fall_back_to_the_processor() -> None:
    with pytest.raises(MissingDependency, match="cuda"):
        PyannoteCommunity().diarize(WAVE_S)


def test_a_label_without_embedding_gets_nan() -> None:
    voices = to_voices(
        [("a", 0, 1), ("b", 1, 2), ("c", 2, 3)], {"a": np.ones(4), "b": np.zeros(4)}, 48_000, "x"
    )
    assert np.isfinite(voices.embedding_VD).all(axis=1).tolist() == [True, False, False]


def test_fake_says_its_turns() -> None:
    told = (("B", 0.5, 1.0), ("A", 0.75, 9.0), ("C", 5.0, 6.0))
    voices = FakeDiarizer(FakeDiarizerConfig(turns=told)).diarize(WAVE_S)
    assert [(t.voice, t.start_s, t.end_s) for t in voices.turns] == [("V0", 0.5, 1.0), ("V1", 0.75, 4.0)]
    assert voices.activity_FV[40].tolist() == [1, 1]
    assert FakeDiarizer().diarize(np.zeros(16_000, np.float32)).voices == ()

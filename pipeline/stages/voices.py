"""The stage that tells the voices of one source apart, over its whole sound."""

from __future__ import annotations

from dataclasses import dataclass

import soundfile

from mitds.annotators.registries import SPEECH
from mitds.annotators.runtime import single_threaded
from mitds.manifests.codec import voices_to_npz
from mitds.media import read_sound, write_wav16k
from mitds.pipeline.stages.items import Backend, SourceItem
from mitds.pipeline.work import Work
from mitds.store import write_bytes
from mitds.time import AUDIO_HZ


@dataclass(frozen=True, slots=True)
class VoicesResult:
    """How many voices a source has; work folder: "voices" KEY.npz, "sound" KEY.flac and KEY.wav (16 kHz)."""

    voices: int


class VoicesStage:
    """Worker of the stage "voices"."""

    def __init__(self, backend: Backend, work: Work) -> None:
        single_threaded()
        self._diarizer = SPEECH.get(backend.name)(backend.config)
        self._work = work

    def __call__(self, item: SourceItem) -> VoicesResult:
        """Lay out one source's sound for the later stages and diarize it."""
        if item.flac is None:
            raise ValueError("only sources with sound are diarized")
        flac = self._work.path("sound", item.key, ".flac")
        write_bytes(flac, item.flac.read())
        sound = read_sound(flac)
        if sound is None:
            raise ValueError("a FLAC without sound")
        wav = self._work.path("sound", item.key, ".wav")
        write_wav16k(wav, sound.mono(AUDIO_HZ))
        del sound
        wave_S, _ = soundfile.read(wav, dtype="float32")
        voices = self._diarizer.diarize(wave_S)
        write_bytes(self._work.path("voices", item.key, ".npz"), voices_to_npz(voices))
        return VoicesResult(len(voices.voices))

"""The stage that tells the voices of one source apart, over its whole sound."""

from __future__ import annotations

from dataclasses import dataclass

import soundfile

from mitds.annotators.registries import SPEECH
from mitds.annotators.runtime import single_threaded
from mitds.manifests.codec import voices_to_npz
from mitds.pipeline.stages.items import Backend, SourceItem, wave16k
from mitds.pipeline.work import Work
from mitds.store import write_bytes


@dataclass(frozen=True, slots=True)
class VoicesResult:
    """How many voices a source has; work folder: "voices" KEY.npz."""

    voices: int


class VoicesStage:
    """Worker of the stage "voices"."""

    def __init__(self, backend: Backend, work: Work) -> None:
        single_threaded()
        self._diarizer = SPEECH.get(backend.name)(backend.config)
        self._work = work

    def __call__(self, item: SourceItem) -> VoicesResult:
        """Diarize one source."""
        if item.sound is None:
            raise ValueError("only sources with sound are diarized")
        with wave16k(self._work, item.sound).open("rb") as file:
            wave_S, _ = soundfile.read(file, dtype="float32")
        voices = self._diarizer.diarize(wave_S)
        write_bytes(self._work.path("voices", item.name, ".npz"), voices_to_npz(voices))
        return VoicesResult(len(voices.voices))

"""The diarizer of the embedded and standard profiles: segmentation-3.0, ECAPA glimpses, clustering."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.speech.clustering import absorb, agglomerate, centroids, relabel
from mitds.annotators.speech.ecapa import EMBEDDING, VoiceEmbedder
from mitds.annotators.speech.glimpses import Glimpses, lone_runs, look, pieces_of, runs_of
from mitds.annotators.speech.reconstruction import (
    NOBODY,
    activity,
    fill_nearest,
    label_steps,
    loudness,
    name_overlaps,
    smooth_labels,
    turns_of,
)
from mitds.annotators.speech.segmentation import HOP_S, STEP_S, Segmentation, Segmenter
from mitds.manifests.records import Array, SpeechTurn, Voices


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationEcapaConfig:
    """Settings of `SegmentationEcapa`; seconds unless said otherwise.

    Attributes:
        stride_s: Between two ten-second windows of the segmentation network.
        glimpse_s: Length of the stretches that are embedded.
        shortest_s: Lone speech shorter than this is not embedded but follows its neighbour.
        change_likeness: Cosine of adjacent glimpses below which the voice may have changed.
        same_voice: Mean cosine above which pieces are one voice.
        smallest_voice_s: Voices with less lone speech are given to a voice that is at least `absorb_likeness` alike.
        absorb_likeness: See `smallest_voice_s`.
        switch_cost: Cosine a change of voice must win.
        fewest: Least number of voices where there is speech, if enough pieces are found.
        most: Greatest number of voices; None leaves it to `same_voice`.
        onset: Probability above which a turn begins.
        offset: Probability below which it ends.
        shortest_turn_s: Shorter turns are dropped.
        pause_s: Shorter pauses are bridged.
        most_pieces: Only the longest so many pieces are clustered; bounds memory on very long sources.
        device: Where the segmentation network runs.
    """

    stride_s: float = 1.0
    glimpse_s: float = 1.5
    shortest_s: float = 0.3
    change_likeness: float = 0.3
    same_voice: float = 0.3
    smallest_voice_s: float = 1.0
    absorb_likeness: float = 0.15
    switch_cost: float = 0.3
    fewest: int = 1
    most: int | None = None
    onset: float = 0.5
    offset: float = 0.4
    shortest_turn_s: float = 0.1
    pause_s: float = 0.2
    most_pieces: int = 4000
    device: str = "cpu"


class SegmentationEcapa:
    """Tells voices apart: who talks alone is heard from embeddings, how many talk from the segmentation network."""

    name = "segmentation-ecapa"

    def __init__(self, config: SegmentationEcapaConfig = SegmentationEcapaConfig()) -> None:
        self.config = config
        self._segmenter = Segmenter(stride_s=config.stride_s, device=config.device)
        self._embedder = VoiceEmbedder()

    def diarize(self, wave_S: Array) -> Voices:
        """Return who speaks when; silence, noise and waves without 0.3 s of lone speech give no voices."""
        if len(wave_S) == 0:
            return nobody(np.zeros(0, np.float32), self.name)
        segmentation = self._segmenter.segment(wave_S)
        return self.name_voices(wave_S, segmentation)

    def name_voices(self, wave_S, segmentation):
        runs = lone_runs(segmentation, round(self.config.shortest_s / HOP_S))
        if not runs:
            return nobody(segmentation.any_F, self.name)
        glimpses = look(wave_S, runs, round(self.config.glimpse_s / HOP_S), self._embedder)
        return self.finish(wave_S, segmentation, runs, glimpses)

    def finish(self, wave_S, segmentation, runs, glimpses):
        c = self.config
        piece_G = pieces_of(glimpses, c.change_likeness)
        seconds_G = np.diff(glimpses.span_G2, axis=1)[:, 0] * HOP_S
        bounds = []
        emb = centroids(glimpses.embedding_GD, seconds_G, piece_G)
        n = len(emb)
        lo = np.full(n, 10**9); hi = np.zeros(n, int)
        np.minimum.at(lo, piece_G, glimpses.span_G2[:, 0]); np.maximum.at(hi, piece_G, glimpses.span_G2[:, 1])
        weight_N = (hi - lo) * HOP_S
        group_N = agglomerate(emb @ emb.T, weight_N, threshold=c.same_voice, fewest=c.fewest, most=c.most)
        group_N = absorb(group_N, emb, weight_N, smallest=c.smallest_voice_s, likeness=c.absorb_likeness)
        label_G = group_N[piece_G]
        for _ in range(2):
            cent = centroids(glimpses.embedding_GD, seconds_G, relabel(label_G))
            label_G = smooth_labels(glimpses.embedding_GD @ cent.T, glimpses.run_G, c.switch_cost)
        label_G = relabel(label_G)
        cent = centroids(glimpses.embedding_GD, seconds_G, label_G)
        V = len(cent)
        label_F = label_steps(runs, glimpses, label_G, loudness(wave_S, len(segmentation.any_F)))
        pair = name_overlaps(segmentation, label_F, V)
        label_F = fill_nearest(label_F, segmentation.any_F > c.offset)
        act = activity(segmentation, label_F, pair, V)
        turns = []
        for v in range(V):
            for a, b in turns_of(act[:, v], onset=c.onset, offset=c.offset, shortest=round(c.shortest_turn_s / HOP_S), pause=round(c.pause_s / HOP_S)):
                turns.append(SpeechTurn(voice=f"V{v}", start_s=a * HOP_S, end_s=b * HOP_S))
        return Voices(voices=tuple(f"V{v}" for v in range(V)), turns=tuple(sorted(turns, key=lambda t: t.start_s)),
            activity_FV=act, speech_F=segmentation.any_F, hop_s=HOP_S, embedding_VD=cent, model=self.name)


def nobody(speech_F: Array, model: str) -> Voices:
    """Return the voices of a wave in which nobody talks."""
    return Voices(
        voices=(),
        turns=(),
        activity_FV=np.zeros((len(speech_F), 0), np.float32),
        speech_F=speech_F,
        hop_s=HOP_S,
        embedding_VD=np.zeros((0, EMBEDDING), np.float32),
        model=model,
    )

"""The diarizer of the embedded and standard profiles: segmentation-3.0, ECAPA glimpses, clustering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitds.annotators.speech.clustering import Labels, Weights, absorb, centroids, cluster, relabel
from mitds.annotators.speech.ecapa import EMBEDDING, VoiceEmbedder
from mitds.annotators.speech.glimpses import Glimpses, Pieces, lone_runs, look, orphan_runs
from mitds.annotators.speech.reconstruction import (
    activity,
    barred_pairs,
    fill_nearest,
    label_steps,
    name_overlaps,
    name_scraps,
    smooth_labels,
    turns_of,
)
from mitds.annotators.speech.segmentation import HOP_S, Segmentation, Segmenter, hush, loudness, step_count
from mitds.manifests.records import Array, SpeechTurn, Voices

ROUNDS = 2
"""Times that glimpses are renamed by the voices' mean embeddings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationEcapaConfig:
    """Settings of `SegmentationEcapa`.

    Attributes:
        stride_s: Seconds between two ten-second windows of the segmentation network.
        hush_db: Steps this far below the loudest speech within five seconds are silent.
        glimpse_s: Seconds of the stretches that are embedded.
        shortest_s: Speech of fewer seconds is not embedded but follows its neighbour.
        change_likeness: Cosine of adjacent glimpses below which the voice may have changed.
        same_voice: Mean cosine above which pieces are one voice.
        small_voice_s: Voices with fewer seconds alone are given to the most alike bigger voice.
        absorb_likeness: Cosine that this takes.
        smallest_voice_s: Voices that are like no bigger one and have fewer seconds alone are nobody's.
        switch_cost: Cosine that a change of voice within a run must win.
        fewest: Least number of voices where there is speech, as far as there are pieces.
        most: Greatest number of voices; None leaves it to `same_voice`.
        most_pieces: Only the longest so many pieces are clustered; bounds memory on very long sources.
        onset: Probability above which a turn begins.
        offset: Probability below which it ends.
        pause_s: Pauses of fewer seconds are bridged in turns.
        shortest_turn_s: Turns of fewer seconds are dropped.
        fill_s: Unnamed speech takes the name of speech at most so many seconds away.
        device: Where the segmentation network runs: "cpu", "cuda" or "coreml".
    """

    stride_s: float = 1.0
    hush_db: float = 43.0
    glimpse_s: float = 1.5
    shortest_s: float = 0.3
    change_likeness: float = 0.3
    same_voice: float = 0.3
    small_voice_s: float = 1.5
    absorb_likeness: float = 0.15
    smallest_voice_s: float = 0.75
    switch_cost: float = 0.3
    fewest: int = 1
    most: int | None = None
    most_pieces: int = 4000
    onset: float = 0.5
    offset: float = 0.4
    pause_s: float = 0.3
    shortest_turn_s: float = 0.1
    fill_s: float = 0.3
    device: str = "cpu"


RUN_PAUSE_S = 0.15
"""Pauses up to this do not part a run of lone speech: they are stop consonants and breaths."""


class SegmentationEcapa:
    """Tells voices apart: how many talk comes from the segmentation network, who it is from voice embeddings.

    Windows are streamed: beside the wave itself, three hours of talk take about 240 MB.
    """

    name = "segmentation-ecapa"

    def __init__(self, config: SegmentationEcapaConfig = SegmentationEcapaConfig()) -> None:
        self.config = config
        self._segmenter = Segmenter(stride_s=config.stride_s, device=config.device)
        self._embedder = VoiceEmbedder()

    def diarize(self, wave_S: Array) -> Voices:
        """Return who speaks when; silence, noise and waves without 0.3 s of speech on end give no voices.

        Args:
            wave_S: float32 mono at 16 kHz; may be empty.
        """
        if len(wave_S) == 0:
            return nobody(np.zeros(0, np.float32), self.name)
        level_F = loudness(wave_S, step_count(len(wave_S)))
        segmentation = hush(self._segmenter.segment(wave_S), level_F, self.config.hush_db)
        shortest, pause = _steps(self.config.shortest_s), _steps(RUN_PAUSE_S)
        lone = lone_runs(segmentation, shortest=shortest, pause=pause)
        orphans = orphan_runs(segmentation, lone, shortest=shortest, pause=pause)
        if not lone and not orphans:
            return nobody(segmentation.any_F, self.name)
        glimpses = look(wave_S, sorted(lone + orphans), _steps(self.config.glimpse_s), self._embedder)
        return self._voices(segmentation, level_F, *self._named(glimpses, segmentation))

    def _named(self, glimpses: Glimpses, segmentation: Segmentation) -> tuple[Glimpses, Labels, Array]:
        """Return the glimpses that belong to a voice, label_G and the voices' embeddings, centroid_VD."""
        config = self.config
        pieces = Pieces.of(glimpses, config.change_likeness)
        embedding_PD = centroids(glimpses.embedding_GD, pieces.weight_G, pieces.piece_G)
        group_P, stray_P = self._grouped(embedding_PD, pieces.seconds_P, barred_pairs(segmentation, pieces))
        keep_G = ~stray_P[pieces.piece_G]
        kept, weight_G = glimpses.only(keep_G), pieces.weight_G[keep_G]
        label_G = relabel(group_P[pieces.piece_G][keep_G])
        for _ in range(ROUNDS):
            centroid_VD = centroids(kept.embedding_GD, weight_G, label_G)
            label_G = relabel(
                smooth_labels(kept.embedding_GD @ centroid_VD.T, kept.run_G, config.switch_cost)
            )
        return kept, label_G, centroids(kept.embedding_GD, weight_G, label_G)

    def _grouped(
        self, embedding_PD: Array, seconds_P: Weights, barred: list[tuple[int, int]]
    ) -> tuple[Labels, NDArray[np.bool_]]:
        """Return the voice of each piece, group_P, and which pieces are nobody's, stray_P."""
        config = self.config
        group_P = cluster(
            embedding_PD,
            seconds_P,
            barred,
            threshold=config.same_voice,
            fewest=config.fewest,
            most=config.most,
            most_items=config.most_pieces,
        )
        fewer_P, stray_P = absorb(
            group_P,
            embedding_PD,
            seconds_P,
            barred,
            small=config.small_voice_s,
            smallest=config.smallest_voice_s,
            likeness=config.absorb_likeness,
        )
        if len(np.unique(fewer_P[~stray_P])) < config.fewest:
            return group_P, np.zeros_like(stray_P)
        return fewer_P, stray_P

    def _voices(
        self,
        segmentation: Segmentation,
        level_F: Array,
        glimpses: Glimpses,
        label_G: Labels,
        centroid_VD: Array,
    ) -> Voices:
        config = self.config
        lone_F = label_steps(glimpses, label_G, level_F)
        pair_F2 = name_overlaps(segmentation, lone_F, len(centroid_VD))
        speech_F = segmentation.any_F > config.offset
        label_F = fill_nearest(lone_F, speech_F, _steps(config.fill_s))
        label_F = name_scraps(segmentation, label_F, lone_F, speech_F, _steps(config.shortest_s))
        activity_FV = activity(segmentation, label_F, pair_F2, len(centroid_VD))
        turns = self._turns(activity_FV)
        heard = {v: f"V{n}" for n, v in enumerate(dict.fromkeys(v for _, _, v in turns))}
        order = np.array(list(heard), np.int64)
        return Voices(
            voices=tuple(heard.values()),
            turns=tuple(SpeechTurn(voice=heard[v], start_s=a * HOP_S, end_s=b * HOP_S) for a, b, v in turns),
            activity_FV=activity_FV[:, order],
            speech_F=segmentation.any_F,
            hop_s=HOP_S,
            embedding_VD=centroid_VD[order],
            model=self.name,
            overlap_F=segmentation.two_F,
        )

    def _turns(self, activity_FV: Array) -> list[tuple[int, int, int]]:
        """Return first step, end step and voice of all turns, by start."""
        config = self.config
        shortest, pause = _steps(config.shortest_turn_s), _steps(config.pause_s)
        return sorted(
            (first, end, v)
            for v in range(activity_FV.shape[1])
            for first, end in turns_of(
                activity_FV[:, v], onset=config.onset, offset=config.offset, shortest=shortest, pause=pause
            )
        )


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


def _steps(seconds: float) -> int:
    return round(seconds / HOP_S)

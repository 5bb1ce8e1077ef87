"""The diarizer's own steps, on labels, likenesses and sounds small enough to know the answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from mitds.annotators.speech.clustering import absorb, agglomerate, centroids, cluster, relabel
from mitds.annotators.speech.diarizer import SegmentationEcapa, SegmentationEcapaConfig
from mitds.annotators.speech.ecapa import EcapaTdnn, FilterBank
from mitds.annotators.speech.glimpses import Pieces, lay, lone_runs, look, orphan_runs
from mitds.annotators.speech.reconstruction import (
    NOBODY,
    activity,
    barred_pairs,
    fill_nearest,
    name_overlaps,
    name_scraps,
    smooth_labels,
    turns_of,
)
from mitds.annotators.speech.segmentation import (
    FIELD_S,
    HOP_S,
    LEAD_S,
    MEMBERS_CK,
    STEP_S,
    WINDOW_F,
    WINDOW_S,
    Segmentation,
    Segmenter,
    cut,
    handovers,
    hush,
    loudness,
    step_count,
    window_starts,
)
from mitds.manifests.records import Array
from mitds.runs import bridge, runs_of

LEVELS = {"A": 0.1, "B": 0.2, "C": 0.3}
"""Synthetic voices are constant sounds; people who talk at once add up."""

CLASS_OF = {0: 0, 1: 1, 2: 2, 3: 3, 4: 5, 5: 6}
"""Class of the sum of levels in tenths: .3 is C alone, .4 is A + C, .5 is B + C."""


class LevelSession:
    """Stands for the segmentation network: reads the class off the sample in the middle of each field."""

    def run(self, _: None, feed: dict[str, Array]) -> list[Array]:
        middle_F = feed["input"][0, 0][FIELD_S // 2 :: STEP_S][:WINDOW_F]
        class_F = [CLASS_OF[int(tenths)] for tenths in np.rint(middle_F * 10)]
        probability_FC = np.full((WINDOW_F, 7), 0.001, np.float32)
        probability_FC[np.arange(WINDOW_F), class_F] = 0.994
        return [np.log(probability_FC)[None]]


class LevelEmbedder:
    """Stands for ECAPA: one axis a voice, by how much of the sound each voice fills."""

    def embed(self, wave_S: Array) -> Array:
        share_V = np.array([(np.rint(wave_S * 10) == tenths).mean() for tenths in (1, 2, 3)], np.float32)
        raw_D = np.pad(share_V, (0, 1), constant_values=1e-3)
        return raw_D / np.linalg.norm(raw_D)


def sound(*parts: tuple[str, float]) -> Array:
    """Build a wave of parts: who talks ("AC" for both, "" for nobody) and for how long."""
    pieces = [np.full(round(s * 16_000), sum(LEVELS[v] for v in who), np.float32) for who, s in parts]
    return np.concatenate(pieces)


def diarizer(**settings: object) -> SegmentationEcapa:
    made = SegmentationEcapa(SegmentationEcapaConfig(**settings))  # type: ignore[arg-type]
    made._segmenter.__dict__["_session"] = LevelSession()
    made._embedder = LevelEmbedder()  # type: ignore[assignment]
    return made


def said(text: str) -> Segmentation:
    """Build a segmentation of one window, a character a step: . nobody, 1-3 one, a-c the pairs 12, 13, 23."""
    class_F = np.array([".123abc".index(x) for x in text], np.uint8)
    class_WF = np.zeros((1, WINDOW_F), np.uint8)
    class_WF[0, : len(class_F)] = class_F
    any_F, two_F = (class_F > 0).astype(np.float32), (class_F > 3).astype(np.float32)
    both_F, differ_F = handovers(class_F)
    return Segmentation(any_F, two_F, (both_F & differ_F).astype(np.float32), np.array([0]), class_WF)


class TestSegmentation:
    def test_published_counts(self) -> None:
        assert WINDOW_F == 589
        assert pytest.approx(16.875e-3) == HOP_S
        assert MEMBERS_CK.sum(1).tolist() == [0, 1, 1, 1, 2, 2, 2]

    @pytest.mark.parametrize("steps", [1, 588, 589, 590, 1000, 5000])
    def test_windows_cover_every_step(self, steps: int) -> None:
        first_W = window_starts(steps, 59)
        heard_F = np.zeros(steps, int)
        for first in first_W:
            heard_F[first : first + WINDOW_F] += 1
        assert heard_F.min() >= 1
        assert first_W[-1] + WINDOW_F <= max(steps, WINDOW_F)

    def test_cut_centres_outputs_on_steps(self) -> None:
        wave_S = np.arange(1, WINDOW_S * 2, dtype=np.float32)
        for first in (0, 1, 7, 300):
            centre_of_output_0 = FIELD_S // 2
            assert cut(wave_S, first)[centre_of_output_0] == wave_S[first * STEP_S + STEP_S // 2]
        assert (cut(wave_S, 0)[:LEAD_S] == 0).all()

    @pytest.mark.parametrize("samples", [1, 269, 270, 271, 4_000, 160_000, 400_001])
    def test_shapes_for_any_length(self, samples: int) -> None:
        segmenter = Segmenter(stride_s=1.0, device="cpu")
        segmenter.__dict__["_session"] = LevelSession()
        segmentation = segmenter.segment(np.full(samples, 0.1, np.float32))
        assert segmentation.any_F.shape == (step_count(samples),)
        assert np.isfinite(segmentation.any_F).all()

    def test_no_lag(self) -> None:
        segmenter = Segmenter(stride_s=1.0, device="cpu")
        segmenter.__dict__["_session"] = LevelSession()
        wave_S = np.zeros(STEP_S * 1500, np.float32)
        wave_S[STEP_S * 700 : STEP_S * 800] = 0.1
        assert runs_of(segmenter.segment(wave_S).any_F > 0.5) == [(700, 800)]

    def test_handovers(self) -> None:
        both_F, differ_F = handovers(np.array([1] * 50 + [2] * 50, np.uint8))
        assert runs_of(differ_F) == [(41, 59)]
        assert both_F[9:91].all()
        assert not handovers(np.array([1] * 50 + [0] * 50 + [2] * 50, np.uint8))[1].any()

    def test_hush_silences_pauses_but_not_quiet_voices(self) -> None:
        level_F = np.array([-20.0] * 100 + [-67] * 20 + [-45] * 100, np.float32)
        quiet = hush(said("1" * 220), level_F, 43)
        assert runs_of(quiet.any_F > 0.5) == [(0, 100), (120, 220)]

    def test_loudness_in_db(self) -> None:
        level_F = loudness(np.full(STEP_S * 20 + 5, 0.1, np.float32), 21)
        assert level_F.shape == (21,)
        assert level_F[5:15] == pytest.approx(-20, abs=1e-3)


class TestEcapa:
    def test_filter_bank(self) -> None:
        tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16_000) / 16_000)
        feature_BMT = FilterBank()(torch.stack([tone, tone * 0.1]))
        assert feature_BMT.shape == (2, 80, 101)
        assert feature_BMT.mean(dim=2).abs().max() < 1e-3
        assert torch.allclose(feature_BMT[0, :, 5:95], feature_BMT[1, :, 5:95], atol=0.05), (
            "gain must not count"
        )

    def test_state_has_the_published_names_and_shapes(self) -> None:
        state = EcapaTdnn().state_dict()
        assert len(state) == 231
        assert state["blocks.0.conv.conv.weight"].shape == (1024, 80, 5)
        assert state["blocks.3.res2net_block.blocks.6.norm.norm.running_mean"].shape == (128,)
        assert state["blocks.2.se_block.conv2.conv.bias"].shape == (1024,)
        assert state["mfa.conv.conv.weight"].shape == (3072, 3072, 1)
        assert state["asp.tdnn.conv.conv.weight"].shape == (128, 9216, 1)
        assert state["asp_bn.norm.weight"].shape == (6144,)
        assert state["fc.conv.weight"].shape == (192, 6144, 1)


class TestClustering:
    def test_groups_by_likeness(self) -> None:
        like_NN = np.array(
            [[1, 0.1, 0.8, 0.0], [0.1, 1, 0.0, 0.7], [0.8, 0.0, 1, 0.2], [0, 0.7, 0.2, 1]], np.float32
        )
        assert agglomerate(like_NN, np.ones(4), threshold=0.3).tolist() == [0, 1, 0, 1]

    def test_average_linkage_weighs(self) -> None:
        like_NN = np.array([[1, 0.9, 0.1], [0.9, 1, 0.6], [0.1, 0.6, 1]], np.float32)
        assert agglomerate(like_NN, np.array([1.0, 9.0, 1.0]), threshold=0.5).tolist() == [0, 0, 0]
        assert agglomerate(like_NN, np.array([9.0, 1.0, 1.0]), threshold=0.5).tolist() == [0, 0, 1]

    def test_matches_scipy(self) -> None:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        point_ND = np.random.default_rng(7).normal(size=(60, 5)).astype(np.float32)
        point_ND /= np.linalg.norm(point_ND, axis=1, keepdims=True)
        distance_NN = 1 - point_ND @ point_ND.T
        tree = linkage(squareform(distance_NN, checks=False), "average")
        expected_N = relabel(fcluster(tree, 0.6, "distance").astype(np.int64))
        assert agglomerate(1 - distance_NN, np.ones(60), threshold=0.4).tolist() == expected_N.tolist()

    def test_barred_pairs_stay_apart_through_a_third(self) -> None:
        embedding_ND = np.array([[1, 0], [1, 0.05], [1, 0.1]], np.float32)
        embedding_ND /= np.linalg.norm(embedding_ND, axis=1, keepdims=True)
        group_N = cluster(embedding_ND, np.ones(3), [(0, 2)], threshold=0.3, most=1, most_items=10)
        assert group_N[0] != group_N[2]
        assert len(set(group_N.tolist())) == 2

    def test_count_can_be_fixed(self) -> None:
        like_NN = np.eye(4, dtype=np.float32) + 0.1
        assert len(set(agglomerate(like_NN, np.ones(4), threshold=0.5, most=2).tolist())) == 2
        assert len(set(agglomerate(like_NN, np.ones(4), threshold=0.0, fewest=3).tolist())) == 3

    def test_light_items_beyond_the_limit_join_the_most_alike(self) -> None:
        embedding_ND = np.eye(3, dtype=np.float32)[[0, 1, 0, 1, 1]]
        group_N = cluster(embedding_ND, np.array([5, 4, 1, 1, 2.0]), [], threshold=0.3, most_items=2)
        assert group_N.tolist() == [0, 1, 0, 1, 1]

    @pytest.mark.parametrize(
        ("barred", "groups", "strays"),
        [
            ([], [0, 1, 0, 2], [False, False, False, True]),
            ([(2, 0)], [0, 1, 1, 2], [False, False, False, True]),
        ],
    )
    def test_small_voices_go_to_the_most_alike_big_one_or_to_nobody(
        self, barred: list[tuple[int, int]], groups: list[int], strays: list[bool]
    ) -> None:
        embedding_ND = np.array([[1, 0, 0], [0, 1, 0], [0.8, 0.6, 0], [0, 0, 1]], np.float32)
        weight_N = np.array([5, 5, 0.4, 0.4])
        group_N, stray_N = absorb(
            np.arange(4), embedding_ND, weight_N, barred, small=1.5, smallest=0.75, likeness=0.15
        )
        assert group_N.tolist() == groups
        assert stray_N.tolist() == strays

    def test_a_small_voice_like_no_other_is_kept(self) -> None:
        group_N, stray_N = absorb(
            np.arange(2),
            np.eye(2, dtype=np.float32),
            np.array([5, 1.0]),
            [],
            small=1.5,
            smallest=0.75,
            likeness=0.1,
        )
        assert group_N.tolist() == [0, 1]
        assert not stray_N.any()

    def test_absorb_leaves_all_where_none_is_big(self) -> None:
        group_N, stray_N = absorb(
            np.arange(2), np.eye(2, dtype=np.float32), np.ones(2), [], small=9, smallest=9, likeness=0
        )
        assert group_N.tolist() == [0, 1]
        assert not stray_N.any()

    def test_centroids_are_unit_norm_and_weighted(self) -> None:
        centroid_VD = centroids(np.eye(2, dtype=np.float32), np.array([3.0, 4.0]), np.zeros(2, np.int64))
        assert centroid_VD == pytest.approx(np.array([[0.6, 0.8]]))


class TestGlimpses:
    def test_runs_and_bridge(self) -> None:
        runs = runs_of(np.array([1, 1, 0, 1, 0, 0, 1], np.bool_))
        assert runs == [(0, 2), (3, 4), (6, 7)]
        assert bridge(runs, 1) == [(0, 4), (6, 7)]
        assert runs_of(np.zeros(0, np.bool_)) == []

    def test_lone_runs_end_at_overlap_handover_and_long_pauses(self) -> None:
        text = "1" * 40 + "a" * 20 + "2" * 30 + "." * 3 + "2" * 30 + "." * 20 + "3" * 40 + "1" * 40 + ".1."
        assert lone_runs(said(text), shortest=10, pause=5) == [(0, 40), (60, 123), (143, 183), (184, 225)]

    @pytest.mark.parametrize(
        ("text", "orphans"),
        [
            ("a" * 200, [(0, 200)]),
            (("a" * 9 + "1" * 9) * 5 + "." * 60, [(0, 90)]),
            ("1" * 40 + "a" * 60 + "2" * 40, []),
            ("3" * 40 + "a" * 60 + "3" * 40, [(40, 100)]),
            ("." * 300, []),
            ("a" * 9 + "." * 300, []),
        ],
        ids=["overlap", "too short alone", "both alone", "a third alone", "silence", "blip"],
    )
    def test_orphans_are_speech_whose_voices_are_alone_nowhere_near(
        self, text: str, orphans: list[tuple[int, int]]
    ) -> None:
        segmentation = said(text)
        lone = lone_runs(segmentation, shortest=18, pause=9)
        assert orphan_runs(segmentation, lone, shortest=18, pause=9) == orphans

    @pytest.mark.parametrize("end", [20, 89, 90, 140, 1000])
    def test_glimpses_cover_their_run_in_order(self, end: int) -> None:
        spans = lay((10, 10 + end), 89)
        assert spans[0][0] == 10
        assert spans[-1][1] == 10 + end
        assert all(b - a <= 90 for a, b in spans)
        assert all(before[1] >= after[0] for before, after in pairwise(spans))

    def test_a_piece_ends_where_the_voice_changes(self) -> None:
        wave_S = sound(("A", 5), ("B", 4))
        glimpses = look(wave_S, [(0, step_count(len(wave_S)))], 89, LevelEmbedder())
        pieces = Pieces.of(glimpses, 0.3)
        assert len(pieces.span_P2) == 2
        assert pieces.span_P2[0, 1] * HOP_S == pytest.approx(5, abs=0.4)
        assert pieces.seconds_P.sum() == pytest.approx(9, abs=0.05)
        straddling = np.abs(glimpses.middle_G * HOP_S - 5) < 0.2
        assert (pieces.weight_G[straddling] < 0.2).all()
        assert (pieces.weight_G[np.abs(glimpses.middle_G * HOP_S - 5) > 1] > 1).all()


class TestReconstruction:
    def test_viterbi_drops_a_blip_and_keeps_a_change(self) -> None:
        like_GV = np.array([[0.6, 0.1]] * 4 + [[0.3, 0.4]] + [[0.6, 0.1]] * 4 + [[0.1, 0.6]] * 4)
        label_G = smooth_labels(like_GV, np.zeros(13, np.int64), 0.3)
        assert label_G.tolist() == [0] * 9 + [1] * 4

    def test_viterbi_does_not_cross_runs(self) -> None:
        like_GV = np.array([[0.6, 0.1], [0.3, 0.4]])
        assert smooth_labels(like_GV, np.array([0, 1]), 9.0).tolist() == [0, 1]

    def test_fill_nearest_within_reach(self) -> None:
        label_F = np.array([0, NOBODY, NOBODY, NOBODY, 1, NOBODY, NOBODY, NOBODY])
        speech_F = np.array([1, 1, 0, 1, 1, 1, 1, 1], np.bool_)
        assert fill_nearest(label_F, speech_F, 2).tolist() == [0, 0, NOBODY, 1, 1, 1, 1, NOBODY]

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("1" * 60 + "." * 40 + "1" * 15 + "a" * 30 + "2" * 60, 0),
            ("1" * 60 + "." * 40 + "2" * 15 + "a" * 30 + "2" * 60, 1),
            ("1" * 60 + "." * 40 + "3" * 15 + "a" * 30 + "2" * 60, NOBODY),
        ],
        ids=["who talks on", "who talks after", "a third"],
    )
    def test_scraps_before_an_overlap_are_the_windows_speakers(self, text: str, named: int) -> None:
        segmentation = said(text)
        label_F = np.array([0] * 60 + [NOBODY] * 85 + [1] * 60)
        named_F = name_scraps(segmentation, label_F, label_F, segmentation.any_F > 0.5, 18)
        assert (named_F[100:115] == named).all()
        assert (named_F[60:100] == NOBODY).all()
        assert (named_F[115:145] == NOBODY).all(), "overlap is named otherwise"
        assert (label_F[100:115] == NOBODY).all()

    @pytest.mark.parametrize("filled", [0, 9])
    def test_what_was_long_enough_for_a_glimpse_is_no_scrap(self, filled: int) -> None:
        segmentation = said("1" * 60 + "." * 40 + "1" * 19 + "." * 20)
        lone_F = np.array([0] * 60 + [NOBODY] * 79)
        label_F = lone_F.copy()
        label_F[100 : 100 + filled] = 0
        named_F = name_scraps(segmentation, label_F, lone_F, segmentation.any_F > 0.5, 18)
        assert (named_F == label_F).all()

    def test_a_scrap_keeps_the_name_of_near_speech(self) -> None:
        segmentation = said("1" * 60 + "." * 8 + "1" * 9 + "." * 20)
        lone_F = np.array([0] * 60 + [NOBODY] * 37)
        label_F = lone_F.copy()
        label_F[68:77] = 1
        named_F = name_scraps(segmentation, label_F, lone_F, segmentation.any_F > 0.5, 18)
        assert (named_F == label_F).all()

    def test_a_scrap_that_no_window_hears_stays_unnamed(self) -> None:
        segmentation = said("1" * 60 + "." * 40)
        label_F = np.array([0] * 60 + [NOBODY] * 40)
        speech_F = np.arange(100) >= 85
        assert (name_scraps(segmentation, label_F, label_F, speech_F, 18) == label_F).all()

    def test_overlap_gets_both_voices(self) -> None:
        segmentation = said("1" * 60 + "a" * 30 + "2" * 60)
        label_F = np.array([4] * 60 + [NOBODY] * 30 + [1] * 60)
        pair_F2 = name_overlaps(segmentation, label_F, 5)
        assert (np.sort(pair_F2[60:90], axis=1) == [1, 4]).all()
        assert (pair_F2[:60] == NOBODY).all()
        activity_FV = activity(segmentation, label_F, pair_F2, 5)
        assert (activity_FV.sum(1) == [1] * 60 + [2] * 30 + [1] * 60).all()

    def test_overlap_with_an_unknown_second_voice_names_one(self) -> None:
        segmentation = said("1" * 60 + "a" * 30 + "1" * 60)
        label_F = np.array([0] * 60 + [NOBODY] * 30 + [0] * 60)
        pair_F2 = name_overlaps(segmentation, label_F, 3)
        assert sorted(pair_F2[70].tolist()) == [NOBODY, 0]

    @pytest.mark.parametrize(("text", "bars"), [("2", [(0, 1)]), ("1", [])])
    def test_who_leads_out_of_an_overlap_is_another(self, text: str, bars: list[tuple[int, int]]) -> None:
        segmentation = said("1" * 60 + "a" * 30 + text * 60)
        span_P2 = np.array([[0.0, 60.0], [90.0, 150.0]])
        pieces = Pieces(np.array([0, 1]), span_P2, np.ones(2))
        assert barred_pairs(segmentation, pieces) == bars

    @pytest.mark.filterwarnings("error")  # the mean of no steps
    def test_an_overlap_that_begins_before_its_window_tells_no_handover(self) -> None:
        first, end, start = 29, 599, 50
        step_F = np.arange(start + WINDOW_F)
        segmentation = replace(
            said("a" * 200 + "1" * 50 + "a" * 299 + "2" * 40),
            any_F=np.ones(len(step_F), np.float32),
            two_F=((step_F >= first) & (step_F < end)).astype(np.float32),
            first_W=np.array([start]),
        )
        pieces = Pieces(np.array([0, 1]), np.array([[0.0, first], [end, len(step_F)]]), np.ones(2))
        assert barred_pairs(segmentation, pieces) == []

    def test_turns_by_hysteresis(self) -> None:
        activity_F = np.array(
            [0.45] * 5 + [0.0] * 9 + [0.45, 0.6, 0.45, 0.0, 0.9] + [0.0] * 9 + [0.9], np.float32
        )
        assert turns_of(activity_F, onset=0.5, offset=0.4, shortest=2, pause=1) == [(14, 19)]


class TestDiarizer:
    def test_names_three_people_who_talk_in_turn_and_at_once(self) -> None:
        wave_S = sound(
            ("", 1),
            ("A", 4),
            ("B", 3),
            ("", 0.5),
            ("C", 3),
            ("AC", 1),
            ("A", 2),
            ("", 1),
            ("C", 12),
            ("B", 2),
        )
        voices = diarizer().diarize(wave_S)
        assert voices.voices == ("V0", "V1", "V2")
        turns = [(t.voice, t.start_s, t.end_s) for t in voices.turns]
        expected = [
            ("V0", 1, 5),
            ("V1", 5, 8),
            ("V2", 8.5, 12.5),
            ("V0", 11.5, 14.5),
            ("V2", 15.5, 27.5),
            ("V1", 27.5, 29.5),
        ]
        assert [v for v, _, _ in turns] == [v for v, _, _ in expected]
        for (_, a, b), (_, x, y) in zip(turns, expected, strict=True):
            assert [a, b] == pytest.approx([x, y], abs=0.25)

    def test_a_word_too_short_for_a_glimpse_before_an_interruption_has_its_speaker(self) -> None:
        voices = diarizer().diarize(sound(("A", 3), ("", 1), ("A", 0.25), ("AC", 1), ("C", 3), ("", 3)))
        again = [t for t in voices.turns if t.voice == "V0"][1]
        assert again.start_s == pytest.approx(4, abs=0.05)
        assert again.end_s == pytest.approx(5.25, abs=0.05)

    def test_arrays_agree(self) -> None:
        wave_S = sound(("A", 3), ("", 1), ("C", 3))
        voices = diarizer().diarize(wave_S)
        steps = step_count(len(wave_S))
        assert voices.activity_FV.shape == (steps, 2)
        assert voices.speech_F.shape == (steps,)
        assert voices.embedding_VD.shape[0] == 2
        assert np.linalg.norm(voices.embedding_VD, axis=1) == pytest.approx(1)
        assert voices.activity_FV.max(1) == pytest.approx(voices.speech_F, abs=0.01)
        assert voices.model == "segmentation-ecapa"
        for turn in voices.turns:
            inside = slice(round(turn.start_s / voices.hop_s), round(turn.end_s / voices.hop_s))
            assert voices.activity_FV[inside, voices.voices.index(turn.voice)].mean() > 0.9

    @pytest.mark.parametrize(
        "wave_S", [np.zeros(0), np.zeros(1), np.zeros(4_000), np.zeros(200_000), sound(("A", 0.2))]
    )
    def test_silence_and_blips_give_no_voices(self, wave_S: Array) -> None:
        voices = diarizer().diarize(wave_S.astype(np.float32))
        assert voices.voices == ()
        assert voices.turns == ()
        assert voices.activity_FV.shape == (step_count(len(wave_S)), 0)
        assert voices.embedding_VD.shape == (0, 192)

    @pytest.mark.parametrize("seconds", [0.5, 7, 25])
    def test_people_who_talk_at_once_throughout_are_not_silence(self, seconds: float) -> None:
        voices = diarizer().diarize(sound(("AC", seconds)))
        assert voices.voices == ("V0",)
        (turn,) = voices.turns
        assert turn.start_s == 0
        assert turn.end_s == pytest.approx(seconds, abs=0.1)
        assert voices.activity_FV.max(1) == pytest.approx(voices.speech_F, abs=0.01)
        assert np.linalg.norm(voices.embedding_VD, axis=1) == pytest.approx(1)

    def test_overlap_far_from_all_lone_speech_does_not_vanish(self) -> None:
        voices = diarizer().diarize(sound(("A", 4), ("", 15), ("BC", 3)))
        turns = [(t.start_s, t.end_s) for t in voices.turns]
        assert turns == [pytest.approx((0, 4), abs=0.1), pytest.approx((19, 22), abs=0.1)]

    def test_the_greatest_number_of_voices_holds(self) -> None:
        wave_S = sound(("A", 4), ("", 1), ("B", 4), ("", 1), ("C", 4))
        assert len(diarizer().diarize(wave_S).voices) == 3
        assert len(diarizer(most=2).diarize(wave_S).voices) == 2

    def test_the_least_number_of_voices_holds(self) -> None:
        wave_S = sound(("A", 4), ("", 1), ("B", 0.5))
        assert len(diarizer().diarize(wave_S).voices) == 1
        assert len(diarizer(fewest=2).diarize(wave_S).voices) == 2

    def test_a_stray_noise_is_nobody(self) -> None:
        wave_S = sound(("A", 4), ("", 1), ("B", 0.5), ("", 1), ("A", 3))
        voices = diarizer().diarize(wave_S)
        assert voices.voices == ("V0",)
        assert all(t.end_s <= 4.1 or t.start_s >= 6.4 for t in voices.turns)
        assert voices.speech_F[round(5.25 / voices.hop_s)] > 0.9, "that somebody spoke stays known"

    def test_same_input_same_output(self) -> None:
        wave_S = sound(("A", 3), ("B", 3), ("A", 3))
        first, second = diarizer().diarize(wave_S), diarizer().diarize(wave_S)
        assert first.turns == second.turns
        assert (first.activity_FV == second.activity_FV).all()

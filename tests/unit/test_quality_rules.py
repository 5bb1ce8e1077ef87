"""The curator's rules: off until set, each can be broken, and none on what nobody measures."""

from __future__ import annotations

from dataclasses import fields

import pytest

from mitds.annotators.quality.registry import PICTURE, POSE_SCORES, SCORES, WEIGHTS
from mitds.errors import UnknownName, UsageError
from mitds.pipeline.curation import _RULES, REASONS, CurationRules, broken, judged
from mitds.pipeline.report.reasons import explain
from mitds.pipeline.settings import annotate_config
from mitds.pipeline.stages.quality import QualityConfig
from mitds.weights.catalog import catalog
from tests import factories

RULES = [field.name for field in fields(CurationRules)]
ALL = {name: 0.5 for names in (*SCORES.values(), POSE_SCORES) for name in names}


def test_every_rule_has_its_reason_and_bounds_a_score_that_is_measured():
    assert list(_RULES) == RULES
    assert len(REASONS) == len(RULES)
    for rule in RULES:
        assert rule.partition("_")[0] in ("min", "max")
        assert rule.partition("_")[2] in ALL


def test_no_rule_holds_until_it_is_set():
    assert broken(ALL, CurationRules()) == ()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_can_be_broken_and_kept(rule: str):
    beyond, within = (0.4, 0.6) if rule.startswith("max") else (0.6, 0.4)
    code = _RULES[rule][0]
    assert broken(ALL, CurationRules(**{rule: beyond})) == (code,)
    assert broken(ALL, CurationRules(**{rule: within})) == ()
    assert broken(ALL, CurationRules(**{rule: 0.5})) == ()
    assert broken({}, CurationRules(**{rule: beyond})) == ()
    assert explain(code).what == REASONS[code]


def test_a_clip_that_breaks_a_rule_is_filtered_and_keeps_its_earlier_reasons():
    clip = factories.clip(1)
    rules = CurationRules(max_text_area=0.1, min_contrast=0.2)
    kept = judged(clip, {"text_area": 0.05, "contrast": 0.5}, rules)
    assert (kept.status, kept.reasons) == ("kept", ())
    assert kept.scores == {**clip.scores, "text_area": 0.05, "contrast": 0.5}
    filtered = judged(kept, {"text_area": 0.5, "contrast": 0.1}, rules)
    assert (filtered.status, filtered.reasons) == ("filtered", ("low_contrast", "much_text"))
    again = judged(filtered, {}, rules)
    assert (again.status, again.reasons) == (filtered.status, filtered.reasons)


def test_a_limit_on_what_is_not_measured_is_refused():
    with pytest.raises(UsageError, match=r"text_area.*no chosen measure"):
        annotate_config(
            "embedded", settings=["curation.max_text_area=0.1", 'quality.measures=["camera", "blur"]']
        )
    chosen = annotate_config("embedded", settings=["curation.max_hand_on_face=0.1", "quality.measures=[]"])
    assert chosen.curation.max_hand_on_face == 0.1


def test_weights_follow_the_measures():
    without = annotate_config("embedded", settings=["quality.measures=[]"])
    assert not set(without.weights()) & {w for weights in WEIGHTS.values() for w in weights}
    assert set(QualityConfig().weights()) <= set(annotate_config("embedded").weights()) <= set(catalog())


def test_unknown_measures_are_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean blur"):
        QualityConfig(measures=("blurr",))
    assert set(PICTURE.names()) <= set(SCORES)

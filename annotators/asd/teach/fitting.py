"""Takes to weights: training, validation by person, and the map from score to probability."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mitds.annotators.asd.lip_net_model import MOVING, LipNetwork, Panel, Said
from mitds.annotators.asd.rows import Calibration
from mitds.annotators.asd.teach.scenes import Example, Scenes
from mitds.annotators.asd.teach.takes import Take
from mitds.config import require
from mitds.errors import UsageError
from mitds.manifests.records import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How lip-net is taught.

    Attributes:
        members: Networks of the panel.
        steps: Batches that each of them sees.
        batch: Examples in a batch.
        frames: Length of an example; a second or more.
        rate: Highest learning rate of a cycle that rises for a tenth of the steps and falls as a cosine.
        decay: Weight decay.
        drop: Probability with which a channel is left out in training.
        average: Share of the old weights in the running average that is kept.
        lips: Weight of the auxiliary question whether the lips speak.
        sound: Weight of the auxiliary question whether speech is heard.
        folds: 2 or more; into how many groups of clips the takes fall; each is judged by a network that never saw it.
        judged: Examples a fold is judged on.
        seed: Of everything random.
    """

    members: int = 3
    steps: int = 1000
    batch: int = 24
    frames: int = 120
    rate: float = 2e-3
    decay: float = 0.02
    drop: float = 0.2
    average: float = 0.995
    lips: float = 0.3
    sound: float = 0.2
    folds: int = 2
    judged: int = 600
    seed: int = 5

    def __post_init__(self) -> None:
        """Refuse settings with which nothing could be taught or judged."""
        least = {"members": 1, "steps": 1, "batch": 1, "frames": 25, "folds": 2, "judged": 1, "seed": 0}
        for name, low in least.items():
            require(getattr(self, name) >= low, name, getattr(self, name), f"{low} or more")
        require(self.rate > 0, "rate", self.rate, "above 0")
        for name in ("decay", "lips", "sound"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("drop", "average"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 to below 1")


Report = Callable[[int, float], None]


def fit(takes: Sequence[Take], config: FitConfig, report: Report) -> Panel:
    """Teach a panel; the same takes and seed give the same weights on one machine.

    Args:
        takes: The footage.
        config: How.
        report: Told the step and the loss, now and then.
    """
    return Panel([_member(takes, config, n, report) for n in range(config.members)]).eval()


def _member(takes: Sequence[Take], config: FitConfig, number: int, report: Report) -> LipNetwork:
    torch.manual_seed(config.seed + number)
    random = np.random.default_rng([config.seed, number])
    scenes, network = Scenes(takes, config.frames), LipNetwork(drop=config.drop)
    network.scale_C.copy_(torch.from_numpy(spread(takes)))
    kept = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.decay)
    plan = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / config.steps))
    for step in range(config.steps):
        examples = [scenes.draw(random) for _ in range(config.batch)]
        loss = _loss(network(*_asked(examples)), examples, config)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        plan.step()
        _follow(kept, network, config.average)
        if step % 50 == 49 or step + 1 == config.steps:
            report(number * config.steps + step + 1, float(loss.detach()))
    return kept


@torch.no_grad()
def _follow(kept: LipNetwork, network: LipNetwork, share: float) -> None:
    """Move the running average of the weights towards the newest ones."""
    for old, new in zip(kept.parameters(), network.parameters(), strict=True):
        old.lerp_(new, 1 - share)


def spread(takes: Sequence[Take]) -> Array:
    """Return how far each value of a face moves about its median in a take that speaks, scale_C."""
    moved = [
        take.lip_TC[:, :MOVING] - np.median(take.lip_TC[:, :MOVING], axis=0) for take in takes if take.voiced
    ]
    return np.asarray(np.sqrt(np.mean([(m**2).mean(axis=0) for m in moved], axis=0)) + 1e-4, np.float32)


def _rate(done: float) -> float:
    return done / 0.1 if done < 0.1 else 0.5 * (1 + math.cos(math.pi * min(1.0, (done - 0.1) / 0.9))) + 0.005


def _asked(examples: Sequence[Example]) -> tuple[Tensor, ...]:
    return tuple(
        torch.from_numpy(np.stack([getattr(example, name) for example in examples]))
        for name in ("lip_TC", "mel_FM", "speech_T")
    )


def _loss(said: Said, examples: Sequence[Example], config: FitConfig) -> Tensor:
    speaks_BT, lips_BT, heard_BT = (
        torch.from_numpy(np.stack([getattr(example, name) for example in examples]).astype(np.float32))
        for name in ("speaks_T", "lips_T", "speech_T")
    )
    return (
        _known(said.speaks_BT, speaks_BT)
        + config.lips * _known(said.lips_BT, lips_BT)
        + config.sound * _known(said.sound_BT, heard_BT)
    )


def _known(logit_BT: Tensor, truth_BT: Tensor) -> Tensor:
    known_BT = torch.isfinite(truth_BT)
    return binary_cross_entropy_with_logits(logit_BT[known_BT], truth_BT[known_BT])


def judged(panel: Panel, takes: Sequence[Take], config: FitConfig) -> tuple[Array, Array]:
    """Return scores and truth of frames drawn from takes as life shows them, logit_N and speaks_N."""
    random = np.random.default_rng(config.seed + 1)
    scenes = Scenes(takes, config.frames, natural=True)
    logits, truths = [], []
    for _ in range(-(-config.judged // config.batch)):
        examples = [scenes.draw(random) for _ in range(config.batch)]
        with torch.no_grad():
            logits.append(panel(*_asked(examples)).numpy().ravel())
        truths.append(np.concatenate([example.speaks_T for example in examples]))
    logit_N, truth_N = np.concatenate(logits), np.concatenate(truths)
    known_N = np.isfinite(truth_N)
    return logit_N[known_N], truth_N[known_N]


def folds(takes: Sequence[Take], config: FitConfig) -> list[list[Take]]:
    """Deal clips into groups that can be judged; a clip is never split.

    Clips of one speaker's voice are dealt first, as many to each group; then the others of exact labels, then
    those in company, so that the groups are of about equal length. All are dealt longest first.

    Raises:
        UsageError: A group would hold fewer than two speakers' voices, so that none is foreign to another.
    """
    length = {take.clip: 0 for take in takes}
    for take in takes:
        length[take.clip] += take.frames
    exact = {take.clip for take in takes if take.exact}
    voices = {take.clip for take in takes if take.exact and take.voiced and take.frames >= config.frames // 2}
    if len(voices) < 2 * config.folds:
        raise UsageError(
            f"{len(voices)} clips hold one speaker's voice, and {config.folds} folds need {2 * config.folds}",
            remedy=f"Add {2 * config.folds - len(voices)} or more clips of other people, one who speaks in each, "
            f"with their face in view for {config.frames // 2} frames on end: --also DIR.",
        )
    groups: list[set[str]] = [set() for _ in range(config.folds)]

    def frames(group: set[str]) -> int:
        return sum(length[clip] for clip in group)

    for clip in sorted(length, key=lambda clip: (clip not in voices, clip not in exact, -length[clip], clip)):
        if clip in voices:
            min(groups, key=lambda group: (len(group), frames(group))).add(clip)
        else:
            min(groups, key=frames).add(clip)
    return [[take for take in takes if take.clip in group] for group in groups]


def calibrated(logit_N: Array, truth_N: Array) -> Calibration:
    """Fit Platt's map on soft truth."""

    def loss(parameters: Array) -> float:
        said_N = parameters[0] * logit_N + parameters[1]
        return float(np.mean(np.logaddexp(0, said_N) - truth_N * said_N))

    scale, offset = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return Calibration(scale=round(float(scale), 3), offset=round(float(offset), 3))


def average_precision(logit_N: Array, truth_N: Array) -> float:
    """Return average precision, of truth above one half."""
    order_N = np.argsort(-logit_N, kind="stable")
    right_N = truth_N[order_N] > 0.5
    precision_N = np.cumsum(right_N) / np.arange(1, len(right_N) + 1)
    return float(precision_N[right_N].mean()) if right_N.any() else float("nan")


def calibration_error(log_odds_N: Array, truth_N: Array, bins: int = 10) -> float:
    """Return the expected calibration error of calibrated log odds over equal bins of probability."""
    said_N = expit(log_odds_N)
    bin_N = np.minimum((said_N * bins).astype(int), bins - 1)
    gaps = [abs(said_N[bin_N == b].sum() - truth_N[bin_N == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(said_N))

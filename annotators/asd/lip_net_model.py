"""lip-net: a small temporal network that hears and sees whether these lips utter this sound.

Lips and sound are each embedded by dilated convolutions over time. Their local correlation, over about a second
and at lags up to a fifth of one, says whether they move together; a second stack of convolutions weighs that
against how the lips move and whether anybody is heard. Landmarks carry no identity and little noise, so
about 200 000 parameters are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from mitds.annotators.asd.lip_net_features import CELLS, MELS, POSE, SHAPE, STEPS
from mitds.errors import MissingWeights
from mitds.store import atomic_path

WIDTH = 64
HEADS = 4
"""Groups of channels whose correlation is measured apart."""
LAGS = 5
"""Frames by which the sound is moved, both ways."""
WINDOWS = (13, 37)
"""Lengths of the triangular windows of the correlation, frames."""
MOVING = SHAPE + CELLS


class Said(NamedTuple):
    """What lip-net says of each frame, log odds; the latter two are asked in training alone.

    Attributes:
        speaks_BT: That this face utters what is heard.
        lips_BT: That the lips speak, by sight alone.
        sound_BT: That somebody is heard, by ear alone.
    """

    speaks_BT: Tensor
    lips_BT: Tensor
    sound_BT: Tensor


class Block(nn.Module):
    """A residual convolution over time; every frame is normalised over its own channels.

    Args:
        width: Channels.
        dilation: Frames between the taps of the kernel, which has five.
        drop: Probability with which a channel is left out in training.
    """

    def __init__(self, width: int, dilation: int, drop: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, groups=4)
        self.mix = nn.Conv1d(width, width, 1)
        self.drop = nn.Dropout1d(drop)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Return the same shape."""
        y_BCT = self.norm(x_BCT.transpose(1, 2)).transpose(1, 2)
        out_BCT: Tensor = x_BCT + self.drop(self.mix(gelu(self.wide(y_BCT))))
        return out_BCT


class LipNetwork(nn.Module):
    """One network. `scale_C` is how far each value of a face moves in speech; it is measured, not learnt.

    Args:
        width: Channels of all stacks.
        drop: Dropout of channels in training.
    """

    def __init__(self, width: int = WIDTH, drop: float = 0.1) -> None:
        super().__init__()
        self.scale_C: Tensor
        self.register_buffer("scale_C", torch.ones(MOVING))
        self.see_in = nn.Conv1d(2 * MOVING + POSE, width, 5, padding=2)
        self.see = nn.Sequential(*(Block(width, dilation, drop) for dilation in (1, 2, 4)))
        self.hear_in = nn.Conv1d(MELS * STEPS, width, 3, padding=1)
        self.hear = nn.Sequential(*(Block(width, dilation, drop) for dilation in (1, 2, 4)))
        self.see_key, self.hear_key = nn.Conv1d(width, width, 1), nn.Conv1d(width, width, 1)
        ties = len(WINDOWS) * HEADS * (2 * LAGS + 1)
        self.join_in = nn.Conv1d(2 * width + ties + 1, width, 1)
        self.join = nn.Sequential(*(Block(width, dilation, drop) for dilation in (1, 2, 4, 8)))
        self.speaks, self.lips, self.sound = (nn.Conv1d(width, 1, 1) for _ in range(3))

    def forward(self, lip_BTC: Tensor, mel_BFM: Tensor, speech_BT: Tensor) -> Said:
        """Judge B faces over T frames.

        Args:
            lip_BTC: `lip_features`, without gaps.
            mel_BFM: `log_mel` of the sound, F = 4 T.
            speech_BT: Probability that anybody speaks.
        """
        lips_BCT = self.see(self.see_in(self._moving(lip_BTC)))
        steps_BCT = mel_BFM.reshape(len(mel_BFM), -1, MELS * STEPS).transpose(1, 2)
        sound_BCT = self.hear(self.hear_in(steps_BCT))
        ties_BCT = self._ties(self.see_key(lips_BCT), self.hear_key(sound_BCT))
        speech_B1T = torch.log(speech_BT + 0.02)[:, None]
        joint_BCT = self.join(self.join_in(torch.cat([lips_BCT, sound_BCT, ties_BCT, speech_B1T], dim=1)))
        return Said(self.speaks(joint_BCT)[:, 0], self.lips(lips_BCT)[:, 0], self.sound(sound_BCT)[:, 0])

    def _moving(self, lip_BTC: Tensor) -> Tensor:
        """Take the face at rest off, add velocities, and bring all to about 1."""
        shape_BTC = lip_BTC[..., :MOVING]
        rest_B1C = shape_BTC.median(dim=1, keepdim=True).values
        shape_BCT = ((shape_BTC - rest_B1C) / self.scale_C).clamp(-5, 5).transpose(1, 2)
        near_BCT = pad(shape_BCT, (1, 1), mode="replicate")
        speed_BCT = near_BCT[..., 2:] - near_BCT[..., :-2]
        size_BT1, speed_BT1 = lip_BTC[..., MOVING + 2 : MOVING + 3], lip_BTC[..., MOVING + 3 :]
        turn_BTC = lip_BTC[..., MOVING : MOVING + 2]
        pose_BTC = torch.cat([turn_BTC, (size_BT1 - 4) / 2, (speed_BT1 * 10).clamp(max=3)], dim=-1)
        return torch.cat([shape_BCT, speed_BCT, pose_BTC.transpose(1, 2)], dim=1)

    def _ties(self, see_BCT: Tensor, hear_BCT: Tensor) -> Tensor:
        """Return the correlations of lips and sound by window, head and lag."""
        frames = see_BCT.shape[-1]
        seen_BHCT = _split(see_BCT)
        heard_BHCT = _split(pad(hear_BCT, (LAGS, LAGS), mode="replicate"))
        ties = []
        for window in WINDOWS:
            seen_BHT = _blur((seen_BHCT**2).sum(2), window)
            heard_BHT = _blur((heard_BHCT**2).sum(2), window)
            for lag in range(2 * LAGS + 1):
                both_BHT = _blur((seen_BHCT * heard_BHCT[..., lag : lag + frames]).sum(2), window)
                ties.append(both_BHT / torch.sqrt(seen_BHT * heard_BHT[..., lag : lag + frames] + 1e-3))
        return torch.cat(ties, dim=1)


def _split(x_BCT: Tensor) -> Tensor:
    """Return the channels by head, x_BHCT."""
    return x_BCT.reshape(len(x_BCT), HEADS, -1, x_BCT.shape[-1])


def _blur(x_BHT: Tensor, window: int) -> Tensor:
    """Average over a triangular window; the rims repeat."""
    half = (window + 1) // 2
    for before in ((half - 1) // 2, half - 1 - (half - 1) // 2):
        x_BHT = nn.functional.avg_pool1d(pad(x_BHT, (before, half - 1 - before), mode="replicate"), half, 1)
    return x_BHT


class Panel(nn.Module):
    """Networks taught from different seeds, whose log odds are averaged, and Platt's map of the mean.

    Args:
        members: The networks.
    """

    def __init__(self, members: Sequence[LipNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.platt_2: Tensor
        self.register_buffer("platt_2", torch.tensor([1.0, 0.0]))

    def forward(self, lip_BTC: Tensor, mel_BFM: Tensor, speech_BT: Tensor) -> Tensor:
        """Return speaks_BT, log odds; arguments as of `LipNetwork`."""
        said = [member(lip_BTC, mel_BFM, speech_BT).speaks_BT for member in self.members]
        return torch.stack(said).mean(dim=0)


def load(path: Path) -> Panel:
    """Read a panel's weights, float32, ready to judge.

    Raises:
        MissingWeights: The file is not there, or not of this network.
    """
    try:
        state = {name: value.float() for name, value in load_file(path).items()}
        count = len({name.split(".")[1] for name in state if name.startswith("members.")})
        panel = Panel([LipNetwork() for _ in range(count)])
        panel.load_state_dict(state)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise MissingWeights(
            f"no weights of lip-net: {error}",
            where=str(path),
            remedy="Teach one: mitds fit lip-net --out FILE.",
        ) from error
    return panel.eval()


def save(panel: Panel, path: Path, about: dict[str, str]) -> None:
    """Write a panel's weights as float16, with what is said about them."""
    with atomic_path(path) as scratch:
        save_file({name: value.half() for name, value in panel.state_dict().items()}, scratch, metadata=about)

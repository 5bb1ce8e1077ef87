"""The LR-ASD network: names, shapes, and an export that computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mitds.annotators.asd import lr_asd_net
from mitds.annotators.asd.lr_asd import PARTS, REACH
from mitds.annotators.runtime import onnx_session
from mitds.errors import MitdsError


@pytest.fixture(scope="module")
def net() -> lr_asd_net.LrAsdNet:
    torch.manual_seed(1)
    return lr_asd_net.LrAsdNet().eval()


def inputs_of(part: str, frames: int, side: int = 112) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(frames)
    shapes = {
        "visual": [(1, frames, side, side)],
        "audio": [(1, 4 * frames, 13)],
        "backend": [(1, frames, 128)] * 2,
    }
    scale = 255.0 if part == "visual" else 1.0
    return tuple(torch.rand(shape, generator=generator) * scale for shape in shapes[part])


def test_parameters_bear_the_names_of_the_checkpoint(net: lr_asd_net.LrAsdNet) -> None:
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["model.visualEncoder.block1.s_1.weight"] == (16, 1, 1, 5, 5)
    assert shapes["model.visualEncoder.block3.t_norm_2.running_var"] == (128,)
    assert shapes["model.audioEncoder.block2.m_2.weight"] == (64, 32, 3, 1)
    assert shapes["model.fusion.attention.weight"] == (256, 256, 1)
    assert shapes["model.detector.gru_backward.weight_hh_l0"] == (192, 64)
    assert shapes["model.detector.attention.bn.bias"] == (128,)
    assert shapes["lossAV.FC.weight"] == (2, 128)
    assert sum(value.numel() for value in net.parameters()) < 850_000


def test_a_checkpoint_that_does_not_fit_is_refused(net: lr_asd_net.LrAsdNet, tmp_path: Path) -> None:
    state = net.state_dict()
    del state["lossAV.FC.bias"]
    torch.save(state, tmp_path / "torn.model")
    with pytest.raises((RuntimeError, MitdsError), match=r"FC\.bias"):
        lr_asd_net.load(tmp_path / "torn.model")


@pytest.mark.parametrize("part", PARTS)
def test_export_computes_the_same_at_other_lengths(
    net: lr_asd_net.LrAsdNet, part: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{part}.onnx"
    lr_asd_net.export(path, net, part)
    session = onnx_session(path)
    for frames in (1, 13):
        inputs = inputs_of(part, frames)
        with torch.no_grad():
            expected = net.part(part)(*inputs).numpy()
        (got,) = session.run(None, {f"x{k}": value.numpy() for k, value in enumerate(inputs)})
        assert got.shape == expected.shape
        assert got.shape[1] == frames
        assert np.abs(got - expected).max() < 1e-5


@pytest.mark.parametrize("part", ["visual", "audio"])
def test_embeddings_depend_on_no_more_than_their_reach(net: lr_asd_net.LrAsdNet, part: str) -> None:
    (value,) = inputs_of(part, 41, side=24)
    changed = value.clone()
    step = value.shape[1] // 41
    changed[:, 20 * step : 21 * step] += 50
    with torch.no_grad():
        difference_T = (net.part(part)(changed) - net.part(part)(value)).abs().amax(dim=(0, 2)).numpy()
    touched = np.flatnonzero(difference_T > 0)
    assert touched.min() >= 20 - REACH
    assert touched.max() <= 20 + REACH
    assert difference_T[20] > 0

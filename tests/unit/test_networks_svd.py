"""ControlSVD on a small random U-Net: what it looks at, what it does not, and what each stage trains."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mitds.baselines.contracts import Batch, Keep
from mitds.baselines.networks import build_network
from mitds.baselines.networks.svd import ControlSvd
from mitds.baselines.presets import recipe
from mitds.baselines.recipe import AutoencoderConfig, PoseConfig, Recipe, TrunkConfig
from mitds.errors import UsageError

H, W, LATENTS = 32, 48, 4


def small() -> Recipe:
    return replace(
        recipe("control-svd", "tiny"),
        height=H,
        width=W,
        autoencoder=AutoencoderConfig(factor=4, latents=LATENTS),
        trunk=TrunkConfig(channels=(32, 64), attention=(False, True), layers=1, heads=4, cross_dim=16),
        pose=PoseConfig(channels=(8, 16, 16)),
    )


@pytest.fixture(scope="module")
def fresh() -> ControlSvd:
    network = build_network(small())
    assert isinstance(network, ControlSvd)
    return network


@pytest.fixture(scope="module")
def trained(fresh: ControlSvd) -> ControlSvd:
    """Every parameter moved away from its start, so that no path is closed by a zero."""
    network = copy.deepcopy(fresh)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def asked(seed: int = 0, *, samples: int = 2, persons: int = 2, frames: int = 3) -> Batch:
    b, n, t = samples, persons, frames
    return Batch(
        keys=("clip",) * b,
        reference_BCHW=drawn(seed, b, 3, H, W) * 2 - 1,
        reference_skeleton_BNCHW=drawn(seed + 1, b, n, 3, H, W),
        skeleton_BNTCHW=drawn(seed + 2, b, n, t, 3, H, W),
        region_BNHW=torch.ones(b, n, H, W),
        face_BNTHW=torch.ones(b, n, t, H, W),
        gate_BNT=drawn(seed + 3, b, n, t),
        sound_BNTCD=drawn(seed + 4, b, n, t, 5, 8),
        mix_BTCD=drawn(seed + 5, b, t, 5, 8),
        present_BN=torch.ones(b, n, dtype=torch.bool),
        inside_BHW=torch.ones(b, H, W),
        frames_BTCHW=None,
    )


def latents(seed: int, *leading: int) -> Tensor:
    return torch.randn(*leading, LATENTS, H // 4, W // 4, generator=torch.Generator().manual_seed(seed))


def keep(samples: int = 2, *, reference: bool = True, pose: bool = True) -> Keep:
    def of(kept: bool) -> Tensor:
        return torch.full((samples,), kept)

    return Keep(of(reference), of(pose), of(True))


def predicted(network: ControlSvd, batch: Batch, kept: Keep | None = None, reference: int = 7) -> Tensor:
    samples, _, frames = batch.gate_BNT.shape
    with torch.no_grad():
        given = network.prepare(batch, latents(reference, samples))
        step_B = torch.tensor([10, 700])[:samples]
        return network(latents(8, samples, frames), step_B, given, kept or keep(samples))


def test_any_number_of_frames_and_people(trained: ControlSvd) -> None:
    for persons, frames in ((1, 1), (2, 4), (3, 2)):
        velocity = predicted(trained, asked(persons=persons, frames=frames))
        assert velocity.shape == (2, frames, LATENTS, H // 4, W // 4)
        assert velocity.isfinite().all()


def test_samples_of_a_batch_do_not_mix(trained: ControlSvd) -> None:
    batch, kept = asked(), keep()
    kept.reference_B[1] = kept.pose_B[0] = False
    together = predicted(trained, batch, kept)
    given = trained.prepare(batch, latents(7, 2))
    for i in range(2):
        one = type(given)(*(getattr(given, name)[i : i + 1] for name in given.__slots__))
        keep_one = Keep(kept.reference_B[i : i + 1], kept.pose_B[i : i + 1], kept.audio_B[i : i + 1])
        with torch.no_grad():
            alone = trained(latents(8, 2, 3)[i : i + 1], torch.tensor([10, 700])[i : i + 1], one, keep_one)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_pose_control_starts_as_identity(fresh: ControlSvd) -> None:
    with_poses = predicted(fresh, asked())
    torch.testing.assert_close(with_poses, predicted(fresh, asked(), keep(pose=False)), atol=0, rtol=0)


def test_poses_count_frame_by_frame_and_can_be_dropped(trained: ControlSvd) -> None:
    batch, other = asked(), asked()
    other.skeleton_BNTCHW[:, 0, 1] = 0
    change_BT = (predicted(trained, batch) - predicted(trained, other)).abs().amax(dim=(2, 3, 4))
    assert (change_BT[:, 1] > 1e-3).all()
    unposed = keep(pose=False)
    assert torch.equal(predicted(trained, batch, unposed), predicted(trained, other, unposed))
    other.skeleton_BNTCHW[:] = 0
    torch.testing.assert_close(predicted(trained, other), predicted(trained, batch, unposed))


def test_people_are_one_picture_in_any_order(trained: ControlSvd) -> None:
    batch, swapped = asked(), asked()
    swapped.skeleton_BNTCHW = batch.skeleton_BNTCHW.flip(1)
    assert torch.equal(predicted(trained, batch), predicted(trained, swapped))
    padded = asked()
    padded.skeleton_BNTCHW = torch.cat([batch.skeleton_BNTCHW, torch.zeros(2, 1, 3, 3, H, W)], dim=1)
    assert torch.equal(predicted(trained, batch), predicted(trained, padded))


def test_a_dropped_reference_has_no_effect(trained: ControlSvd) -> None:
    batch, hidden = asked(), keep(reference=False)
    assert (predicted(trained, batch) - predicted(trained, batch, reference=9)).abs().max() > 1e-3
    assert torch.equal(predicted(trained, batch, hidden), predicted(trained, batch, hidden, reference=9))


def test_voices_have_no_path(trained: ControlSvd) -> None:
    batch, loud = asked(), asked()
    loud.sound_BNTCD, loud.mix_BTCD, loud.gate_BNT = (
        100 * x for x in (loud.sound_BNTCD, loud.mix_BTCD, loud.gate_BNT)
    )
    assert torch.equal(predicted(trained, batch), predicted(trained, loud))


def test_a_fresh_network_treats_frames_as_images(fresh: ControlSvd) -> None:
    together = predicted(fresh, asked(frames=3))
    given = fresh.prepare(asked(frames=3), latents(7, 2))
    for t in range(3):
        frame = slice(t, t + 1)
        one = replace(given, pose_BTCHW=given.pose_BTCHW[:, frame], moved_BTLHW=given.moved_BTLHW[:, frame])
        with torch.no_grad():
            alone = fresh(latents(8, 2, 3)[:, t : t + 1], torch.tensor([10, 700]), one, keep())
        torch.testing.assert_close(together[:, t : t + 1], alone, atol=1e-5, rtol=1e-4)


def test_temporal_layers_count_between_frames_and_pass_a_single_one_by(
    fresh: ControlSvd, trained: ControlSvd
) -> None:
    mixed, parts = copy.deepcopy(fresh), set(fresh.parts(2))
    with torch.no_grad():
        for (name, parameter), moved in zip(mixed.named_parameters(), trained.parameters(), strict=True):
            if name in parts:
                parameter.copy_(moved)
    one, two = asked(frames=1), asked(frames=2)
    assert torch.equal(predicted(mixed, one), predicted(fresh, one))
    assert (predicted(mixed, two) - predicted(fresh, two)).abs().max() > 1e-3


def test_a_random_network_goes_by_the_steps_of_all_baselines(fresh: ControlSvd) -> None:
    assert fresh.clock_S.tolist() == list(range(1000))


def test_stages_share_out_all_parameters(fresh: ControlSvd) -> None:
    first, second = set(fresh.parts(1)), set(fresh.parts(2))
    assert not first & second
    assert first | second == {name for name, _ in fresh.named_parameters()}
    assert {name.split(".")[0] for name in first} == {"unet", "image", "pose"}
    assert "unet.mid_block.resnets.0.time_mixer.mix_factor" in second
    assert "unet.time_embedding.linear_1.weight" in first


def test_gradients_reach_every_path(trained: ControlSvd) -> None:
    network, batch = copy.deepcopy(trained), asked()
    given = network.prepare(batch, latents(7, 2))
    network(latents(8, 2, 3), torch.tensor([10, 700]), given, keep()).square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # With one token to look at, queries and keys of cross-attention decide nothing.
    assert all("attn2.to_q" in name or "attn2.to_k" in name or ".norm2." in name for name in still), still


def test_a_copy_is_moved_by_poses_too(trained: ControlSvd) -> None:
    twin = copy.deepcopy(trained)
    assert torch.equal(predicted(twin, asked()), predicted(trained, asked()))


def test_channels_that_normalisation_cannot_divide_are_refused() -> None:
    with pytest.raises(UsageError, match=r"trunk\.channels is \(48, 64\), and must be multiples of 32"):
        ControlSvd(replace(small(), trunk=replace(small().trunk, channels=(48, 64), groups=16)))


def test_checkpointing_leaves_every_gradient_as_it_is(trained: ControlSvd) -> None:
    def gradients(network: ControlSvd) -> dict[str, Tensor]:
        given = network.prepare(asked(), latents(7, 2))
        some_B = torch.tensor([True, False])
        network(
            latents(8, 2, 3), torch.tensor([500, 600]), given, Keep(some_B, some_B, some_B)
        ).sum().backward()
        return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}

    wanted = small()
    other = build_network(replace(wanted, trunk=replace(wanted.trunk, checkpointing=True)))
    assert isinstance(other, ControlSvd)
    assert other.unet.is_gradient_checkpointing
    other.load_state_dict(trained.state_dict())
    kept, anew = gradients(copy.deepcopy(trained).train()), gradients(other.train())
    assert kept.keys() == anew.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(anew[name], gradient, rtol=1e-4, atol=1e-4)

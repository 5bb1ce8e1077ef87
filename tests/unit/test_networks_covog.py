import pytest
import torch

from mitds.baselines.contracts import Batch, Keep
from mitds.baselines.networks.covog import Covog
from mitds.baselines.networks.iad import voice_weights
from mitds.baselines.presets import DESIGNS
from mitds.baselines.recipe import (
    AudioConfig,
    AutoencoderConfig,
    DesignConfig,
    PoseConfig,
    PublishedConfig,
    Recipe,
    TrunkConfig,
)

HEIGHT, WIDTH, LATENTS, SOUND = 32, 48, 4, 6


def small_recipe(design: DesignConfig = DESIGNS["covog"], **trunk) -> Recipe:
    return Recipe(
        model="covog",
        preset="tiny",
        height=HEIGHT,
        width=WIDTH,
        design=design,
        autoencoder=AutoencoderConfig(factor=4, latents=LATENTS),
        trunk=TrunkConfig(
            channels=(16, 32), attention=(True, True), layers=1, heads=2, cross_dim=16, groups=8, motion_heads=2,
            iad_down=(0,), iad_up=(0,), **trunk,
        ),
        pose=PoseConfig(channels=(8, 8, 8)),
        audio=AudioConfig(context=1, tokens=3, token_dim=8, hidden=16),
    )  # fmt: skip


def network(design: DesignConfig = DESIGNS["covog"], *, awake: bool = True, **trunk) -> Covog:
    """A random network; awake: with the layers that start at zero set to random values."""
    torch.manual_seed(0)
    net = Covog(small_recipe(design, **trunk), SOUND)
    if awake:
        for parameter in net.parameters():
            if parameter.ndim > 1 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


def make_batch(persons: int = 2, frames: int = 3, samples: int = 1) -> Batch:
    random = torch.Generator().manual_seed(1)
    face = torch.zeros(samples, persons, frames, HEIGHT, WIDTH)
    for n in range(persons):
        left = n * WIDTH // max(persons, 1)
        face[:, n, :, 8:24, left : left + 12] = 1

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(samples, *shape, generator=random)

    return Batch(
        keys=("x",) * samples,
        reference_BCHW=rand(3, HEIGHT, WIDTH) * 2 - 1,
        reference_skeleton_BNCHW=rand(persons, 3, HEIGHT, WIDTH),
        skeleton_BNTCHW=rand(persons, frames, 3, HEIGHT, WIDTH),
        region_BNHW=torch.ones(samples, persons, HEIGHT, WIDTH),
        face_BNTHW=face,
        gate_BNT=torch.ones(samples, persons, frames),
        sound_BNTCD=rand(persons, frames, 3, SOUND),
        mix_BTCD=rand(frames, 3, SOUND),
        present_BN=torch.ones(samples, persons, dtype=torch.bool),
        inside_BHW=torch.ones(samples, HEIGHT, WIDTH),
        frames_BTCHW=None,
    )


def keep(samples: int = 1, *, reference: bool = True, pose: bool = True, audio: bool = True) -> Keep:
    return Keep(*(torch.full((samples,), flag) for flag in (reference, pose, audio)))


def latents(frames: int = 3, samples: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    noisy = torch.randn(samples, frames, LATENTS, HEIGHT // 4, WIDTH // 4, generator=random)
    return noisy, torch.randn(samples, LATENTS, HEIGHT // 4, WIDTH // 4, generator=random)


def velocity(net: Covog, batch: Batch, which: Keep | None = None) -> torch.Tensor:
    samples, _, frames = batch.gate_BNT.shape
    noisy, reference = latents(frames, samples)
    with torch.no_grad():
        given = net.prepare(batch, reference)
        return net(noisy, torch.full((samples,), 500), given, which or keep(samples))


@pytest.mark.parametrize("persons", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [1, 3])
def test_any_number_of_people_and_frames(persons, frames):
    out = velocity(network(), make_batch(persons, frames))
    assert out.shape == (1, frames, LATENTS, HEIGHT // 4, WIDTH // 4)
    assert torch.isfinite(out).all()


PERSONS = (
    "reference_skeleton_BNCHW", "skeleton_BNTCHW", "region_BNHW", "face_BNTHW", "gate_BNT", "sound_BNTCD", "present_BN",
)  # fmt: skip


def test_nobody_is_a_picture_too():
    batch = make_batch()
    for name in PERSONS:
        setattr(batch, name, getattr(batch, name)[:, :0])
    assert torch.isfinite(velocity(network(), batch)).all()


def test_voices_change_nothing_before_training():
    net = network(awake=False)
    batch = make_batch()
    torch.testing.assert_close(velocity(net, batch), velocity(net, batch, keep(audio=False)), rtol=0, atol=0)


def test_voices_change_the_picture_once_their_last_layer_is_trained():
    net, batch = network(), make_batch()
    assert (velocity(net, batch) - velocity(net, batch, keep(audio=False))).abs().max() > 1e-4


def test_the_silent_are_exactly_as_if_they_had_no_voice():
    net, batch = network(), make_batch()
    batch.gate_BNT = torch.zeros_like(batch.gate_BNT)
    torch.testing.assert_close(velocity(net, batch), velocity(net, batch, keep(audio=False)), rtol=0, atol=0)


def test_a_face_that_is_absent_hears_nothing():
    net, batch = network(), make_batch()
    batch.face_BNTHW = torch.zeros_like(batch.face_BNTHW)
    torch.testing.assert_close(velocity(net, batch), velocity(net, batch, keep(audio=False)), rtol=0, atol=0)


def test_swapping_two_voices_is_the_same_as_swapping_two_faces():
    net, batch = network(), make_batch()
    swapped, mirrored = make_batch(), make_batch()
    swapped.sound_BNTCD, swapped.gate_BNT = batch.sound_BNTCD.flip(1), batch.gate_BNT.flip(1)
    mirrored.face_BNTHW = batch.face_BNTHW.flip(1)
    assert (velocity(net, batch) - velocity(net, swapped)).abs().max() > 1e-4
    torch.testing.assert_close(velocity(net, swapped), velocity(net, mirrored), rtol=1e-4, atol=1e-5)


def test_the_order_of_people_does_not_matter():
    net, batch = network(), make_batch(3)
    turned = make_batch(3)
    for name in (
        "reference_skeleton_BNCHW",
        "skeleton_BNTCHW",
        "region_BNHW",
        "face_BNTHW",
        "gate_BNT",
        "sound_BNTCD",
    ):
        setattr(turned, name, getattr(batch, name)[:, [2, 0, 1]])
    torch.testing.assert_close(velocity(net, batch), velocity(net, turned), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("design", ["covog", "animate-anyone", "covog-without-mpe", "covog-without-iad"])
def test_people_who_are_not_there_change_nothing(design):
    net, batch = network(DESIGNS[design]), make_batch(2)
    crowded = make_batch(4)
    for name in ("reference_skeleton_BNCHW", "skeleton_BNTCHW", "face_BNTHW", "gate_BNT", "sound_BNTCD"):
        value = getattr(crowded, name)
        value[:, 2:] = 0
        value[:, :2] = getattr(batch, name)
    for name in ("reference_BCHW", "mix_BTCD"):
        setattr(crowded, name, getattr(batch, name))
    crowded.present_BN = torch.tensor([[True, True, False, False]])
    torch.testing.assert_close(velocity(net, batch), velocity(net, crowded), rtol=1e-4, atol=1e-5)


def test_published_poses_depend_on_how_many_are_not_there():
    design = DesignConfig(iad=False, published=PublishedConfig(double_count=True))
    net = network(design)
    torch.nn.init.normal_(net.pose.encoder.conv_out.bias)
    alone, crowded = make_batch(1), make_batch(3)
    crowded.skeleton_BNTCHW[:, 1:] = 0
    crowded.skeleton_BNTCHW[:, :1] = alone.skeleton_BNTCHW
    assert (net.pose(alone.skeleton_BNTCHW) - net.pose(crowded.skeleton_BNTCHW)).abs().max() > 0.1
    net.pose.double_count = False
    torch.testing.assert_close(net.pose(alone.skeleton_BNTCHW), net.pose(crowded.skeleton_BNTCHW))


@pytest.mark.parametrize("reference_input", [False, True])
def test_a_dropped_reference_has_no_effect(reference_input):
    net, batch, other = network(reference_input=reference_input), make_batch(), make_batch()
    other.reference_BCHW = -batch.reference_BCHW
    noisy, seen = latents()
    dropped = keep(reference=False)
    with torch.no_grad():
        step = torch.full((1,), 500)
        first = net(noisy, step, net.prepare(batch, seen), dropped)
        torch.testing.assert_close(
            first, net(noisy, step, net.prepare(other, -seen), dropped), rtol=0, atol=0
        )
        shown = net(noisy, step, net.prepare(batch, seen), keep())
        assert (shown - net(noisy, step, net.prepare(other, -seen), keep())).abs().max() > 1e-3
        assert (shown - first).abs().max() > 1e-3


def test_published_guidance_shows_the_reference_to_both_branches():
    net = network(DesignConfig(published=PublishedConfig(reference_in_both=True)))
    batch, (noisy, seen), step = make_batch(), latents(), torch.full((1,), 500)
    with torch.no_grad():
        first = net(noisy, step, net.prepare(batch, seen), keep(reference=False))
        second = net(noisy, step, net.prepare(batch, -seen), keep(reference=False))
    assert (first - second).abs().max() > 1e-4


def test_dropped_poses_have_no_effect():
    net, batch, other = network(), make_batch(), make_batch()
    other.skeleton_BNTCHW, other.reference_skeleton_BNCHW = (
        1 - batch.skeleton_BNTCHW,
        1 - batch.reference_skeleton_BNCHW,
    )
    dropped = keep(pose=False)
    torch.testing.assert_close(velocity(net, batch, dropped), velocity(net, other, dropped), rtol=0, atol=0)
    assert (velocity(net, batch) - velocity(net, other)).abs().max() > 1e-4


def test_each_sample_of_a_batch_drops_for_itself():
    net, batch = network(), make_batch(samples=2)
    for name in Batch.__slots__[1:-2]:
        value = getattr(batch, name)
        setattr(batch, name, value[:1].repeat(2, *[1] * (value.ndim - 1)))
    noisy, seen = latents()
    mixed = Keep(torch.tensor([True, False]), torch.tensor([False, True]), torch.tensor([True, False]))
    with torch.no_grad():
        given = net.prepare(batch, seen.repeat(2, 1, 1, 1))
        out = net(noisy.repeat(2, 1, 1, 1, 1), torch.full((2,), 500), given, mixed)
    one = make_batch(samples=2)
    for name in Batch.__slots__[1:-2]:
        setattr(one, name, getattr(batch, name)[:1])
    one.keys = ("x",)
    torch.testing.assert_close(out[:1], velocity(net, one, keep(pose=False)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        out[1:], velocity(net, one, keep(reference=False, audio=False)), rtol=1e-4, atol=1e-5
    )


def test_a_gradient_reaches_poses_voices_and_the_reference():
    net, batch = network(), make_batch()
    for tensor in (batch.skeleton_BNTCHW, batch.sound_BNTCD, batch.reference_skeleton_BNCHW):
        tensor.requires_grad_()
    noisy, seen = latents()
    seen.requires_grad_()
    net(noisy, torch.full((1,), 500), net.prepare(batch, seen), keep()).square().mean().backward()
    for tensor in (batch.skeleton_BNTCHW, batch.sound_BNTCD, batch.reference_skeleton_BNCHW, seen):
        assert tensor.grad is not None
        assert tensor.grad.abs().max() > 0
    for name in ("audio.layers.0.weight", "voices.down_0.proj_out.weight", "pose.encoder.conv_in.weight"):
        assert net.get_parameter(name).grad.abs().max() > 0


def test_from_the_start_a_gradient_reaches_the_layers_that_begin_at_zero():
    net = network(awake=False)
    noisy, seen = latents()
    net(noisy, torch.full((1,), 500), net.prepare(make_batch(), seen), keep()).square().mean().backward()
    for name in ("voices.down_0.proj_out.weight", "pose.encoder.conv_out.weight"):
        assert net.get_parameter(name).grad.abs().max() > 0


@pytest.mark.parametrize("design", ["animate-anyone", "covog-without-iad", "covog-published"])
def test_models_without_voices_do_not_hear(design):
    net, batch, other = network(DESIGNS[design]), make_batch(), make_batch()
    other.sound_BNTCD = -batch.sound_BNTCD
    other.gate_BNT = 0 * batch.gate_BNT
    torch.testing.assert_close(velocity(net, batch), velocity(net, other), rtol=0, atol=0)
    assert not [name for name, _ in net.named_parameters() if name.startswith(("audio", "voices"))]


def test_the_rival_is_the_same_trunk():
    ours = {name: p.shape for name, p in network().named_parameters()}
    rival = {name: p.shape for name, p in network(DESIGNS["animate-anyone"]).named_parameters()}
    assert {name: s for name, s in ours.items() if not name.startswith(("audio", "voices"))} == rival


def test_the_stages_share_out_all_parameters():
    net = network()
    first, second = net.parts(1), net.parts(2)
    assert sorted(first + second) == sorted(name for name, _ in net.named_parameters())
    assert all("motion_modules" in name or name.startswith(("audio.", "voices.")) for name in second)


def test_single_pictures_skip_the_motion_modules():
    net, batch = network(), make_batch(frames=1)
    before = velocity(net, batch)
    for name, parameter in net.named_parameters():
        if "motion_modules" in name:
            torch.nn.init.normal_(parameter)
    torch.testing.assert_close(before, velocity(net, batch), rtol=0, atol=0)
    assert (
        velocity(net, make_batch(frames=3)) - velocity(network(), make_batch(frames=3))
    ).abs().max() > 1e-3


def test_what_was_seen_is_kept_between_steps_and_changes_nothing():
    net, batch, (noisy, seen) = network(), make_batch(), latents()
    with torch.no_grad():
        given = net.prepare(batch, seen)
        first = net(noisy, torch.tensor([900]), given, keep())
        assert len(given.seen) == 1
        net(noisy, torch.tensor([100]), given, keep())
        torch.testing.assert_close(first, net(noisy, torch.tensor([900]), given, keep()), rtol=0, atol=0)


def test_overlapping_faces_share_a_cell():
    batch = make_batch()
    batch.face_BNTHW = torch.ones_like(batch.face_BNTHW)
    weights = voice_weights(batch.face_BNTHW, batch.gate_BNT, (8, 12))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones_like(weights[:, 0]))


@pytest.mark.parametrize("frames", [1, 3])
def test_checkpointing_leaves_every_gradient_as_it_is(frames):
    def gradients(checkpointing: bool) -> tuple[dict[str, torch.Tensor], bool]:
        net = network(checkpointing=checkpointing).train()
        noisy, reference = latents(frames, 2)
        given = net.prepare(make_batch(2, frames, 2), reference)
        some = torch.tensor([True, False])
        net(noisy, torch.tensor([500, 600]), given, Keep(some, some, ~some)).square().mean().backward()
        found = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
        return found, any(getattr(module, "gradient_checkpointing", False) for module in net.modules())

    (kept, off), (anew, on) = gradients(False), gradients(True)
    assert (off, on) == (False, True)
    assert kept.keys() == anew.keys()
    assert any(name.startswith("reference.") and grad.any() for name, grad in anew.items())
    for name, gradient in kept.items():
        torch.testing.assert_close(anew[name], gradient, rtol=1e-5, atol=1e-7)


def test_a_moved_reference_counts_as_long_as_reference_and_poses_are_kept():
    net, batch, (noisy, seen), step = (
        network(reference_input=True),
        make_batch(),
        latents(),
        torch.full((1,), 500),
    )
    moved = seen[:, None].repeat(1, 3, 1, 1, 1) + 1
    with torch.no_grad():
        still, given = net.prepare(batch, seen), net.prepare(batch, seen, moved)
        for dropped, differs in ((keep(), True), (keep(pose=False), False), (keep(reference=False), False)):
            apart = (net(noisy, step, still, dropped) - net(noisy, step, given, dropped)).abs().max()
            assert (apart > 1e-3) == differs

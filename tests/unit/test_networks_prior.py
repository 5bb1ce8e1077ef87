import pytest
import torch

from mitds.baselines.diffusion import Diffusion
from mitds.baselines.networks.prior import ReferencePrior
from mitds.baselines.recipe import DiffusionConfig

SHAPE = (4000, 1, 1, 2, 2)
KNOWN = torch.ones(SHAPE[0], dtype=torch.bool)


def draw(spread: float, step: int) -> tuple[torch.Tensor, ...]:
    """Frames that scatter about a reference, their noisy versions and true velocities."""
    random = torch.Generator().manual_seed(0)
    reference = torch.randn(SHAPE[0], *SHAPE[2:], generator=random)
    frames = reference[:, None] + spread * torch.randn(SHAPE, generator=random)
    diffusion, noise = Diffusion(DiffusionConfig(noise_offset=0.0)), torch.randn(SHAPE, generator=random)
    step_B = torch.full((SHAPE[0],), step)
    return (
        reference,
        step_B,
        diffusion.noisy(frames, noise, step_B),
        diffusion.velocity(frames, noise, step_B),
    )


@pytest.mark.parametrize("step", [0, 300, 700, 999])
@pytest.mark.parametrize("spread", [0.2, 0.5])
def test_what_is_left_to_predict_has_unit_variance_and_no_trace_of_what_is_known(spread, step):
    reference, step_B, noisy, velocity = draw(spread, step)
    prior = ReferencePrior(spread)
    expected = prior(torch.zeros(SHAPE), noisy, step_B, reference[:, None], KNOWN)
    scale = (prior(torch.ones(SHAPE), noisy, step_B, reference[:, None], KNOWN) - expected).mean()
    left = (velocity - expected) / scale
    assert left.std() == pytest.approx(1, abs=0.03)
    for known in (noisy, reference[:, None]):
        assert torch.corrcoef(torch.stack([left.flatten(), known.flatten()]))[0, 1] == pytest.approx(
            0, abs=0.03
        )


def test_pure_noise_is_answered_by_the_reference_itself():
    reference, step_B, noisy, _ = draw(0.5, 999)
    out = ReferencePrior(0.5)(torch.zeros(SHAPE), noisy, step_B, reference[:, None], KNOWN)
    torch.testing.assert_close(out, -reference[:, None])


def test_a_dropped_reference_leaves_the_output_alone():
    reference, step_B, noisy, velocity = draw(0.5, 500)
    out = ReferencePrior(0.5)(velocity, noisy, step_B, 0 * reference[:, None], ~KNOWN)
    torch.testing.assert_close(out, velocity)


def test_no_spread_is_the_published_target():
    reference, step_B, noisy, velocity = draw(0.5, 500)
    assert ReferencePrior(0.0)(velocity, noisy, step_B, reference[:, None], KNOWN) is velocity

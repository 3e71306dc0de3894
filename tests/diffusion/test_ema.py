"""The running average against its closed form."""

import pytest
import torch
from torch import nn

from pipeline.diffusion.ema import EmaNetwork


def network() -> nn.Module:
    """Weights, float buffers (running mean and variance) and an integer one (a count)."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).double()


def disturb(module: nn.Module, k: int) -> None:
    draw = torch.Generator().manual_seed(k)
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=draw, dtype=value.dtype))
        else:
            value.fill_(10 * k)


def decays(decay: float, warmup: bool, steps: int) -> list[float]:
    """The book's constant, or the warm-up of the recipe."""
    return [min(decay, (1 + k) / (10 + k)) if warmup else decay for k in range(1, steps + 1)]


@pytest.mark.parametrize("warmup", [False, True])
@pytest.mark.parametrize("decay", [0.999, 0.3, 0.0])
def test_after_k_steps_it_is_the_weighted_sum_of_all_that_was(decay, warmup):
    live, steps = network(), 12
    ema = EmaNetwork(live, decay, warmup)
    history = [{k: v.clone() for k, v in live.state_dict().items()}]
    for k in range(1, steps + 1):
        disturb(live, k)
        ema.update(k)
        history.append({name: v.clone() for name, v in live.state_dict().items()})
    found = decays(decay, warmup, steps)
    for name, value in ema.average.state_dict().items():
        if not value.is_floating_point():
            assert value == 10 * steps
            continue
        # Update i counts (1 - d_i) times all later decays; the start counts all of them.
        expected = torch.zeros_like(value)
        for i in range(steps + 1):
            share = 1 - found[i - 1] if i else 1.0
            for later in found[i:]:
                share *= later
            expected += share * history[i][name]
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-13)


def test_it_starts_as_a_copy_of_its_own():
    live = network()
    disturb(live, 1)
    before = {name: value.clone() for name, value in live.state_dict().items()}
    average = EmaNetwork(live, 0.999, False).average
    disturb(live, 2)
    assert list(average.state_dict()) == list(before)
    for name, value in average.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_average_of_the_same_is_the_same():
    live = network()
    disturb(live, 1)
    ema = EmaNetwork(live, 0.9, True)
    for step in range(1, 100):
        ema.update(step)
    for value, expected in zip(
        ema.average.state_dict().values(), live.state_dict().values(), strict=True
    ):
        assert torch.equal(value, expected)


def test_it_is_for_prediction_only():
    live = network()
    ema = EmaNetwork(live, 0.999, True)
    assert live.training
    assert not ema.average.training
    assert all(p.requires_grad for p in live.parameters())
    assert not any(p.requires_grad for p in ema.average.parameters())
    ema.update(1)
    assert all(p.grad_fn is None and p.is_leaf for p in ema.average.parameters())


def test_warmup_forgets_the_initial_weights_early_and_ends_at_the_decay():
    ema = EmaNetwork(network(), 0.999, warmup=True)
    assert ema.decay_at(1) == 2 / 11
    assert ema.decay_at(100) == 101 / 110
    assert ema.decay_at(8989) < 0.999 < (1 + 8991) / (10 + 8991)
    assert ema.decay_at(8991) == 0.999
    assert EmaNetwork(network(), 0.999, warmup=False).decay_at(1) == 0.999

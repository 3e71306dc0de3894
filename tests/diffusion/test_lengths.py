"""Averages of lengths that are chosen after the training, against sums over all of its steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from pipeline.diffusion.lengths import KEPT, Lengths, Profiles, averaged, exponent, shares
from pipeline.errors import InputError
from tests.diffusion.test_ema import disturb, network


def of_steps(length: float, steps: int) -> np.ndarray:
    """What share each step's weights have in the average of this length at the last step."""
    return np.diff((np.arange(steps + 1) / steps) ** (exponent(length) + 1))


@pytest.mark.parametrize("length", [0.01, 0.05, 0.1, 0.25])
def test_the_length_is_the_standard_deviation_of_the_steps(length: float) -> None:
    power = exponent(length)

    def moment(k: int) -> float:
        return float(quad(lambda t: (power + 1) * t ** (power + k), 0, 1)[0])

    assert (moment(2) - moment(1) ** 2) ** 0.5 == pytest.approx(length, rel=1e-6)


def test_the_papers_exponents() -> None:
    """Section 3.1: 16.97 and 6.94 for the lengths 0.05 and 0.10."""
    assert [round(exponent(length), 2) for length in KEPT] == [16.97, 6.94]


def test_products_are_the_integrals_of_both_shares() -> None:
    profiles = Profiles(np.array([0.25, 1.0]), np.array([16.97, 6.94]))
    found = profiles.products(profiles)
    for i in range(2):
        for j in range(2):
            (t, g), (u, h) = ((profiles.steps[k], profiles.exponents[k]) for k in (i, j))

            def both(x: float, t=t, g=g, u=u, h=h) -> float:
                return (g + 1) * x**g / t ** (g + 1) * (h + 1) * x**h / u ** (h + 1)

            assert found[i, j] == pytest.approx(quad(both, 0, min(t, u))[0], rel=1e-8)


def test_an_average_counts_each_step_by_its_power() -> None:
    live, steps = network(), 30
    lengths, history = Lengths(live), []
    for k in range(1, steps + 1):
        disturb(live, k)
        lengths.update(k)
        history.append({name: value.clone() for name, value in live.state_dict().items()})
    for length in KEPT:
        for name, value in lengths.state().items():
            if name.startswith(f"{length}.") and value.is_floating_point():
                own = name.removeprefix(f"{length}.")
                pairs = zip(of_steps(length, steps), history, strict=True)
                torch.testing.assert_close(value, sum(part * one[own] for part, one in pairs))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """The folder of 16 snapshots of 800 steps in which 2,000 weights walk about, and all steps."""
    folder = tmp_path_factory.mktemp("training")
    live = nn.Linear(2000, 1, bias=False)
    draw = torch.Generator().manual_seed(0)
    lengths, walked = Lengths(live), []
    for step in range(1, 801):
        with torch.no_grad():
            live.weight += torch.randn(live.weight.shape, generator=draw)
        lengths.update(step)
        walked.append(live.weight.detach().numpy().copy()[0])
        if step % 50 == 0:
            lengths.save(folder, step)
    return folder, np.array(walked)


@pytest.mark.parametrize("length", [0.03, 0.05, 0.07, 0.1, 0.15, 0.25])
def test_any_length_is_found_from_snapshots(training, length: float) -> None:
    folder, walked = training
    made = averaged(folder, length)["weight"].numpy()[0]
    exact = of_steps(length, len(walked)) @ walked
    another = of_steps(length / 1.2, len(walked)) @ walked
    error = np.linalg.norm(made - exact)
    assert error < 0.2 * np.linalg.norm(another - exact)
    if length in KEPT:
        assert error < 1e-5 * np.linalg.norm(exact)


def test_weights_that_never_change_are_their_average(tmp_path: Path) -> None:
    live = network().float()
    lengths = Lengths(live)
    for step in range(1, 9):
        lengths.update(step)
        lengths.save(tmp_path, step)
    for name, value in averaged(tmp_path, 0.04).items():
        torch.testing.assert_close(value, live.state_dict()[name])


def test_counts_are_those_of_the_last_step(tmp_path: Path) -> None:
    live = network()
    lengths = Lengths(live)
    for step in (1, 2, 3, 4):
        disturb(live, step)
        lengths.update(step)
        lengths.save(tmp_path, step)
    assert averaged(tmp_path, 0.07)["1.num_batches_tracked"] == 40


def test_the_shares_of_a_kept_length_are_its_own_snapshot() -> None:
    found, error = shares([100, 200, 300], KEPT[1])
    assert error < 1e-6
    np.testing.assert_allclose(found, [0, 0, 0, 0, 0, 1], atol=1e-6)


def test_a_length_that_snapshots_do_not_tell_is_refused_with_those_that_they_tell(training) -> None:
    folder, _ = training
    with pytest.raises(InputError, match=r"ema 0\.01: the 16 snapshots .* from 0\.025 to 0\.2"):
        averaged(folder, 0.01)


def test_without_snapshots_it_says_how_to_keep_some(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no snapshots.*train\.ema\.snapshot_every"):
        averaged(tmp_path, 0.1)

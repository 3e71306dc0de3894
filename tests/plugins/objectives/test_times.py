"""Where in t objectives train: what is drawn, and what that does to the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import kstest, norm

from pipeline import Rates
from pipeline.plugin.draws import Draws
from pipeline_objectives.denoising import Denoising
from pipeline_objectives.flow_matching import FlowMatching

EVERY_OBJECTIVE = pytest.mark.parametrize("make", [Denoising, FlowMatching])


class Clock:
    """A schedule that remembers the times."""

    def __init__(self) -> None:
        self.times = []

    def __call__(self, t):
        self.times.append(t)
        return Rates((1 - t).clamp(min=0.01), t.clamp(min=0.01))


def times(objective, n: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    clock, x0 = Clock(), torch.zeros(n, 1, 1, 1, dtype=dtype)
    objective.loss(lambda x, *_: x, x0, None, clock, Draws(seed, "train", range(n)))
    (t,) = clock.times
    assert t.shape == (n,)
    assert t.dtype == dtype
    assert t.min() >= 0
    assert t.max() <= 1
    return t


@EVERY_OBJECTIVE
def test_uniform_is_the_default_and_uniform(make):
    assert make() == make(times="uniform")
    assert kstest(times(make(), 3000), "uniform").pvalue > 0.01


@EVERY_OBJECTIVE
@pytest.mark.parametrize(
    ("options", "location", "scale"),
    [
        ({}, 0, 1),
        ({"times_location": -0.9, "times_scale": 0.5}, -0.9, 0.5),
        ({"times_location": 1.0}, 1, 1),
        ({"times_scale": 2.0}, 0, 2),
    ],
)
def test_logit_normal_is_the_normal_law_of_the_logit(make, options, location, scale):
    t = times(make(times="logit_normal", **options), 3000)
    assert kstest(t.logit(), norm(location, scale).cdf).pvalue > 0.01
    assert t.median().item() == pytest.approx(1 / (1 + np.exp(-location)), abs=0.03)


@EVERY_OBJECTIVE
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_stratified_has_one_time_in_each_part_and_row_i_the_ith(make, dtype, n):
    t = times(make(times="stratified"), n, dtype=dtype)
    assert (t * n).floor().tolist() == list(range(n))


@EVERY_OBJECTIVE
def test_stratified_times_of_a_part_are_those_of_the_whole_batch(make):
    """As in several processes, in the second batch of a step."""
    clock, batch = Clock(), range(7, 14)
    for rows in (batch, batch[:3], batch[3:]):
        draws = Draws(0, "train", rows, 5, batch)
        x0 = torch.zeros(len(rows), 1, 1, 1)
        make(times="stratified").loss(lambda x, *_: x, x0, None, clock, draws)
    whole, *parts = clock.times
    assert torch.equal(torch.cat(parts), whole)


@EVERY_OBJECTIVE
def test_stratified_is_uniform_within_its_parts_and_over_all(make):
    found = torch.stack([times(make(times="stratified"), 8, seed) for seed in range(400)])
    assert kstest(found.flatten(), "uniform").pvalue > 0.01
    assert kstest((found * 8 % 1).flatten(), "uniform").pvalue > 0.01
    assert np.abs(np.corrcoef(found.T.numpy()) - np.eye(8)).max() < 0.2  # 4 / sqrt(400)


@EVERY_OBJECTIVE
@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_stratified_has_the_same_mean_loss_with_less_noise(make, loss):
    """The network says nothing, so that the error of an image depends on t, by its eps too."""

    def network(x, rates, label=None):
        return (3 * rates.noise**2)[:, None, None, None] * torch.ones_like(x)

    def found(times: str) -> np.ndarray:
        objective, x0 = make(times=times, loss=loss), torch.zeros(16, 1, 8, 8).double()
        draws = (Draws(seed, "train", range(16)) for seed in range(300))
        return np.array([objective.loss(network, x0, None, Clock(), d)["loss"] for d in draws])

    uniform, stratified = found("uniform"), found("stratified")
    assert stratified.var() < 0.2 * uniform.var()
    error = (uniform.var() + stratified.var()) ** 0.5 / 300**0.5
    assert abs(uniform.mean() - stratified.mean()) < 3 * error


@EVERY_OBJECTIVE
@pytest.mark.parametrize("times", ["uniform", "stratified"])
@pytest.mark.parametrize("option", ["times_location", "times_scale"])
def test_options_that_nothing_reads_are_refused(make, times, option):
    with pytest.raises(ValidationError, match=f"{option} is not an option of times {times}"):
        make(times=times, **{option: 1.0})


@EVERY_OBJECTIVE
@pytest.mark.parametrize(
    "options", [{"times_scale": 0.0}, {"times_location": 11.0}, {"times_scale": 11.0}]
)
def test_spreads_that_make_no_times_are_refused(make, options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        make(times="logit_normal", **options)
    with pytest.raises(ValidationError, match="times"):
        make(times="cosine")

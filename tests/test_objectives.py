"""The denoising objective against its definition: every prediction, loss and kind of schedule."""

import math

import numpy as np
import pytest
import torch
from analytic import exploding, flow
from pydantic import ValidationError
from scipy.stats import kstest

from pipeline import Rates
from pipeline.draws import Draws
from pipeline_objectives.denoising import Denoising
from pipeline_schedules.cosine import Cosine

SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
EVERY_PREDICTION = pytest.mark.parametrize("prediction", ["eps", "x0", "v"])


def images(n: int = 6, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 4, 5, generator=draw, dtype=torch.float64)


def draws(rows: int = 6) -> Draws:
    return Draws(0, "train", range(rows))


class Knowing:
    """A network that knows x0, and so tells eps from what it is given; remembers what that was."""

    def __init__(self, x0: torch.Tensor, prediction: str) -> None:
        self.x0, self.prediction = x0, prediction

    def __call__(self, x, rates, label=None):
        self.x, self.rates, self.label = x, rates, label
        a, b = (rate[:, None, None, None] for rate in rates)
        self.eps = (x - a * self.x0) / b
        return {"eps": self.eps, "x0": self.x0, "v": a * self.eps - b * self.x0}[self.prediction]


class Blind(Knowing):
    """Answers the same whatever it sees, as a network whose output is wrong in a known way."""

    def __call__(self, x, rates, label=None):
        super().__call__(x, rates, label)
        return images(len(x), seed=9)


@EVERY_SCHEDULE
@EVERY_PREDICTION
def test_a_perfect_network_gives_x0_and_eps_of_the_unscaled_x(schedule, prediction):
    x0, eps = images(), images(seed=1)
    for t in (0.0, 0.3, 1.0):
        rates = Rates(*(rate.item() for rate in schedule(torch.tensor(t, dtype=torch.float64))))
        x = rates.signal * x0 + rates.noise * eps
        found = Denoising(prediction=prediction).predict(Knowing(x0, prediction), x, rates, None)
        torch.testing.assert_close(found.x0, x0, rtol=0, atol=1e-10)
        torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-10)


@EVERY_SCHEDULE
@EVERY_PREDICTION
def test_what_is_predicted_adds_up_to_x_whatever_the_network_says(schedule, prediction):
    x, t = images(), torch.linspace(0, 1, 6, dtype=torch.float64)
    rates, network = schedule(t), Blind(images(), "x0")
    found = Denoising(prediction=prediction).predict(network, x, rates, None)
    a, b = (rate[:, None, None, None] for rate in rates)
    torch.testing.assert_close(a * found.x0 + b * found.eps, x, rtol=0, atol=1e-11)


@EVERY_SCHEDULE
def test_the_network_sees_x_of_unit_scale_and_scaled_rates(schedule):
    x, t = images(), torch.linspace(0, 1, 6, dtype=torch.float64)
    network, label = Knowing(images(), "eps"), torch.arange(6)
    rates = schedule(t)
    signal, noise = (rate.numpy() for rate in rates)
    c = np.hypot(signal, noise)
    Denoising().predict(network, x, rates, label)
    np.testing.assert_allclose(network.x, x.numpy() / c[:, None, None, None], rtol=1e-14)
    np.testing.assert_allclose(network.rates.signal, signal / c, rtol=1e-14)
    np.testing.assert_allclose(network.rates.noise, noise / c, rtol=1e-14)
    assert network.label is label
    Denoising().predict(network, x, Rates(float(signal[2]), float(noise[2])), None)
    assert network.rates.noise.shape == (6,)
    np.testing.assert_allclose(network.rates.noise, noise[[2] * 6] / c[2], rtol=1e-14)


@EVERY_SCHEDULE
@EVERY_PREDICTION
@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_a_perfect_network_has_no_loss(schedule, prediction, loss):
    x0 = images()
    objective = Denoising(prediction=prediction, loss=loss)
    found = objective.loss(Knowing(x0, prediction), x0, None, schedule, draws())
    assert set(found) == {"loss", "noise_loss", "image_loss"}
    for value in found.values():
        assert value.shape == ()
        assert value.item() < 1e-10


@EVERY_SCHEDULE
@EVERY_PREDICTION
@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_losses_are_means_of_the_distance_to_each_target(schedule, prediction, loss):
    x0, network = images(), Blind(images(), prediction)
    objective = Denoising(prediction=prediction, loss=loss)
    found = objective.loss(network, x0, None, schedule, draws())
    x, out, clean = network.x.numpy(), images(seed=9).numpy(), x0.numpy()
    a, b = (rate.numpy()[:, None, None, None] for rate in network.rates)
    eps = network.eps.numpy()
    targets = {"eps": eps, "x0": clean, "v": a * eps - b * clean}
    said = {
        "eps": (out, (x - b * out) / a),
        "x0": ((x - a * out) / b, out),
        "v": (b * x + a * out, a * x - b * out),
    }[prediction]
    distance = {"mae": np.abs, "mse": np.square}[loss]
    assert found["loss"].item() == pytest.approx(distance(out - targets[prediction]).mean())
    assert found["noise_loss"].item() == pytest.approx(distance(said[0] - eps).mean())
    assert found["image_loss"].item() == pytest.approx(distance(said[1] - clean).mean())


@EVERY_PREDICTION
def test_only_the_loss_is_differentiated(prediction):
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    objective = Denoising(prediction=prediction)
    found = objective.loss(lambda x, *_: weight * x, images(), None, Cosine(), draws())
    assert [name for name, value in found.items() if value.requires_grad] == ["loss"]
    found["loss"].backward()
    assert torch.isfinite(weight.grad)
    assert weight.grad != 0


def test_time_is_uniform_and_noise_is_normal_and_neither_repeats():
    x0 = torch.zeros(1500, 1, 1, 4, dtype=torch.float64)
    network = Knowing(x0, "eps")
    Denoising().loss(network, x0, None, Cosine(), draws(1500))
    start, end = math.acos(0.95), math.acos(0.02)
    t = (torch.atan2(network.rates.noise, network.rates.signal) - start) / (end - start)
    assert kstest(t, "uniform").pvalue > 0.01
    assert kstest(network.eps.flatten(), "norm").pvalue > 0.01
    assert len(t.unique()) == 1500
    assert len(network.eps.unique()) == 6000


def test_the_book_predicts_noise_and_takes_the_absolute_error():
    assert Denoising() == Denoising(prediction="eps", loss="mae")
    for wrong in ({"prediction": "score"}, {"loss": "huber"}, {"los": "mae"}):
        with pytest.raises(ValidationError):
            Denoising(**wrong)

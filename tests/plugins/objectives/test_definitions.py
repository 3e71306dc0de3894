"""Objectives against their definitions: every prediction, loss and kind of schedule.

u stands for flow_matching, which predicts it; eps, x0 and v for denoising.
"""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import kstest

from pipeline import InputError, Rates
from pipeline.plugin.draws import Draws
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_objectives.denoising import Denoising
from pipeline_objectives.flow_matching import FlowMatching
from pipeline_schedules.cosine import Cosine
from pipeline_schedules.cosine_nichol import CosineNichol
from pipeline_schedules.flow import Flow
from pipeline_schedules.karras import Karras
from tests.helpers.analytic import exploding, flow

SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
REGISTRY = Registry.load()
CASES = [
    pytest.param({"name": entry.name, **options}, id=f"{entry.name}-{options}")
    for entry in REGISTRY.entries("objective")
    for options in ({}, *getattr(entry.load(), "examples", ()))
]
EVERY_PREDICTION = pytest.mark.parametrize("prediction", ["eps", "x0", "v", "u"])


def predicting(prediction: str, **options) -> Denoising | FlowMatching:
    """The objective whose network predicts this."""
    if prediction == "u":
        return FlowMatching(**options)
    return Denoising(prediction=prediction, **options)


def images(n: int = 6, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 4, 5, generator=draw, dtype=torch.float64)


def draws(rows: int = 6) -> Draws:
    return Draws(0, "train", range(rows))


def meanings(x0, eps, signal, noise):
    """What an output may be, by its name; rates scaled."""
    return {"eps": eps, "x0": x0, "v": signal * eps - noise * x0, "u": eps - x0}


class Knowing:
    """A network that knows x0, and so tells eps from what it is given; remembers what that was."""

    def __init__(self, x0: torch.Tensor, prediction: str) -> None:
        self.x0, self.prediction = x0, prediction

    def __call__(self, x, rates, label=None):
        self.x, self.rates, self.label = x, rates, label
        a, b = (rate[:, None, None, None] for rate in rates)
        self.eps = (x - a * self.x0) / b
        return meanings(self.x0, self.eps, a, b)[self.prediction]


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
        found = predicting(prediction).predict(Knowing(x0, prediction), x, rates, None)
        torch.testing.assert_close(found.x0, x0, rtol=0, atol=1e-10)
        torch.testing.assert_close(found.eps, eps, rtol=0, atol=1e-10)


@EVERY_SCHEDULE
@EVERY_PREDICTION
def test_what_is_predicted_adds_up_to_x_whatever_the_network_says(schedule, prediction):
    x, t = images(), torch.linspace(0, 1, 6, dtype=torch.float64)
    rates, network = schedule(t), Blind(images(), "x0")
    found = predicting(prediction).predict(network, x, rates, None)
    a, b = (rate[:, None, None, None] for rate in rates)
    torch.testing.assert_close(a * found.x0 + b * found.eps, x, rtol=0, atol=1e-11)


@EVERY_SCHEDULE
@EVERY_PREDICTION
def test_the_network_sees_x_of_unit_scale_and_scaled_rates(schedule, prediction):
    x, t = images(), torch.linspace(0, 1, 6, dtype=torch.float64)
    objective = predicting(prediction)
    network, label = Knowing(images(), prediction), torch.arange(6)
    rates = schedule(t)
    signal, noise = (rate.numpy() for rate in rates)
    c = np.hypot(signal, noise)
    objective.predict(network, x, rates, label)
    np.testing.assert_allclose(network.x, x.numpy() / c[:, None, None, None], rtol=1e-14)
    np.testing.assert_allclose(network.rates.signal, signal / c, rtol=1e-14)
    np.testing.assert_allclose(network.rates.noise, noise / c, rtol=1e-14)
    assert network.label is label
    objective.predict(network, x, Rates(float(signal[2]), float(noise[2])), None)
    assert network.rates.noise.shape == (6,)
    np.testing.assert_allclose(network.rates.noise, noise[[2] * 6] / c[2], rtol=1e-14)
    assert network.label is None


@EVERY_SCHEDULE
@EVERY_PREDICTION
def test_training_shows_the_network_the_label_and_what_sampling_will(schedule, prediction):
    x0, label = images(), torch.arange(6)
    network = Knowing(x0, prediction)
    predicting(prediction).loss(network, x0, label, schedule, draws())
    assert network.label is label
    numbers = draws()
    rates = schedule(numbers.uniform(x0[:, 0, 0, 0]))
    signal, noise = (rate.numpy()[:, None, None, None] for rate in rates)
    eps = numbers.normal(x0).numpy()
    seen = (signal * x0.numpy() + noise * eps) / np.hypot(signal, noise)
    np.testing.assert_allclose(network.x, seen, rtol=1e-12)
    np.testing.assert_allclose(
        network.rates.noise, noise.flatten() / np.hypot(signal, noise).flatten(), rtol=1e-14
    )


@EVERY_SCHEDULE
@pytest.mark.parametrize("spec", CASES)
def test_every_objective_keeps_the_contract(schedule, spec):
    """In float32: scalars, repeatable, the label passed on, gradients of loss alone."""
    objective, x0, label = (
        build_stage(REGISTRY, "objective", spec),
        images().float(),
        torch.arange(6),
    )
    weight, labels = torch.ones((), requires_grad=True), []

    def network(x, rates, label=None):
        labels.append(label)
        assert {x.dtype, rates.signal.dtype, rates.noise.dtype} == {torch.float32}
        assert rates.signal.shape == rates.noise.shape == (6,)
        return weight * x

    found, again = (objective.loss(network, x0, label, schedule, draws()) for _ in range(2))
    assert torch.equal(x0, images().float())
    assert set(found) >= {"loss"}
    assert all(value.shape == () and value.isfinite() for value in found.values())
    assert all(value == again[name] for name, value in found.items())
    assert labels[0] is labels[1] is label
    assert [name for name, value in found.items() if value.requires_grad] == ["loss"]
    found["loss"].backward()
    assert weight.grad != 0


@EVERY_SCHEDULE
@EVERY_PREDICTION
@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_a_perfect_network_has_no_loss(schedule, prediction, loss):
    x0 = images()
    objective = predicting(prediction, loss=loss)
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
    objective = predicting(prediction, loss=loss)
    found = objective.loss(network, x0, None, schedule, draws())
    x, out, clean = network.x.numpy(), images(seed=9).numpy(), x0.numpy()
    a, b = (rate.numpy()[:, None, None, None] for rate in network.rates)
    eps = network.eps.numpy()
    targets = meanings(clean, eps, a, b)
    said = {
        "eps": (out, (x - b * out) / a),
        "x0": ((x - a * out) / b, out),
        "v": (b * x + a * out, a * x - b * out),
        "u": ((x + a * out) / (a + b), (x - b * out) / (a + b)),
    }[prediction]
    distance = {"mae": np.abs, "mse": np.square}[loss]
    assert found["loss"].item() == pytest.approx(distance(out - targets[prediction]).mean())
    assert found["noise_loss"].item() == pytest.approx(distance(said[0] - eps).mean())
    assert found["image_loss"].item() == pytest.approx(distance(said[1] - clean).mean())


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


@pytest.mark.parametrize("schedule", [CosineNichol(), Karras(), Flow()], ids=["vp", "ve", "flow"])
def test_all_predictions_say_the_same_of_one_truth(schedule):
    """A network that is wrong about x0 in one known way, in each of the four languages."""
    x, claimed = images(seed=2), images(seed=3)
    for t in (0.05, 0.3, 0.7, 0.95):
        rates = Rates(*(rate.item() for rate in schedule(torch.tensor(t, dtype=torch.float64))))
        found = [
            predicting(prediction).predict(Knowing(claimed, prediction), x, rates, None)
            for prediction in ("x0", "eps", "v", "u")
        ]
        for other in found:
            torch.testing.assert_close(other.x0, claimed, rtol=0, atol=1e-11)
            eps = (x - rates.signal * claimed) / rates.noise
            torch.testing.assert_close(other.eps, eps, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("signal", [0.0, 0, 6e-17, -4e-8])
def test_eps_without_signal_is_refused_before_the_network_runs(signal):
    """cos(π / 2) is 6e-17 in float64 and -4e-8 in float32: rounding is no signal either."""

    def never(*_):
        raise AssertionError("the network ran")

    with pytest.raises(InputError, match=r"prediction eps: .*set objective\.prediction to v or x0"):
        Denoising().predict(never, torch.empty(1, 3, 4, 4, device="meta"), Rates(signal, 1.0), None)
    with pytest.raises(InputError, match=r"prediction x0: .*set objective\.prediction to v or eps"):
        Denoising(prediction="x0").predict(never, images(), Rates(1.0, signal), None)


@pytest.mark.parametrize(
    ("prediction", "ends"), [("v", "both"), ("u", "both"), ("x0", 1), ("eps", 0)]
)
def test_other_predictions_work_where_signal_or_noise_is_0(prediction, ends):
    x = images()
    for t, rates in enumerate([Rates(1.0, 0.0), Rates(0.0, 1.0)]):
        if ends in ("both", t):
            found = predicting(prediction).predict(lambda x, *_: 0.5 * x, x, rates, None)
            assert all(part.isfinite().all() for part in found)
            together = rates.signal * found.x0 + rates.noise * found.eps
            torch.testing.assert_close(together, x)


def test_the_widest_schedules_that_are_allowed_are_not_refused():
    cases = {
        "eps": [Rates(1.1e-3, 1.0), Rates(1.0, 4.54e-5), Rates(1.0, 900.0), Rates(2.2e4, 1.0)],
        "x0": [Rates(4.54e-5, 1.0), Rates(1.0, 4.54e-5), Rates(1.0, 2.2e4), Rates(2.2e4, 1.0)],
    }
    for prediction, every in cases.items():
        for rates in every:
            found = Denoising(prediction=prediction).predict(
                Knowing(images(), prediction), images(), rates, None
            )
            assert all(part.isfinite().all() for part in found)


def test_the_book_predicts_noise_and_takes_the_absolute_error():
    assert Denoising() == Denoising(prediction="eps", loss="mae")
    for wrong in ({"prediction": "score"}, {"loss": "huber"}, {"los": "mae"}):
        with pytest.raises(ValidationError):
            Denoising(**wrong)
    assert FlowMatching() == FlowMatching(loss="mse", times="uniform")


@pytest.mark.parametrize("name", ["flow", "cosine_nichol", "sigmoid"])
def test_eps_is_refused_where_a_schedule_ends_in_noise_alone(name):
    schedule = build_stage(Registry.load(), "schedule", name)
    end = Rates(*(rate.item() for rate in schedule(torch.ones((), dtype=torch.float64))))
    with pytest.raises(InputError, match="prediction eps"):
        Denoising().predict(lambda x, *_: x, images(), end, None)


@pytest.mark.parametrize("name", ["cosine", "linear", "karras"])
def test_eps_is_at_home_where_a_schedule_keeps_some_signal(name):
    schedule = build_stage(Registry.load(), "schedule", name)
    end = Rates(*(rate.item() for rate in schedule(torch.ones((), dtype=torch.float64))))
    assert Denoising().predict(lambda x, *_: x, images(), end, None).x0.isfinite().all()

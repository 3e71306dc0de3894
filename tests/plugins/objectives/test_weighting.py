"""What each image's error weighs: min-SNR by its paper, and EDM's preconditioning and weights."""

from __future__ import annotations

import diffusers
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline import Rates
from pipeline.plugin.draws import Draws
from pipeline_objectives.denoising import Denoising
from pipeline_schedules.cosine import Cosine
from pipeline_schedules.cosine_nichol import CosineNichol
from pipeline_schedules.flow import Flow
from pipeline_schedules.karras import Karras

SCHEDULES = {"vp": CosineNichol(), "ve": Karras(), "flow": Flow()}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
EVERY_PREDICTION = pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
EVERY_LOSS = pytest.mark.parametrize("loss", ["mae", "mse"])
N = 8


def images(seed: int = 0, n: int = N) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 4, 5, generator=draw, dtype=torch.float64)


def draws(n: int = N) -> Draws:
    return Draws(0, "train", range(n))


class Wrong:
    """Claims an x0 that is wrong by a known amount, in the language of its prediction."""

    def __init__(self, prediction: str, x0: torch.Tensor, by: torch.Tensor) -> None:
        self.prediction, self.x0, self.by = prediction, x0, by

    def __call__(self, x, rates, label=None):
        self.rates = rates
        signal, noise = (rate[:, None, None, None] for rate in rates)
        x0 = self.x0 + self.by
        eps = (x - signal * x0) / noise
        said = {"eps": eps, "x0": x0, "v": signal * eps - noise * x0}[self.prediction]
        true = (x - signal * self.x0) / noise
        target = {"eps": true, "x0": self.x0, "v": signal * true - noise * self.x0}
        self.error = (said - target[self.prediction]).numpy()
        return said


def lost(objective: Denoising, schedule, by: torch.Tensor | None = None):
    """The losses, and the network that made them."""
    network = Wrong(objective.prediction, images(), images(1) if by is None else by)
    return objective.loss(network, images(), None, schedule, draws()), network


@EVERY_SCHEDULE
@EVERY_PREDICTION
@EVERY_LOSS
@pytest.mark.parametrize("cap", [None, 1.0, 20.0])
def test_min_snr_weights_are_the_papers(schedule, prediction, loss, cap):
    """Hang et al. 2023, https://arxiv.org/abs/2303.09556, on the error of each image."""
    objective = Denoising(prediction=prediction, loss=loss, weighting="min_snr", snr_cap=cap)
    found, network = lost(objective, schedule)
    snr = (network.rates.signal / network.rates.noise).numpy() ** 2
    capped = np.minimum(snr, cap or 5)
    weights = {"x0": capped, "eps": capped / snr, "v": capped / (snr + 1)}[prediction]
    assert len(set(weights)) > 1
    distance = {"mae": np.abs, "mse": np.square}[loss]
    each = distance(network.error).mean((1, 2, 3))
    assert found["loss"].item() == pytest.approx((weights * each).mean(), rel=1e-9)


@EVERY_SCHEDULE
def test_every_prediction_weighs_the_error_of_x0_alike(schedule):
    found = [
        lost(Denoising(prediction=prediction, loss="mse", weighting="min_snr"), schedule)[0]["loss"]
        for prediction in ("x0", "eps", "v")
    ]
    by = images(1).square().mean((1, 2, 3))
    rates = schedule(draws().uniform(torch.empty(N, dtype=torch.float64)))
    expected = ((rates.signal / rates.noise) ** 2).clamp(max=5) @ by / N
    for loss in found:
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@EVERY_PREDICTION
@EVERY_LOSS
def test_what_is_only_watched_is_never_weighted(prediction, loss):
    options = {"prediction": prediction, "loss": loss}
    plain, _ = lost(Denoising(**options), CosineNichol())
    weighted, _ = lost(Denoising(**options, weighting="min_snr"), CosineNichol())
    assert weighted["loss"] != plain["loss"]
    for name in ("noise_loss", "image_loss"):
        assert weighted[name] == plain[name]


@EVERY_PREDICTION
def test_a_cap_above_every_snr_leaves_the_error_of_eps_alone(prediction):
    """min(snr, infinity) is the weight of x0 that uniform weights of eps come to."""
    weighted = Denoising(prediction=prediction, loss="mse", weighting="min_snr", snr_cap=1e12)
    plain = Denoising(prediction="eps", loss="mse")
    one, other = (lost(made, Cosine())[0]["loss"].item() for made in (weighted, plain))
    assert one == pytest.approx(other, rel=1e-9)


@EVERY_PREDICTION
def test_weights_are_finite_at_rates_of_0(prediction):
    objective = Denoising(prediction=prediction, weighting="min_snr")
    weights = objective._weights(Rates(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])))
    assert weights.tolist() == {"eps": [1, 0], "x0": [0, 5], "v": [0, 0]}[prediction]


@pytest.mark.parametrize("cap", [5.0, 1.0])
def test_a_cap_that_nothing_reads_is_refused(cap):
    with pytest.raises(ValidationError, match="snr_cap is not an option of weighting uniform"):
        Denoising(snr_cap=cap)
    with pytest.raises(ValidationError, match="snr_cap"):
        Denoising(weighting="min_snr", snr_cap=0)


@pytest.mark.parametrize("sigma", [0.002, 0.3, 1.0, 7.0, 80.0])
def test_v_on_a_ve_schedule_is_edms_preconditioning_with_sigma_data_1(sigma):
    """Karras et al. 2022, table 1, where D(x) = c_skip x + c_out F(c_in x); v = -F."""
    c_in, c_skip, c_out = (
        1 / (sigma**2 + 1) ** 0.5,
        1 / (sigma**2 + 1),
        sigma / (sigma**2 + 1) ** 0.5,
    )
    x, out, seen = images(2), images(3), []

    def network(x, rates, label=None):
        seen.append(x)
        return out

    found = Denoising(prediction="v").predict(network, x, Rates(1.0, sigma), None)
    torch.testing.assert_close(seen[0], c_in * x, rtol=1e-13, atol=0)
    torch.testing.assert_close(found.x0, c_skip * x - c_out * out, rtol=1e-13, atol=1e-13)
    theirs = diffusers.EDMEulerScheduler(sigma_data=1.0, prediction_type="v_prediction")
    expected = theirs.precondition_outputs(x, out, sigma)
    torch.testing.assert_close(found.x0, expected, rtol=1e-12, atol=1e-12)


def test_uniform_weights_of_v_on_a_ve_schedule_are_edms():
    """λ = (sigma² + 1) / sigma² on the error of x0, Karras et al. 2022, table 1."""
    found, _ = lost(Denoising(prediction="v", loss="mse"), Karras())
    sigma = Karras()(draws().uniform(torch.empty(N, dtype=torch.float64))).noise
    expected = ((sigma**2 + 1) / sigma**2) @ images(1).square().mean((1, 2, 3)) / N
    assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-6)

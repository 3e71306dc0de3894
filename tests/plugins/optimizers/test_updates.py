"""Optimizers and learning-rate schedules against their papers' formulas, in numpy."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline_lr_schedules.constant import Constant
from pipeline_lr_schedules.cosine import Cosine
from pipeline_lr_schedules.warmup_stable_decay import WarmupStableDecay
from pipeline_optimizers.adam import Adam
from pipeline_optimizers.adamw import AdamW


def by_hand(weights, gradients, *, lr, weight_decay, betas, eps):
    """Kingma & Ba 2015, algorithm 1, with the decay of Loshchilov & Hutter 2019, algorithm 2."""
    first = second = np.zeros_like(weights)
    for step, gradient in enumerate(gradients, start=1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        mean, square = first / (1 - betas[0] ** step), second / (1 - betas[1] ** step)
        weights = weights - lr * (mean / (np.sqrt(square) + eps) + weight_decay * weights)
    return weights


def by_stage(stage, weights, gradients):
    parameter = torch.nn.Parameter(torch.from_numpy(weights.copy()))
    optimizer = stage([parameter])
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return parameter.detach().numpy()


OPTIONS = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize(
    ("stage", "options"),
    [
        (AdamW(), {"lr": 1e-3, "weight_decay": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8}),
        (AdamW(weight_decay=0.3, **OPTIONS), {"weight_decay": 0.3, **OPTIONS}),
        (Adam(), {"lr": 1e-3, "weight_decay": 0, "betas": (0.9, 0.999), "eps": 1e-8}),
        (Adam(**OPTIONS), {"weight_decay": 0, **OPTIONS}),
    ],
    ids=str,
)
def test_steps_are_the_papers(stage, options, steps):
    draw = np.random.default_rng(0)
    weights, gradients = draw.normal(size=(4, 3)), draw.normal(size=(steps, 4, 3))
    found = by_stage(stage, weights, gradients)
    np.testing.assert_allclose(found, by_hand(weights, gradients, **options), rtol=0, atol=1e-13)


@pytest.mark.parametrize("options", [{"lr": 0}, {"lr": -1}, {"betas": (1.0, 0.9)}, {"eps": 0}])
@pytest.mark.parametrize("stage", [Adam, AdamW])
def test_options_that_cannot_learn_are_refused(stage, options):
    with pytest.raises(ValidationError):
        stage(**options)


def test_cosine_rises_linearly_and_falls_along_half_a_cosine_to_zero():
    factor = Cosine(total_steps=110, warmup_steps=10)
    assert [factor(step) for step in range(10)] == [(step + 1) / 10 for step in range(10)]
    for step in range(10, 111):
        assert factor(step) == pytest.approx(math.cos(math.pi * (step - 10) / 200) ** 2, abs=1e-15)
    assert factor(10) == 1
    assert factor(60) == pytest.approx(0.5)
    assert factor(110) == factor(500) == pytest.approx(0, abs=1e-15)
    assert Cosine(total_steps=5)(0) == 1


@pytest.mark.parametrize("warmup", [5, 6])
def test_cosine_refuses_a_warmup_without_end(warmup):
    with pytest.raises(ValidationError, match="warmup_steps"):
        Cosine(total_steps=5, warmup_steps=warmup)


def test_constant_stays():
    assert {Constant()(step) for step in (0, 1, 10**9)} == {1.0}


def test_warmup_stable_decay_follows_its_formula():
    factor = WarmupStableDecay(total_steps=100, warmup_steps=10, decay=0.2)
    assert [factor(step) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert all(factor(step) == 1 for step in range(10, 81))
    assert factor(85) == pytest.approx(1 - math.sqrt(5 / 20))
    assert factor(99) == pytest.approx(1 - math.sqrt(19 / 20))
    assert factor(100) == factor(10**6) == 0


@pytest.mark.parametrize("warmup", [81, 100])
def test_warmup_and_decay_leave_each_other_room(warmup):
    with pytest.raises(ValidationError, match="warmup_steps and decay"):
        WarmupStableDecay(total_steps=100, warmup_steps=warmup, decay=0.2)

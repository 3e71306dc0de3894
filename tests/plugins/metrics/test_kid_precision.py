"""KID of so many images that products may be in float32, against its definition in more digits."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline_metrics import mmd, mmd_difference, precision
from pipeline_metrics.kid import KID

N, M, D = 1030, 1100, 24


def noise(n: int, seed: int, d: int = D) -> Tensor:
    """Float32 as extractors give it, with a few strong directions."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw) / torch.arange(1, d + 1) ** 0.4


def definition(real: Tensor, fake: Tensor) -> float:
    """Gretton et al. 2012, eq. 3, in 64 bits of mantissa, all elements in memory."""
    x, y = (side.numpy().astype(np.longdouble) for side in (real, fake))

    def mean(a: np.ndarray, b: np.ndarray) -> np.longdouble:
        kernel = (a @ b.T / a.shape[1] + 1) ** 3
        if a is not b:
            return kernel.mean()
        return (kernel.sum() - kernel.trace()) / (len(a) * (len(a) - 1))

    return float(mean(x, x) + mean(y, y) - 2 * mean(x, y))


CASES: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "apart": lambda: (noise(N, 0), noise(M, 1) + 0.2),
    "of one distribution": lambda: (noise(N, 0), noise(M, 1)),
    "never below 0": lambda: (noise(N, 0).relu(), noise(M, 1).relu() * 1.02),
    "of a large mean": lambda: (noise(N, 0) + 10, noise(M, 1) + 10),
    "of a huge mean": lambda: (noise(N, 0) + 3e4, noise(M, 1) + 3e4),
    "nearly the same": lambda: (noise(N, 0), noise(N, 0) + 1e-5 * noise(N, 1)),
    "the same": lambda: (noise(N, 0), noise(N, 0)),
    "with one far away": lambda: (noise(N, 0), torch.cat([noise(M, 1), torch.full((1, D), 50.0)])),
    "tiny": lambda: (noise(N, 0) * 1e-4, noise(M, 1) * 1e-4 + 1e-6),
    "in float64": lambda: (noise(N, 0).double() + 1e-9, noise(M, 1).double() * (1 + 1e-3)),
    "in half": lambda: (noise(N, 0).half(), noise(M, 1).half()),
}


@pytest.mark.parametrize("case", CASES)
def test_no_digit_differs_from_the_definition(case):
    real, fake = CASES[case]()
    score, exact = KID()(real, fake), mmd.estimate(real, fake, torch.float64)
    error = math.sqrt(exact.variance)
    assert abs(score.value - definition(real, fake)) <= 1e-6 * max(abs(score.value), error)
    assert score.standard_error == pytest.approx(error, rel=1e-6)
    again = KID()(real.clone(), fake.clone())
    assert (again.value, again.standard_error) == (score.value, score.standard_error)


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        ("apart", torch.float32),
        ("never below 0", torch.float32),
        ("of a large mean", torch.float32),
        ("in float64", torch.float32),
        ("of a huge mean", torch.float64),
    ],
)
def test_products_are_in_float32_where_it_makes_no_difference(case, dtype, monkeypatch):
    assert used(*CASES[case](), monkeypatch) == dtype


def used(real: Tensor, fake: Tensor, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The dtype in which the result was computed: that of the last call with all rows."""
    calls: list[tuple[int, torch.dtype]] = []
    compute = mmd.estimate

    def estimate(x: Tensor, y: Tensor, dtype: torch.dtype) -> mmd.Estimate:
        calls.append((len(x), dtype))
        return compute(x, y, dtype)

    monkeypatch.setattr(mmd, "estimate", estimate)
    KID()(real, fake)
    return next(dtype for rows, dtype in reversed(calls) if rows == len(real))


def test_few_rows_and_what_float32_cannot_hold_are_in_float64(monkeypatch):
    few = precision.LEAST - 1
    assert used(noise(few, 0), noise(M, 1) + 0.2, monkeypatch) == torch.float64
    assert used(noise(N, 0) * 1e20, noise(M, 1) * 2e20, monkeypatch) == torch.float64


def test_a_part_in_which_float32_differs_decides(monkeypatch):
    """Products whose errors have one sign, as of hardware that cuts digits off."""
    real, fake = CASES["apart"]()
    multiply = torch.addmm

    def cut(zero: Tensor, u: Tensor, v: Tensor, **options: float) -> Tensor:
        product = multiply(zero, u, v, **options)
        return product if product.dtype == torch.float64 else product.bfloat16().float()

    monkeypatch.setattr(torch, "addmm", cut)
    assert used(real, fake, monkeypatch) == torch.float64
    assert KID()(real, fake).value == mmd.estimate(real, fake, torch.float64).value


def test_differences_of_models_too():
    real = noise(N, 0)
    models = [[noise(M, 10 * k + s) + 0.1 * k for s in (1, 2)] for k in (0, 1)]
    models.append(models[1])
    models.append([x + 1e-3 * noise(M, 77) for x in models[1]])
    found = mmd_difference.differences(real, models)
    exact = mmd_difference._all(real, models, torch.float64)
    assert list(found) == exact.pairs
    for (pair, difference), by_seed, spread in zip(
        found.items(), exact.by_seed, exact.spread, strict=True
    ):
        error = math.sqrt(spread)
        allowed = 1e-6 * max(error, abs(difference.value))
        assert difference.value == pytest.approx(float(by_seed.mean()), rel=0, abs=allowed)
        assert difference.by_pair == pytest.approx(by_seed.tolist(), rel=0, abs=allowed)
        assert difference.standard_error == pytest.approx(error, rel=1e-6)
        if pair == (1, 2):
            assert (difference.value, difference.standard_error) == (0, 0)
    values = [definition(real, x) for x in models[0]], [definition(real, x) for x in models[1]]
    first = found[0, 1]
    assert first.by_pair == pytest.approx(
        [b - a for a, b in zip(*values, strict=True)], abs=1e-6 * first.standard_error
    )

"""Muon against its definition by singular values, and AdamW where it is that."""

import pytest
import torch

from pipeline_optimizers.adamw import AdamW
from pipeline_optimizers.muon import Muon, is_matrix, orthogonal


@pytest.mark.parametrize("shape", [(40, 40), (24, 90), (90, 24)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape) * 30
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ orthogonal([matrix])[0] @ right.T
    # Small singular values take more rounds than five; what is left of 1 is Jordan's own range.
    assert inside.diagonal().min() > 0.3
    assert inside.diagonal().max() < 1.25
    assert (inside - inside.diagonal().diag()).abs().max() < 1e-3


def test_factors_without_x_are_the_rounds_with_it():
    torch.manual_seed(0)
    shapes = [(16, 40), (40, 16), (64, 576), (64, 64), (64, 200), (128, 1152)]
    matrices = [torch.randn(shape) for shape in shapes]
    for matrix, found in zip(matrices, orthogonal(matrices), strict=True):
        x = (matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T).double()
        x = x / x.norm()
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        expected = x if matrix.shape[0] <= matrix.shape[1] else x.T
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5)


def test_a_first_step_is_orthogonal_and_as_large_as_adamws():
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(32, 20, 3, 3))
    before = kernel.detach().clone()
    kernel.grad = torch.randn_like(kernel)
    Muon(lr=0.5, weight_decay=0.0)([kernel]).step()
    step = (before - kernel.detach()) / 0.5
    expected = orthogonal([kernel.grad.flatten(1)])[0] * 0.2 * 180**0.5
    torch.testing.assert_close(step, expected.reshape(step.shape), rtol=1e-4, atol=1e-5)
    assert 0.15 < step.square().mean().sqrt() < 0.25


def test_momentum_is_nesterovs():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(16, 16))
    optimizer, average = Muon(lr=1.0, weight_decay=0.0, momentum=0.8)([weight]), torch.zeros(16, 16)
    for _ in range(3):
        before, weight.grad = weight.detach().clone(), torch.randn(16, 16)
        optimizer.step()
        average = 0.8 * average + 0.2 * weight.grad
        expected = orthogonal([0.2 * weight.grad + 0.8 * average])[0] * 0.2 * 4
        torch.testing.assert_close(before - weight.detach(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(64,), (3, 64, 1, 1), (64, 3, 1, 1), (15, 99)])
def test_all_else_is_adamws(shape):
    torch.manual_seed(0)
    options = {"lr": 0.02, "weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}
    first = torch.nn.Parameter(torch.randn(shape))
    second = torch.nn.Parameter(first.detach().clone())
    assert not is_matrix(first)
    steps = Muon(**options)([first]), AdamW(**options)([second])
    for _ in range(4):
        first.grad = torch.randn(shape)
        second.grad = first.grad.clone()
        for optimizer in steps:
            optimizer.step()
    torch.testing.assert_close(first, second)


def test_weights_decay_by_the_learning_rate():
    weight = torch.nn.Parameter(torch.ones(16, 16))
    weight.grad = torch.zeros(16, 16)
    Muon(lr=0.5, weight_decay=0.1)([weight]).step()
    torch.testing.assert_close(weight.detach(), torch.full((16, 16), 0.95))

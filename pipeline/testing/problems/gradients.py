"""What reaches what in a torch module: for the checks of backbones and upsamplers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..context import Wrong, require

STEP, WRONG = 1e-6, 1e-4
"""How far parameters are moved for a difference, and what it may miss of the gradient's length."""
FIRST = 12
"""Steps of a training in which every parameter should have come to have a gradient."""
NOISE = 0.02
"""Added to every parameter: many layers start as 0, and then hide what is behind them."""


def disturb(module: nn.Module, seed: int = 0) -> nn.Module:
    """The same module, with noise on every parameter."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(NOISE * torch.randn(parameter.shape, generator=draw).to(parameter))
    return module


def gradients_reach_all(module: nn.Module, out: Tensor) -> int:
    """How many numbers can be trained. Raises Wrong where one tensor has no finite gradient."""
    require(out.requires_grad, "no gradient reaches any parameter")
    torch.autograd.backward((out * _weights(out)).sum())
    count = 0
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            grad = parameter.grad
            require(grad is not None, f"no gradient reaches the parameter {name}: is it used?")
            assert grad is not None
            require(bool(grad.isfinite().all()), f"the gradient of {name} is not finite")
            require(bool((grad != 0).any()), f"the gradient of {name} is 0 everywhere")
            count += parameter.numel()
    return count


def training_reaches_all(module: nn.Module, x: Tensor, *others: object) -> None:
    """Raise Wrong where a parameter has no gradient in any of the first steps of a training.

    A layer that starts as 0 holds up what is behind it for a step; two in a row hold each other up.
    """
    waiting = {name: p for name, p in module.named_parameters() if p.requires_grad}
    optimizer, aim = torch.optim.Adam(list(waiting.values())), _weights(x)
    for _ in range(FIRST):
        optimizer.zero_grad()
        out: Tensor = module.train()(x, *others)
        torch.autograd.backward((out - aim).square().mean())
        waiting = {
            name: p for name, p in waiting.items() if p.grad is None or not bool(p.grad.any())
        }
        if not waiting:
            return
        optimizer.step()
    raise Wrong(
        f"from its fresh weights on no gradient reaches {next(iter(waiting))} in {FIRST} steps: do "
        "two layers in a row start as 0?"
    )


def derivative_is_right(module: nn.Module, x: Tensor, *others: object) -> None:
    """Raise Wrong unless the gradient, of parameters and x, is how the answer changes with them.

    In evaluation mode, float64, along one direction of all of them: what is detached is missing.
    """
    moved = [x.clone(), *(p.detach() for p in module.parameters() if p.requires_grad)]
    draw = torch.Generator().manual_seed(2)
    ways = [torch.randn(p.shape, generator=draw).to(p) for p in moved]
    inputs = moved[0].requires_grad_()
    trained = [inputs, *(p for p in module.parameters() if p.requires_grad)]

    def total() -> Tensor:
        out: Tensor = module.eval()(inputs, *others)
        return (out * _weights(out)).sum()

    grads = torch.autograd.grad(total(), trained, allow_unused=True)
    known = sum(
        float((grad * way).sum()) for grad, way in zip(grads, ways, strict=True) if grad is not None
    )
    ends = []
    with torch.no_grad():
        for move in (STEP, -2 * STEP):
            for parameter, way in zip(trained, ways, strict=True):
                parameter += move * way
            ends.append(float(total()))
        for parameter, way in zip(trained, ways, strict=True):
            parameter += STEP * way
    found = (ends[0] - ends[1]) / (2 * STEP)
    scale = math.sqrt(sum(float(g.square().sum()) for g in grads if g is not None))
    require(
        abs(found - known) <= WRONG * scale,
        f"along one direction the answer changes by {found:.4g} and its gradient says {known:.4g}: "
        "is a part of it detached, or computed without gradient?",
    )


def inputs_matter(module: nn.Module, x: Tensor, *others: object) -> None:
    """Raise Wrong unless every number of x changes the answer, in evaluation mode."""
    x = x.clone().requires_grad_()
    out = module.eval()(x, *others)
    (grad,) = torch.autograd.grad((out * _weights(out)).sum(), x, allow_unused=True)
    require(grad is not None, "the answer does not depend on the input")
    assert grad is not None
    share = float((grad == 0).double().mean())
    require(share == 0, f"{share:.0%} of the input's pixels change nothing in the answer")


def _weights(like: Tensor) -> Tensor:
    """Fixed weights for a sum, none of them 0: a plain sum of normalised numbers is constant."""
    draw = torch.Generator().manual_seed(1)
    return torch.randn(like.shape, dtype=like.dtype, generator=draw)

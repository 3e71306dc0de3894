"""Muon: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon, with the step size of Liu et
al. 2025, https://arxiv.org/abs/2502.16982, eq. 4; AdamW for what is no matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline import OptionSets, stage

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Of the iteration, which brings singular values from (0, 1] to about 1: 0.7 to 1.2 after five."""
ROUNDS = 5
FEW = 16
"""A matrix with fewer rows or columns maps from or to the image's few channels."""
LIKE_ADAMW = 0.2
"""The root mean square of a step at learning rate 1, about that of AdamW's."""


@stage
class Muon:
    """Momentum made orthogonal for kernels and matrices; AdamW for biases, norms and small ones.

    All directions of a matrix are learned at one speed, where Adam's step has a few large singular
    values. A convolution's kernel (out, in, height, width) is the matrix out × (in · height ·
    width). The layers next to the image are told by their shape: fewer than 16 rows or columns.
    Steps are as large as AdamW's, so that its learning rates and decays can be kept.
    """

    lr: Annotated[float, Field(gt=0)] = 2e-3
    """The full learning rate; the lr schedule multiplies it."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Each step takes lr × weight_decay of every weight away."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.95
    """Decay of the average of a matrix's gradient, which looks a step ahead as Nesterov's does."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.999,
    )
    """For AdamW: decay of the averages of the gradient and of its square."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """For AdamW: added to the denominator."""

    examples: ClassVar[OptionSets] = (
        {"lr": 3e-4, "weight_decay": 0.01, "momentum": 0.9, "betas": [0.9, 0.99], "eps": 1e-6},
    )

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An optimizer of these parameters."""
        weights = list(parameters)
        given = {"lr": self.lr, "weight_decay": self.weight_decay}
        matrices = {"momentum": self.momentum, "orthogonal": True}
        others = {"betas": self.betas, "eps": self.eps, "orthogonal": False}
        groups = [
            {"params": [w for w in weights if is_matrix(w)], **given, **matrices},
            {"params": [w for w in weights if not is_matrix(w)], **given, **others},
        ]
        return MuonWithAdamW([group for group in groups if group["params"]], {})


class MuonWithAdamW(torch.optim.Optimizer):
    """Groups that are ``orthogonal`` follow Muon, the others AdamW."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the weights by their gradients."""
        assert closure is None, "the engine makes the gradients itself"
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if group["orthogonal"]:
                changes = _muon(weights, group, self.state)
            else:
                changes = [_adam(weight.grad, self.state[weight], group) for weight in weights]
            for weight, change in zip(weights, changes, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(change, alpha=group["lr"])


def is_matrix(weight: Tensor) -> bool:
    """Whether Muon takes it: at least 16 rows, and at least 16 columns in all."""
    return weight.ndim > 1 and min(weight.shape[0], weight[0].numel()) >= FEW


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """The nearest matrices, each (M, N), with singular values of about 1, by Newton's and Schulz's
    way.

    x becomes (a + b x xᵀ + c (x xᵀ)²) x in each round. All these factors are polynomials of the
    first x xᵀ: they are multiplied without x, whose longer side they do not have, and for all
    matrices of as many rows at once.
    """
    wide = [m if m.shape[0] <= m.shape[1] else m.T for m in matrices]
    wide = [m / (m.norm() + 1e-7) for m in wide]
    for rows in {m.shape[0] for m in wide}:
        places = [i for i, m in enumerate(wide) if m.shape[0] == rows]
        factors = _factors(torch.stack([wide[i] @ wide[i].T for i in places]))
        for i, factor in zip(places, factors, strict=True):
            wide[i] = factor @ wide[i]
    return [
        m if given.shape[0] <= given.shape[1] else m.T
        for m, given in zip(wide, matrices, strict=True)
    ]


def _factors(squares: Tensor) -> Tensor:
    """The product of the factors of all rounds, (K, M, M), for the first x xᵀ of K matrices."""
    a, b, c = QUINTIC
    one = torch.eye(squares.shape[-1], dtype=squares.dtype, device=squares.device)
    whole = one.expand_as(squares)
    for _ in range(ROUNDS):
        factor = a * one + b * squares + c * squares @ squares
        whole, squares = factor @ whole, factor @ squares @ factor
    return whole


def _muon(weights: Sequence[nn.Parameter], group: dict[str, Any], states: Any) -> list[Tensor]:
    """The changes of these weights at learning rate 1."""
    momentum: float = group["momentum"]
    ahead = []
    for weight in weights:
        gradient = cast("Tensor", weight.grad)
        average = _kept(states[weight], "momentum", gradient).lerp_(gradient, 1 - momentum)
        ahead.append(gradient.lerp(average, momentum).flatten(1))
    return [
        change.mul(LIKE_ADAMW * max(change.shape) ** 0.5).reshape(weight.shape)
        for weight, change in zip(weights, orthogonal(ahead), strict=True)
    ]


def _adam(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    first, second = group["betas"]
    step: int = state.get("step", 0) + 1
    state["step"] = step
    mean = _kept(state, "mean", gradient).lerp_(gradient, 1 - first)
    square = _kept(state, "square", gradient).lerp_(gradient.square(), 1 - second)
    root = square.div(1 - second**step).sqrt()
    return mean.div(1 - first**step).div(root + group["eps"])


def _kept(state: dict[str, Any], name: str, like: Tensor) -> Tensor:
    """What the state has by this name, zeros at first."""
    if name not in state:
        state[name] = torch.zeros_like(like)
    return state[name]  # type: ignore[no-any-return]

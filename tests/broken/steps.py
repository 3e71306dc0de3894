"""Optimizers and learning-rate schedules with one bug each: the docstring says which.

``caught_by`` is the check of the conformance kit that has to fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import nn

from pipeline import stage
from pipeline_optimizers.adam import Adam
from pipeline_optimizers.adamw import AdamW


class _Descent(torch.optim.Optimizer):
    """Gradient descent; ``rate`` says by how much for a group and a parameter."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, step: Callable[[Any, Any], Any]
    ) -> None:
        super().__init__(parameters, {"lr": lr})
        self._change = step

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if (change := self._change(group, parameter)) is not None:
                    parameter += change


@stage
class OwnRate:
    """An optimizer that steps by its own rate, not by that of its groups, which schedules set."""

    kind: ClassVar[str] = "optimizer"
    caught_by: ClassVar[str] = "obeys the learning rate"
    lr: Annotated[float, Field(gt=0)] = 0.1
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Descent(parameters, self.lr, lambda _, p: -self.lr * p.grad)


@stage
class NeedsEveryGradient:
    """An optimizer that fails where a parameter took no part in the loss."""

    kind: ClassVar[str] = "optimizer"
    caught_by: ClassVar[str] = "missing gradients"
    lr: Annotated[float, Field(gt=0)] = 0.1
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Descent(parameters, self.lr, lambda group, p: -group["lr"] * p.grad)


@stage
class Climbs:
    """An optimizer that adds the gradient instead of subtracting it."""

    kind: ClassVar[str] = "optimizer"
    caught_by: ClassVar[str] = "descends"
    lr: Annotated[float, Field(gt=0)] = 0.1
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Descent(
            parameters, self.lr, lambda group, p: None if p.grad is None else group["lr"] * p.grad
        )


class _Momentum(_Descent):
    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, lr, self._smoothed)
        self._past: dict[int, Any] = {}

    def _smoothed(self, group: Any, parameter: Any) -> Any:
        if parameter.grad is None:
            return None
        past = self._past.get(id(parameter), torch.zeros_like(parameter))
        self._past[id(parameter)] = 0.9 * past + parameter.grad
        return -group["lr"] * self._past[id(parameter)]


@stage
class ForgetsItsMomentum:
    """An optimizer whose momentum is not in state_dict(): a resumed training starts without."""

    kind: ClassVar[str] = "optimizer"
    caught_by: ClassVar[str] = "resumes"
    lr: Annotated[float, Field(gt=0)] = 0.01
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Momentum(parameters, self.lr)


@stage
class IgnoresWeightDecay(AdamW):
    """An optimizer with an option weight_decay that is never read."""

    kind: ClassVar[str] = "optimizer"
    caught_by: ClassVar[str] = "every option matters"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=self.eps)


@stage
class SkipsBiases(Adam):
    """An optimizer that was meant to spare biases from decay, and leaves them out altogether."""

    kind: ClassVar[str] = "optimizer"
    caught_by: ClassVar[str] = "a torch optimizer"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        matrices = [parameter for parameter in parameters if parameter.dim() > 1]
        return torch.optim.Adam(matrices, lr=self.lr, betas=self.betas, eps=self.eps)


@stage
class NegativeAfterItsEnd:
    """A linear decay that goes on below 0 when training goes on for longer."""

    kind: ClassVar[str] = "lr_schedule"
    caught_by: ClassVar[str] = "finite factors"
    total_steps: Annotated[int, Field(ge=1)] = 1000
    """Where the learning rate reaches 0."""

    def __call__(self, step: int) -> float:
        return 1 - step / self.total_steps


@stage
class DividesByNoWarmup:
    """A warm-up that divides by its length, which may be 0 steps."""

    kind: ClassVar[str] = "lr_schedule"
    caught_by: ClassVar[str] = "finite factors"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps until the full learning rate."""

    def __call__(self, step: int) -> float:
        return min(1.0, (step + 1) / self.warmup_steps)


@stage
class CountsItsCalls:
    """A decay that counts how often it was asked, not the steps: resumed, it starts anew."""

    kind: ClassVar[str] = "lr_schedule"
    caught_by: ClassVar[str] = "a function of the step"
    calls: ClassVar[list[int]] = []

    def __call__(self, step: int) -> float:
        self.calls.append(step)
        return 1 / len(self.calls)

"""Optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

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


def _stepping(
    optimizer: torch.optim.Optimizer, step: Callable[[Callable[[], Any]], None]
) -> torch.optim.Optimizer:
    """The optimizer with another step, which is given the one it had."""
    optimizer.step = partial(step, optimizer.step)  # type: ignore[method-assign]
    return optimizer


@stage
class OwnRate:
    """It steps by its own rate, not by that of its groups, which lr schedules set."""

    caught_by: ClassVar = "obeys the learning rate"
    lr: Annotated[float, Field(gt=0)] = 0.1
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Descent(
            parameters, self.lr, lambda _, p: None if p.grad is None else -self.lr * p.grad
        )


@stage
class NeedsEveryGradient:
    """It fails where a parameter took no part in the loss."""

    caught_by: ClassVar = "spares parameters without gradient"
    lr: Annotated[float, Field(gt=0)] = 0.1
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Descent(parameters, self.lr, lambda group, p: -group["lr"] * p.grad)


@stage
class Climbs:
    """It adds the gradient instead of subtracting it."""

    caught_by: ClassVar = "descends"
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
    """Its momentum is not in state_dict(): a resumed training starts without."""

    caught_by: ClassVar = "resumes"
    lr: Annotated[float, Field(gt=0)] = 0.01
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Momentum(parameters, self.lr)


@stage
class IgnoresWeightDecay(AdamW):
    """The option weight_decay is never read."""

    caught_by: ClassVar = "every option matters"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=self.eps)


@stage
class SkipsBiases(Adam):
    """It was meant to spare biases from decay, and leaves them out altogether."""

    caught_by: ClassVar = "makes a torch optimizer"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        matrices = [parameter for parameter in parameters if parameter.dim() > 1]
        return torch.optim.Adam(matrices, lr=self.lr, betas=self.betas, eps=self.eps)


class _SharedMomentum(_Descent):
    past: ClassVar[dict[Any, Any]] = {}

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(parameters, lr, self._smoothed)
        self.past.clear()

    def _smoothed(self, group: Any, parameter: Any) -> Any:
        if parameter.grad is None:
            return None
        past = self.past.get(parameter.shape, torch.zeros_like(parameter))
        self.past[parameter.shape] = 0.9 * past + parameter.grad
        return -group["lr"] * self.past[parameter.shape]


@stage
class SharesItsMomentum:
    """Its momentum is kept on the class: two trainings at a time get each other's."""

    caught_by: ClassVar = "shares nothing"
    lr: Annotated[float, Field(gt=0)] = 0.01
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _SharedMomentum(parameters, self.lr)


@stage
class StepsBySquare:
    """It steps by the square root of the learning rate, right at 0 and at no other rate."""

    caught_by: ClassVar = "obeys the learning rate"
    lr: Annotated[float, Field(gt=0)] = 0.01
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        def change(group: Any, p: Any) -> Any:
            return None if p.grad is None else -(group["lr"] ** 0.5) * p.grad

        return _Descent(parameters, self.lr, change)


@stage
class HoldsBiasesStill:
    """It holds all parameters and changes those of two and more dimensions."""

    caught_by: ClassVar = "moves every parameter"
    lr: Annotated[float, Field(gt=0)] = 0.01
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        def change(group: Any, p: Any) -> Any:
            return None if p.grad is None or p.dim() < 2 else -group["lr"] * p.grad

        return _Descent(parameters, self.lr, change)


@stage
class DecaysUpwards(AdamW):
    """Its weight decay has the wrong sign: weights grow."""

    caught_by: ClassVar = "decays weights"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        decay = self.weight_decay

        class Wrong(torch.optim.Adam):
            def step(self, closure: Any = None) -> None:  # type: ignore[override]
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is not None:
                            p.data.mul_(1 + group["lr"] * decay)
                super().step()

        return Wrong(parameters, lr=self.lr, betas=self.betas, eps=self.eps)


@stage
class TakesTen(AdamW):
    """Parameters beyond the tenth are not trained."""

    caught_by: ClassVar = "makes a torch optimizer"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return super().__call__(list(parameters)[:10])


@stage
class SparesLargeMatrices(AdamW):
    """Matrices of more than sixteen rows do not decay."""

    caught_by: ClassVar = "decays weights"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = super().__call__(parameters)
        group = optimizer.param_groups[0]
        large = [p for p in group["params"] if p.ndim > 1 and len(p) > 16]
        group["params"] = [p for p in group["params"] if not (p.ndim > 1 and len(p) > 16)]
        optimizer.add_param_group({"params": large, "weight_decay": 0.0})
        return optimizer


@stage
class StopsAfterTwenty(Adam):
    """From the twentieth step on nothing moves."""

    caught_by: ClassVar = "moves every parameter"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = super().__call__(parameters)

        def some(step: Callable[[], Any]) -> None:
            if all(int(state["step"]) < 20 for state in optimizer.state.values()):
                step()

        return _stepping(optimizer, some)


@stage
class LateDecay(AdamW):
    """After ten steps its decay no longer goes by the learning rate."""

    caught_by: ClassVar = "obeys the learning rate"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = super().__call__(parameters)

        @torch.no_grad()
        def decaying(step: Callable[[], Any]) -> None:
            for parameter, state in optimizer.state.items():
                if int(state["step"]) > 10:
                    parameter *= 0.9999
            step()

        return _stepping(optimizer, decaying)


@stage
class SparesTheLargest(Adam):
    """Matrices of more than ten thousand numbers stay as they are."""

    caught_by: ClassVar = "moves every parameter"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = super().__call__(parameters)

        def sparing(step: Callable[[], Any]) -> None:
            for parameter in optimizer.param_groups[0]["params"]:
                if parameter.numel() > 10_000:
                    parameter.grad = None
            step()

        return _stepping(optimizer, sparing)


@stage
class EverySecondStep(Adam):
    """Every second step changes nothing."""

    caught_by: ClassVar = "moves every parameter"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = super().__call__(parameters)
        group = optimizer.param_groups[0]
        group["count"] = 0

        def second(step: Callable[[], Any]) -> None:
            group["count"] += 1
            if group["count"] % 2:
                step()

        return _stepping(optimizer, second)


@stage
class VectorsGrow(AdamW):
    """Biases decay with the wrong sign, in a group of their own."""

    caught_by: ClassVar = "decays weights"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        sorted_by = {True: [], False: []}  # type: ignore[var-annotated]
        for parameter in parameters:
            sorted_by[parameter.ndim > 1].append(parameter)
        optimizer = super().__call__(sorted_by[True])
        decay = -self.weight_decay
        optimizer.add_param_group({"params": sorted_by[False], "weight_decay": decay})
        return optimizer


@stage
class StepsACopy(AdamW):
    """It steps on rows of numbers, which are copies where a kernel has its channels last."""

    caught_by: ClassVar = "moves every parameter"

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        weights = list(parameters)

        def on_rows(step: Callable[[], Any]) -> None:
            before = [weight.detach().clone() for weight in weights]
            step()
            with torch.no_grad():
                for weight, old in zip(weights, before, strict=True):
                    if not weight.is_contiguous():
                        weight.copy_(old)

        return _stepping(super().__call__(weights), on_rows)


def _centred(group: Any, parameter: nn.Parameter) -> Tensor | None:
    grad = parameter.grad
    if grad is not None and grad.ndim > 1:
        grad = grad - grad.mean(tuple(range(1, grad.ndim)), keepdim=True)
    return None if grad is None else -group["lr"] * grad


@stage
class CentresSingleInputs:
    """It takes the mean over an output's inputs from gradients: of one input nothing is left."""

    caught_by: ClassVar = "moves every parameter"
    lr: Annotated[float, Field(gt=0)] = 0.1
    """The learning rate."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return _Descent(parameters, self.lr, _centred)

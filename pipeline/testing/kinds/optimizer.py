"""What an optimizer has to keep: it descends, obeys its learning rate and can be resumed."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ...plugin.contracts import Optimizer
from ...training.checkpoint import optimizer_tensors, restore_optimizer
from ..core import Context, Wrong

STEPS = 200
TARGET = 0.5
"""Where the quadratic is least; the weights start further from 0, so decay helps."""


def behaviour(stage: Optimizer) -> Any:
    """The weights after some steps, in float64: small options show."""
    return _Problem(stage, torch.float64).run(20)


def makes_a_torch_optimizer(stage: Optimizer, _: Context) -> str:
    """Of torch's kind, with all the parameters, from any iterable."""
    parameters = _parameters(torch.float32)
    made: Any = stage(iter(parameters))
    if not isinstance(made, torch.optim.Optimizer):
        raise Wrong(f"it makes a {type(made).__name__}, not a torch.optim.Optimizer")
    held = [id(p) for group in made.param_groups for p in group["params"]]
    if sorted(held) != sorted(map(id, parameters)):
        raise Wrong(f"of {len(parameters)} parameters that it was given it holds {len(held)}")
    for group in made.param_groups:
        rate = group.get("lr")
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or rate <= 0:
            raise Wrong(f"a group's lr is {rate!r}, not the full learning rate, a number above 0")
    rates = ", ".join(f"{group['lr']:g}" for group in made.param_groups)
    return f"{type(made).__name__} of {len(held)} parameters, lr {rates}"


def descends(stage: Optimizer, _: Context) -> str:
    """A quadratic, from the wrong side and back."""
    problem = _Problem(stage, torch.float32)
    before = problem.loss()
    problem.run(STEPS)
    after = problem.loss()
    if not after < before:
        raise Wrong(f"a quadratic goes from {before:.4g} to {after:.4g} in {STEPS} steps")
    return f"a quadratic falls from {before:.4g} to {after:.4g} in {STEPS} steps"


def obeys_the_learning_rate(stage: Optimizer, _: Context) -> str:
    """The engine multiplies each group's ``lr`` in every step: 0 means no step."""
    problem = _Problem(stage, torch.float32)
    full = [group["lr"] for group in problem.optimizer.param_groups]
    moved = []
    for factor in (1.0, 0.0, 0.5):
        for group, rate in zip(problem.optimizer.param_groups, full, strict=True):
            group["lr"] = rate * factor
        before = _copies(problem.parameters)
        problem.run(1)
        moved.append(_distance(before, problem.parameters))
    if moved[1]:
        raise Wrong(
            f"with a learning rate of 0 in its groups the weights still move by {moved[1]:.3g}: "
            "it does not read group['lr'], so no lr schedule can steer it"
        )
    if not moved[0]:
        raise Wrong("in the first step nothing moves")
    return f"steps of {moved[0]:.3g} at the full rate, 0 at none, {moved[2]:.3g} at half"


def spares_parameters_without_gradient(stage: Optimizer, _: Context) -> str:
    """Parameters that took no part in the loss stay as they are."""
    problem = _Problem(stage, torch.float32)
    idle = nn.Parameter(torch.ones(3))
    problem.parameters.append(idle)
    problem.optimizer = stage(problem.parameters)
    problem.run(5)
    if not torch.equal(idle.detach(), torch.ones(3)):
        raise Wrong("a parameter without a gradient changes")
    return "a parameter without a gradient stays"


def resumes(stage: Optimizer, _: Context) -> str:
    """Through safetensors, as a checkpoint keeps it; bit for bit."""
    straight = _Problem(stage, torch.float32).run(12)
    first = _Problem(stage, torch.float32)
    first.run(5)
    try:
        kept = save(optimizer_tensors(first.optimizer))
    except Exception as error:
        raise Wrong(
            "its state cannot be kept in a checkpoint, which holds tensors only: "
            f"{type(error).__name__}: {error}"
        ) from error
    second = _Problem(stage, torch.float32, _copies(first.parameters))
    restore_optimizer(second.optimizer, load(kept))
    resumed = second.run(7)
    for one, other in zip(straight, resumed, strict=True):
        if not torch.equal(one, other):
            raise Wrong(
                f"after 5 steps, a checkpoint and 7 more the weights differ by "
                f"{_distance(straight, resumed):.3g} from 12 steps at once: part of its state is "
                "not in state_dict()"
            )
    return "5 steps, a checkpoint and 7 more are 12 steps, bit for bit"


def shares_nothing(stage: Optimizer, _: Context) -> str:
    """Two optimizers of one stage do not know of each other."""
    alone = _Problem(stage, torch.float32).run(6)
    one, other = (_Problem(stage, torch.float32) for _ in range(2))
    for _step in range(6):
        one.run(1)
        other.run(2)
    if _distance(alone, one.parameters):
        raise Wrong("an optimizer steps otherwise while another one of the same stage is used")
    return "two at a time step as one alone"


CHECKS = (
    makes_a_torch_optimizer,
    descends,
    obeys_the_learning_rate,
    spares_parameters_without_gradient,
    resumes,
    shares_nothing,
)


def _parameters(dtype: torch.dtype) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    shapes = ((4, 3), (4,), (2, 3, 2, 2))
    starts = [torch.rand(shape, generator=draw).to(dtype) + 2 * TARGET for shape in shapes]
    return [nn.Parameter(start) for start in starts]


class _Problem:
    """Half the squared distance from ``TARGET`` with another weight for each number, and a stage's
    optimizer of it."""

    def __init__(
        self, stage: Optimizer, dtype: torch.dtype, values: list[Tensor] | None = None
    ) -> None:
        self.parameters = [nn.Parameter(v) for v in values] if values else _parameters(dtype)
        self.parts = list(self.parameters)
        self.optimizer = stage(self.parameters)

    def _error(self) -> Tensor:
        errors = []
        for parameter in self.parts:
            weights = torch.logspace(-3, 0, parameter.numel(), dtype=parameter.dtype)
            errors.append((weights * (parameter.flatten() - TARGET) ** 2).sum() / 2)
        return torch.stack(errors).sum()

    def loss(self) -> float:
        return float(self._error().detach())

    def run(self, steps: int) -> list[Tensor]:
        """The weights after so many steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            self._error().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return _copies(self.parameters)


def _copies(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _distance(some: list[Tensor], others: list[Any]) -> float:
    pairs = zip(some, others, strict=True)
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in pairs)

"""Checks of optimizers: they descend, obey their learning rate and can be resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ...plugin.contracts import Optimizer
from ...training.checkpoint import groups_of, optimizer_state, restore_optimizer
from ..context import Check, Context, Wrong

STEPS = 200
"""Steps in which the quadratic has to fall."""
FACTORS = (0.75, 0.5, 0.1, 1e-3)
"""Of the full learning rate, at which steps are compared with the full one."""
SOME, LATE = 30, 150
"""Steps after which a step is looked at once more."""
TARGET = 0.5
"""Where the quadratic is least; the weights start further from 0, so decay helps."""


def behaviour(stage: Optimizer) -> list[Tensor]:
    """The weights after some steps, in float64: small options show."""
    return _Quadratic(stage, torch.float64).run(20)


def makes_a_torch_optimizer(stage: Optimizer, _: Context) -> str:
    """It is one of torch's kind, with all the parameters, from any iterable."""
    parameters = _parameters(torch.float32)
    optimizer: object = stage(iter(parameters))
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise Wrong(f"it makes a {type(optimizer).__name__}, not a torch.optim.Optimizer")
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    if sorted(held) != sorted(map(id, parameters)):
        raise Wrong(f"of {len(parameters)} parameters that it was given it holds {len(held)}")
    for group in optimizer.param_groups:
        rate = group.get("lr")
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or rate <= 0:
            raise Wrong(f"a group's lr is {rate!r}, not the full learning rate, a number above 0")
    rates = ", ".join(f"{group['lr']:g}" for group in optimizer.param_groups)
    return f"{type(optimizer).__name__} of {len(held)} parameters, lr {rates}"


def descends(stage: Optimizer, _: Context) -> str:
    """A quadratic falls."""
    problem = _Quadratic(stage, torch.float32)
    before = problem.loss()
    problem.run(STEPS)
    after = problem.loss()
    if not after < before:
        raise Wrong(f"a quadratic goes from {before:.4g} to {after:.4g} in {STEPS} steps")
    return f"a quadratic falls from {before:.4g} to {after:.4g} in {STEPS} steps"


def obeys_the_learning_rate(stage: Optimizer, _: Context) -> str:
    """The engine multiplies each group's ``lr`` in every step: the step is proportional to it."""
    steps = {factor: _first_step(stage, factor) for factor in (1.0, 0.0, *FACTORS)}
    full, none = (max(float(s.abs().max()) for s in steps[factor]) for factor in (1.0, 0.0))
    if none:
        raise Wrong(
            f"with a learning rate of 0 in its groups the weights still move by {none:.3g}: "
            "it does not read group['lr'], so no lr schedule can steer it"
        )
    if not full:
        raise Wrong("in the first step nothing moves")
    for factor in FACTORS:
        for whole, part in zip(steps[1.0], steps[factor], strict=True):
            away = float((part - factor * whole).abs().max())
            if away > 1e-6 * factor * full:
                raise Wrong(
                    f"at {factor:g} of the full rate a step is {away:.3g} away from "
                    f"{factor:g} of the full one, {full:.3g} at most: it should be in proportion"
                )
    _in_proportion_later(stage)
    return (
        f"steps of {full:.3g} at the full rate, 0 at none, in proportion at {len(FACTORS)} others"
    )


def moves_every_parameter(stage: Optimizer, _: Context) -> str:
    """Whatever their shape: biases, kernels and single numbers too."""
    before = _parameters(torch.float64)
    after = _Quadratic(stage, torch.float64).run(5)
    for old, new in zip(before, after, strict=True):
        if torch.equal(old.detach(), new):
            raise Wrong(f"the parameter of shape {tuple(old.shape)} stays as it is")
    problem = _Quadratic(stage, torch.float64)
    earlier = problem.run(LATE)
    for step in (LATE, LATE + 1, LATE + 2):
        later = problem.run(1)
        for one, next_one in zip(earlier, later, strict=True):
            if torch.equal(one, next_one):
                raise Wrong(f"in step {step} the parameter of shape {tuple(one.shape)} stays")
        earlier = later
    return f"{len(after)} shapes, from () to {tuple(after[-1].shape)}"


def decays_weights(stage: Optimizer, _: Context) -> str:
    """With an option ``weight_decay`` weights shrink, and the more of it the more."""
    if not hasattr(stage, "weight_decay"):
        return "it has no option weight_decay"
    shrunk = []
    for decay in (0.0, 0.25, 0.5):
        decaying = replace(stage, weight_decay=decay)  # type: ignore[type-var]
        problem = _Quadratic(decaying, torch.float64)
        for parameter in problem.parameters:
            parameter.grad = torch.full_like(parameter, 1e-3)
        problem.optimizer.step()
        shrunk.append(_copies(problem.parameters))
    olds = _parameters(torch.float64)
    falls = [
        bool(((b < a) & (c < b))[old > 0].any()) for old, a, b, c in zip(olds, *shrunk, strict=True)
    ]
    for old, falling in zip(olds, falls, strict=True):
        if old.ndim >= 2 and not falling and bool(old.any()):
            shape = tuple(old.shape)
            raise Wrong(f"weight_decay 0.25 and 0.5 do not shrink the weights of shape {shape}")
    for old, *new in zip(olds, *shrunk, strict=True):
        if any(bool((b.abs() > a.abs()).any()) for a, b in pairwise(new)):
            raise Wrong(f"with more weight_decay weights of shape {tuple(old.shape)} grow")
    return f"matrices and kernels shrink, {sum(falls)} of {len(falls)} parameters"


def spares_parameters_without_gradient(stage: Optimizer, _: Context) -> str:
    """Parameters that took no part in the loss stay as they are."""
    problem = _Quadratic(stage, torch.float32)
    idle = nn.Parameter(torch.ones(3))
    problem.optimizer = stage([*problem.parameters, idle])
    problem.run(5)
    if not torch.equal(idle.detach(), torch.ones(3)):
        raise Wrong("a parameter without a gradient changes")
    return "a parameter without a gradient stays"


def resumes(stage: Optimizer, _: Context) -> str:
    """It goes on through safetensors, as a checkpoint keeps it, bit for bit."""
    straight = _Quadratic(stage, torch.float32).run(12)
    first = _Quadratic(stage, torch.float32)
    first.run(5)
    second = _Quadratic(stage, torch.float32, _copies(first.parameters))
    tensors, plain = _saved(first)
    restore_optimizer(second.optimizer, load(tensors), json.loads(plain))
    resumed = second.run(7)
    if not all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True)):
        raise Wrong(
            f"after 5 steps, a checkpoint and 7 more the weights differ by "
            f"{_distance(straight, resumed):.3g} from 12 steps at once: part of its state is "
            "neither in state_dict()['state'] nor in its param_groups"
        )
    return "5 steps, a checkpoint and 7 more are 12 steps, bit for bit"


def shares_nothing(stage: Optimizer, _: Context) -> str:
    """Two optimizers of one stage do not know of each other."""
    alone = _Quadratic(stage, torch.float32).run(6)
    first, second = (_Quadratic(stage, torch.float32) for _ in range(2))
    for _step in range(6):
        first.run(1)
        second.run(2)
    if _distance(alone, first.parameters):
        raise Wrong("an optimizer steps otherwise while another one of the same stage is used")
    return "two at a time step as one alone"


CHECKS: Sequence[Check] = (
    makes_a_torch_optimizer,
    descends,
    obeys_the_learning_rate,
    moves_every_parameter,
    decays_weights,
    spares_parameters_without_gradient,
    resumes,
    shares_nothing,
)


class _Quadratic:
    """Half the squared distance from ``TARGET``, weighted for each number, and its optimizer."""

    def __init__(
        self, stage: Optimizer, dtype: torch.dtype, values: list[Tensor] | None = None
    ) -> None:
        self.parameters = [nn.Parameter(v) for v in values] if values else _parameters(dtype)
        self.weights = [
            torch.logspace(-3, 0, p.numel(), dtype=p.dtype).reshape(p.shape)
            for p in self.parameters
        ]
        self.optimizer = stage(self.parameters)
        self.new_groups = groups_of(self.optimizer)

    def loss(self) -> float:
        """Half the squared distance from ``TARGET``, weighted."""
        errors = zip(self.weights, self.parameters, strict=True)
        return float(sum((w * (p.detach() - TARGET) ** 2).sum() / 2 for w, p in errors))

    def run(self, steps: int) -> list[Tensor]:
        """The weights after so many steps."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            for weight, parameter in zip(self.weights, self.parameters, strict=True):
                # What autograd would make of the loss, which takes most of a check's time.
                parameter.grad = (parameter.detach() - TARGET).mul_(weight)
            self.optimizer.step()
        return _copies(self.parameters)


def _in_proportion_later(stage: Optimizer) -> None:
    """Raise Wrong unless a step after some others is proportional to the learning rate too."""
    moves = []
    for factor in (1.0, 0.5):
        problem = _Quadratic(stage, torch.float64)
        before = problem.run(SOME)
        for group in problem.optimizer.param_groups:
            group["lr"] *= factor
        moves.append([new - old for old, new in zip(before, problem.run(1), strict=True)])
    for whole, half in zip(*moves, strict=True):
        away, full = (float(x.abs().max()) for x in (half - whole / 2, whole))
        if away > 1e-6 * full:
            raise Wrong(
                f"after {SOME} steps one at half of the full rate is {away:.3g} away from half of "
                f"the full one, {full:.3g} at most: it should be in proportion"
            )


def _first_step(stage: Optimizer, factor: float) -> list[Tensor]:
    """How each weight moves in the first step, with the groups' full rates times a factor."""
    problem = _Quadratic(stage, torch.float64)
    for group in problem.optimizer.param_groups:
        group["lr"] *= factor
    before = _copies(problem.parameters)
    return [new - old for old, new in zip(before, problem.run(1), strict=True)]


def _parameters(dtype: torch.dtype) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    # Small ones, and a matrix and a kernel as networks have them: some optimizers tell them apart.
    shapes = (
        (),
        (4, 3),
        (4,),
        (2, 3, 2, 2),
        (32, 20),
        (20, 3, 3, 3),
        (70,),
        (6, 1),
        (9, 1, 1, 1),
        *[(5,)] * 37,
        (16, 20),
        (5,),
        (18, 70),
        (130, 128),
    )
    starts = [torch.rand(shape, generator=draw).to(dtype) + 2 * TARGET for shape in shapes]
    for start in starts[-4:-2]:  # as last layers start, and biases
        start.zero_()
    # As the engine has kernels of networks in memory.
    starts[5] = starts[5].contiguous(memory_format=torch.channels_last)
    return [nn.Parameter(start) for start in starts]


def _saved(problem: _Quadratic) -> tuple[bytes, str]:
    """Its state as a checkpoint keeps it. Raises Wrong where it cannot be kept."""
    try:
        tensors, plain = optimizer_state(problem.optimizer, problem.new_groups)
        packed = {name: tensor.contiguous() for name, tensor in tensors.items()}
        return save(packed), json.dumps(plain, allow_nan=False)
    except Exception as error:
        raise Wrong(
            "its state cannot be kept in a checkpoint, which holds tensors, numbers and texts: "
            f"{type(error).__name__}: {error}"
        ) from error


def _copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    pairs = zip(first, second, strict=True)
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in pairs)

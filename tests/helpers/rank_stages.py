"""Stages of which one rank fails, or that note what they see, as a plugin file."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from torch import Tensor, distributed, nn, optim

from pipeline import Draws, InputError, IOOnly, Network, Rates, Schedule, hookimpl, stage
from pipeline_objectives.denoising import Denoising
from pipeline_optimizers.adamw import AdamW

FILE = Path(__file__)
SEEN = "seen.jsonl"
"""Where what the network and the optimizer see is noted, in the folder of the command."""

What = Literal["killed", "crash", "refusal", "terminated", "ctrl-c"]


@stage
class Fault:
    """An augmentation that changes nothing; in one step something befalls its process."""

    step: Annotated[int, IOOnly()] = -1
    """After so many steps; -1: never."""
    rank: Annotated[int, IOOnly()] = 1
    """The rank that it befalls."""
    what: Annotated[What, IOOnly()] = "crash"
    """A signal, an exception, an InputError; ctrl-c: the launcher gets it."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """The same images, if the process lives."""
        first = draws.batch[0] == 0
        if draws.step == self.step and first and _rank() == self.rank:
            self._befall()
        return images

    def _befall(self) -> None:
        if self.what == "crash":
            raise RuntimeError("the dog ate it")
        if self.what == "refusal":
            raise InputError("image 3: has no flower in it")
        if self.what == "ctrl-c":
            os.kill(os.getppid(), signal.SIGINT)
        else:
            os.kill(os.getpid(), signal.SIGKILL if self.what == "killed" else signal.SIGTERM)


@stage
class Noting(Denoising):
    """It notes each noisy image that the network is shown: two sums of it, its signal and label."""

    def loss(
        self,
        network: Network,
        x0: Tensor,
        label: Tensor | None,
        schedule: Schedule,
        draws: Draws,
    ) -> dict[str, Tensor]:
        """Those of ``denoising``."""

        def noting(x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
            flat, half = x.double().flatten(1), x[:, :, :8].double().flatten(1)
            facts = flat.sum(1), half.sum(1), rates.signal.flatten(), label
            rows = zip(*(fact.tolist() for fact in facts if fact is not None), strict=True)
            _note([[draws.step, row, *seen] for row, seen in zip(draws.rows, rows, strict=True)])
            return network(x, rates, label)

        noted = noting if draws.purpose == "train" else network
        return super().loss(noted, x0, label, schedule, draws)


@stage
class NotingAdamW(AdamW):
    """It notes the learning rate of each step."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        """Whose step rank 0 notes."""
        optimizer = super().__call__(parameters)
        if _rank() == 0:
            optimizer.register_step_pre_hook(lambda own, *_: _note(own.param_groups[0]["lr"]))
        return optimizer


def _note(what: object) -> None:
    with Path(SEEN).open("a") as file:
        file.write(json.dumps(what) + "\n")


def _rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


@hookimpl
def register_augmentations() -> Mapping[str, type]:
    """What fails."""
    return {"fault": Fault}


@hookimpl
def register_objectives() -> Mapping[str, type]:
    """What notes images."""
    return {"noting": Noting}


@hookimpl
def register_optimizers() -> Mapping[str, type]:
    """What notes learning rates."""
    return {"noting_adamw": NotingAdamW}

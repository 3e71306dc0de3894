"""``--processes``: a command in several processes, which torch's own launcher starts and ends."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import ENDS_WITH_STDIN, Failed, InputError
from ..machine import choose_device, cores
from ..ranks import here


class Processes(click.ParamType):  # type: ignore[type-arg]
    """``2`` or ``auto``."""

    name = "N|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """Or an error that says how to write it."""
        if value == "auto" or isinstance(value, int):
            return "auto" if value == "auto" else int(value)
        if not str(value).isdecimal() or not int(value):
            self.fail(f"{value!r} is not like 2 or auto", param, ctx)
        return int(value)


processes = click.option(
    "--processes",
    type=Processes(),
    help="How many train, draw and embed together; auto: one for each GPU, else one  "
    "[default: 1, or as torchrun started them]",
)


def wanted(asked: int | str | None, device: str) -> int:
    """How many processes to start from this one; 1: none. InputError for what cannot be had."""
    world = here()
    if world.size > 1:
        if asked not in (None, "auto", world.size):
            raise InputError(f"--processes {asked}: a launcher started {world.size}; leave it out")
        return 1
    if asked is None or asked == 1:
        return 1
    import torch  # help must not wait for it

    kind = choose_device(device)
    count = torch.cuda.device_count() if kind.startswith("cuda") else 0
    if kind not in ("cuda", "cpu"):
        told = f"--processes {asked} on {kind}: several work on cuda (each its own GPU) or on cpu"
        raise InputError(f"{told}; give --device")
    if asked == "auto":
        return max(1, count)
    if kind == "cuda" and int(asked) > count:
        raise InputError(
            f"--processes {asked}: this machine has {count} GPUs, one for each; "
            "start fewer, or give --device cpu"
        )
    return int(asked)


def check(count: int, recipe: str, overrides: Sequence[str], plugins: Sequence[Path]) -> None:
    """InputError for what is wrong with a recipe, and for more processes than it can have."""
    from ..recipe.load import check_recipe  # help must not wait for it
    from ..training.batches import check_shares

    check_shares(check_recipe(recipe, overrides, plugins=plugins).recipe.train, count)


def start(count: int) -> int:
    """This very command in so many processes; the exit code of the one that failed first, or 0."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // count)))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Their stdin ends when this process does, even by a kill: then they save and end too.
    stdin, _ = os.pipe()
    os.dup2(stdin, 0)
    os.environ[ENDS_WITH_STDIN] = "1"
    logging.disable(logging.ERROR)  # what failed, the ranks tell
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "pipeline", *sys.argv[1:])
    except SignalException as end:
        return 128 + int(end.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return int(failure.exitcode)
        name = signal.Signals(-failure.exitcode).name
        raise Failed(
            f"rank {rank} of {count} was ended by {name}; "
            "the same command goes on from the last checkpoint"
        ) from None
    return 0

"""A command in several processes: how its ranks begin, what they are told to do, how they end.

Rank 0 runs the command as it would alone. The others wait until it tells them to do their share of
something, do it, and wait again; they decide nothing and write nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, MutableMapping
from datetime import timedelta
from typing import Any, NoReturn

from ..errors import InputError
from ..streams import stdout_to_stderr
from .shares import Shares

PATIENCE = timedelta(hours=2)
"""How long a rank waits for the others within a share, such as for rank 0 while it scores."""

LOOKING, LINGERING = 0.05, 5.0
"""Seconds between two looks for something to do, and for which a rank that lost the others waits
for the launcher to end it: what the launcher sees first is the reason that it tells."""

PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""Variables in which launchers tell a process its place."""

LOST = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "tcpstore")
"""Words, in small letters, in torch's errors when another rank is gone."""


class World(Shares):
    """All ranks of a command, seen from one of them. A process that is alone is one too."""

    def __init__(
        self, rank: int = 0, size: int = 1, local_rank: int = 0, local_size: int = 1
    ) -> None:
        """``local_rank`` of ``local_size`` are on this machine."""
        super().__init__(rank, size)
        self.local_rank, self.local_size = local_rank, local_size
        self.busy = False
        """Whether a share is being done, so that nobody would hear of an end."""
        self._store: Any = None
        self._tasks = 0
        self._joined = False

    @property
    def name(self) -> str:
        """``rank 1 of 2``."""
        return f"rank {self.rank} of {self.size}"

    # Beginning and end ---------------------------------------------------------------------------

    def meet(self) -> None:
        """Find the others, through what the launcher told. InputError where they are not there."""
        from torch.distributed.rendezvous import rendezvous

        try:
            self._store, *_ = next(iter(rendezvous("env://", self.rank, self.size)))
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{self.name} cannot find the others ({str(error).splitlines()[0]}): start it with "
                "torchrun, accelerate launch or --processes"
            ) from error

    def tell(self, task: bytes) -> None:
        """Let the others do something, which ``tasks`` gives them."""
        self._store.set(f"task {self._tasks}", task)
        self._tasks += 1
        self.busy = bool(task)

    def tasks(self) -> Iterator[bytes]:
        """Wait for the tasks that rank 0 sets, one after another, until it sets the last."""
        while True:
            while not self._store.check([f"task {self._tasks}"]):
                time.sleep(LOOKING)  # not in torch, where no signal would be heard
            task = self._store.get(f"task {self._tasks}")
            self._tasks += 1
            if not task:
                return
            self.busy = True
            yield task
            self.busy = False

    def join(self, device: str) -> None:
        """Connect the ranks for sums and the like, unless it was done."""
        if self._joined:
            return
        import torch
        from torch import distributed
        from torch.distributed.distributed_c10d import PrefixStore

        backend = "gloo"
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
            backend = "cpu:gloo,cuda:nccl"
        self._joined = True
        with stdout_to_stderr():  # where gloo says that it is there
            distributed.init_process_group(
                backend,
                store=PrefixStore("ranks", self._store),
                rank=self.rank,
                world_size=self.size,
                timeout=PATIENCE,
            )

    def is_first_to_tell(self) -> bool:
        """Whether no other rank has told of an error: one brings the others with it."""
        if self._store is None:
            return True
        try:
            return bool(self._store.add("told", 1) == 1)
        except RuntimeError:  # nobody else is there
            return True

    def leave(self, code: int) -> int:
        """End this rank, and if it is rank 0 all. Returns the exit code, if it returns."""
        if self._store is None:
            return code
        if code and self.busy:  # the others notice that it is gone
            _exit(code)
        try:
            if self.leads:
                self.tell(b"")
            self._store.add("gone", 1)
            # Rank 0 may be where they look: it stays until they have seen the end.
            until = time.monotonic() + LINGERING
            while self.leads and self._store.add("gone", 0) < self.size:
                if time.monotonic() > until:
                    break
                time.sleep(LOOKING)
        except RuntimeError:
            _exit(code)
        if self._joined:
            from torch import distributed

            distributed.destroy_process_group()
        return code

    def linger(self, code: int) -> NoReturn:
        """End after the launcher had the time to see which rank ended first."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stderr.flush()
        time.sleep(LINGERING)
        _exit(code)


_here = World()


def here() -> World:
    """This process and its like."""
    return _here


def enter(environment: MutableMapping[str, str]) -> World:
    """Take the place that a launcher gave this process in the variables of its environment.

    They are taken out: what this process starts is no rank.
    """
    global _here
    told = [environment.get(name, "") for name in PLACE]
    if "MASTER_ADDR" in environment and all(map(str.isdecimal, told)) and int(told[1]) > 1:
        rank, size, local_rank = map(int, told)
        _here = World(rank, size, local_rank, int(environment.get("LOCAL_WORLD_SIZE", size)))
        for name in PLACE:
            del environment[name]
        # Torch warns in each process of what is meant as it is.
        environment.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    return _here


def lost_touch(error: BaseException) -> bool:
    """Whether an error says no more than that another rank is gone."""
    if not isinstance(error, RuntimeError):
        return False
    module = type(error).__module__
    said = str(error).lower()
    return module.startswith("torch.distributed") or any(words in said for words in LOST)


def _exit(code: int) -> NoReturn:
    """End at once: torch would wait for ranks that do not answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""How the network computes while it is trained: in which precision, and whether it is compiled."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from ..diffusion.precision import at_precision, computing
from ..errors import Failed
from ..progress import note
from ..ranks import World, here
from ..recipe.schema import Train


class Computation:
    """The network of a training as objectives call it, and the way from a loss to its weights.

    Gradients that fp16 would round to zero are scaled up, and a step in which they overflow is
    left out (Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740, section 3.2).
    """

    def __init__(self, network: nn.Module, settings: Train, device: str) -> None:
        self.settings, self.compiled, self.world = settings, False, here()
        self.parameters, self.buffers = list(network.parameters()), list(network.buffers())
        self.shared = shared_network(network) if self.world.size > 1 else None
        self.network = at_precision(self.shared or network, settings.precision, device)
        self.scaler = torch.amp.GradScaler(
            torch.device(device).type, enabled=settings.precision == "fp16"
        )
        if settings.compile:
            network.compile()  # in place: the names in its state stay

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step, with its backward pass; the first one tells what compiling costs."""
        with computing(self.settings.precision), self._telling():
            yield

    def batch(self, last: bool) -> AbstractContextManager[None]:
        """Around a batch of a step, with its backward pass: the last one's sums up all ranks."""
        return nullcontext() if last or self.shared is None else self.shared.no_sync()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def change(self, optimizer: Optimizer) -> None:
        """Change the weights by their gradients, which are clipped where the recipe says so."""
        if self.settings.clip_gradients is not None:
            self.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip_gradients)
        self.scaler.step(optimizer)
        self.scaler.update()
        if self.buffers:  # what a rank saw alone, such as statistics of its share
            self.world.spread(self.buffers)

    def state(self) -> dict[str, object]:
        """What a checkpoint has to hold; nothing but for fp16."""
        return {"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {}

    def restore(self, state: Mapping[str, dict[str, object]]) -> None:
        """Go on with what ``state`` gave."""
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    @contextmanager
    def _telling(self) -> Iterator[None]:
        if not self.settings.compile or self.compiled:
            yield
            return
        note("compiling the network: the first step may take a minute or more")
        started = time.monotonic()
        try:
            yield
        except Exception as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            # The first line often is "backend='inductor' raised:", and what it raised the second.
            reason = " ".join(str(error).split("\n")[:2]).strip() or type(error).__name__
            raise Failed(
                f"train.compile: torch could not compile this network ({reason}); leave it out"
            ) from error
        self.compiled = True
        note(f"compiled: the first step took {time.monotonic() - started:.0f} s")


def shared_network(network: nn.Module) -> DistributedDataParallel:
    """The network as all ranks train it: gradients are the mean over the ranks."""
    # A plugin's network may leave weights out, in all steps or in some; buffers are spread after
    # the step, so that averages and checkpoints have the same ones.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its newer name is not in torch 2.6
        return DistributedDataParallel(
            network, broadcast_buffers=False, find_unused_parameters=True
        )


def synchronised(network: nn.Module, device: str, world: World) -> nn.Module:
    """The network with batch norms over all ranks, where the device can; else that is told."""
    normed = any(isinstance(module, _BatchNorm) for module in network.modules())
    if world.size == 1 or not normed:
        return network
    if device.startswith("cuda"):
        convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
        return convert(network)
    note(
        f"batch norm: on {device} each of {world.size} processes normalises with its own share of "
        "a batch, so the result is not that of one process; a network without it (norm: group) "
        "has no such difference"
    )
    return network


@contextmanager
def uncompiled() -> Iterator[None]:
    """Networks compute as they are written: other modes and batches would be compiled anew."""
    with torch.compiler.set_stance("force_eager"):
        yield

"""Many small kernels that a GPU runs as one, as it was shown them before: CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import torch
from torch import Tensor


class Recorded:
    """A function's work on a CUDA device, recorded once and then repeated for other inputs.

    To start a kernel costs more time than a small one takes: of hundreds one start is left. The
    function must do the same work for all inputs of these shapes, and wait for nothing.
    """

    def __init__(self, function: Callable[..., Tensor], *given: Tensor) -> None:
        """``given`` have the shapes and the device of all inputs to come; they are kept."""
        self.lock, self.graph = Lock(), torch.cuda.CUDAGraph()
        self.function, self.given = function, given  # kept: the graph has only their addresses
        # Tensors made in inference mode could not be filled anew outside it.
        with torch.cuda.device(given[0].device), torch.inference_mode(False), torch.no_grad():
            now, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(now)
            with torch.cuda.stream(aside):
                function(*given)  # what is loaded or kept at the first use is not recorded
            now.wait_stream(aside)
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                self.made = function(*given)

    def __call__(self, *given: Tensor | int) -> Tensor:
        """The function's result for these inputs; a number fills a whole tensor."""
        with self.lock, torch.cuda.device(self.made.device):
            for place, value in zip(self.given, given, strict=True):
                place[...] = value
            self.graph.replay()
            return self.made.clone()

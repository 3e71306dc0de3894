"""The same network, images, batch and steps through three training loops, on the CPU.

    python benchmarks/peers.py [--size 32] [--batch 32] [--rounds 30] [--starts 3]

(a) this project's `Training`, (b) a bare loop of torch, (c) the loop of diffusers' unconditional
training example, written anew with its public parts and accelerate: peer_loops.py has them. Each
mirrors, normalises and noises a batch, changes the weights by AdamW and follows them by an average.
The network is UNet2DModel, the backbone `unet2d`.

Steps alternate within one process, all with the memory allocator set as this project sets it while
it trains. Start-up, from the start of Python to the end of the first step, and peak memory are
each peer's own: fresh processes that import only what this peer needs, its images prepared.
Needs diffusers and accelerate, which the extra `test` has.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from alternating import alternate, positive, print_table, ratio, refusing, timed
from peer_loops import Setting, Step, bare, diffusers_example, ours, prepared, unet

if TYPE_CHECKING:
    from torch import nn


def write_shared(setting: Setting) -> int:
    """Prepare the images, and write what the other peers read. Returns how many weights learn."""
    import numpy as np

    from pipeline.diffusion.model import build_network

    recipe, _, images = prepared(setting)
    np.save(setting.file("images.npy"), images.pixels(images.indices("train")))
    network = build_network(recipe, images.shape, None, "cpu")
    options = {k: v for k, v in network.unet.config.items() if not k.startswith("_")}
    setting.file("network.json").write_text(json.dumps(options))
    theirs = count(unet(setting))
    assert count(network) == theirs, f"{count(network)} parameters are not {theirs}"
    return theirs


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


PEERS: dict[str, Callable[[Setting], Step]] = {
    "this project's Training": ours,
    "a bare loop of torch": bare,
    "diffusers' example": diffusers_example,
}


def start(name: str, setting: Setting) -> None:
    """In a process of its own: one step, a line, two steps more, and the most memory so far."""
    import torch

    torch.set_num_threads(setting.threads)
    with allocator() if PEERS[name] is ours else nullcontext():
        step = PEERS[name](setting)
        step()
        print("stepped", flush=True)
        step(), step()
    # Not getrusage's, which knows the memory of the process that started this one too.
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def allocator() -> Any:
    from pipeline.machine import reusing_memory

    return reusing_memory()


class Start(NamedTuple):
    """Of a process: seconds to the end of its first step, and GiB at the most."""

    seconds: float
    memory: float


def started(name: str, setting: Setting) -> Start:
    command = [sys.executable, __file__, "--start", name, json.dumps(setting)]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        if not child.stdout.readline():
            raise SystemExit(f"{name}: its process ended before the first step")
        seconds = time.perf_counter() - begun
        memory = int(child.stdout.readline()) / 2**20
    return Start(seconds, memory)


def main(setting: Setting, rounds: int, starts: int) -> None:
    import torch

    parameters = write_shared(setting)
    begun = [{name: started(name, setting) for name in PEERS} for _ in range(starts)]
    torch.set_num_threads(setting.threads)
    with allocator():
        steps = {name: timed(peer(setting)) for name, peer in PEERS.items()}
        taken = alternate(steps, rounds)
    print(
        f"{parameters:,} parameters, batches of {setting.batch} at {setting.size}×{setting.size}, "
        f"{setting.threads} threads; medians of {rounds} steps and {starts} starts\n"
    )
    reference = taken["a bare loop of torch"]
    header = ["", "s a step", "on the bare loop (quartiles)", "start to first step, s", "peak, GiB"]
    rows = []
    for name, seconds in taken.items():
        own = [found[name] for found in begun]
        first, memory = (statistics.median(side) for side in zip(*own, strict=True))
        cells = [f"{statistics.median(seconds):.3f}", ratio(seconds, reference)]
        rows.append([name, *cells, f"{first:.1f}", f"{memory:.2f}"])
    print_table(header, rows)


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=positive, default=32)
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--rounds", type=positive, default=30)
    parser.add_argument("--starts", type=positive, default=3)
    parser.add_argument("--small", action="store_true", help="only to try it: a tiny network")
    parser.add_argument("--start", nargs=2, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    parser = command_line()
    asked = parser.parse_args()
    if asked.start:
        start(asked.start[0], Setting(*json.loads(asked.start[1])))
    else:
        import torch

        with refusing(parser), tempfile.TemporaryDirectory() as folder:
            few = torch.get_num_threads()
            if asked.small:
                main(Setting(folder, 16, 8, [8, 16], 60, few), 2, 1)
            else:
                widths = [32, 64, 96, 128]
                given = Setting(folder, asked.size, asked.batch, widths, 1000, few)
                main(given, asked.rounds, asked.starts)

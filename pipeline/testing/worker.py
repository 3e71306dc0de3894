"""Another process, started once, that says what a pickled stage does there."""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from ..plugin.registry import load_file
from .context import Wrong

_started: list[subprocess.Popen[bytes]] = []


def call_elsewhere(function: Callable[[Any], Any], stage: object) -> Any:
    """What a module's function answers to the stage in the worker. Raises Wrong if it fails."""
    pickled = pickle.dumps((function, stage))
    process = _process()
    assert process.stdin
    assert process.stdout
    pickle.dump((sys.path, _plugin_files(pickled), torch.get_num_threads(), pickled), process.stdin)
    process.stdin.flush()
    try:
        failed, answer = pickle.load(process.stdout)
    except EOFError as error:
        _started.clear()
        raise Wrong("the worker process that it was pickled to died") from error
    if failed:
        raise Wrong(f"in another process it raised {failed}")
    return answer


def _plugin_files(pickled: bytes) -> list[str]:
    """A ``--plugin`` file is no module that can be imported: the worker has to load it too."""
    return [
        str(module.__file__)
        for name, module in list(sys.modules.items())
        if name.startswith("pipeline_file_") and name.encode() in pickled
    ]


def _process() -> subprocess.Popen[bytes]:
    if not _started or _started[0].poll() is not None:
        path = os.pathsep.join(sys.path)
        _started[:] = [
            subprocess.Popen(
                [sys.executable, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "271828"},
            )
        ]
        atexit.register(_stop, _started[0])
    return _started[0]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the other side is gone."""
    while True:
        try:
            paths, files, threads, pickled = pickle.load(requests)
        except EOFError:
            return
        try:
            sys.path[:] = paths
            reply = pickle.dumps((None, _called(pickled, files, threads)))
        except Exception as error:  # a stage may fail in any way
            reply = pickle.dumps((f"{type(error).__name__}: {' '.join(str(error).split())}", None))
        answers.write(reply)
        answers.flush()


def _called(pickled: bytes, files: list[str], threads: int) -> object:
    torch.set_num_threads(threads)
    for file in files:
        load_file(Path(file))
    function, stage = pickle.loads(pickled)
    return function(stage)


if __name__ == "__main__":
    private = os.dup(1)
    os.dup2(2, 1)  # what a stage prints is no answer
    _serve(sys.stdin.buffer, os.fdopen(private, "wb"))

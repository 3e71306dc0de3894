"""Standard output, kept for results whatever else wants to print there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .system import c_library


@contextmanager
def stdout_to_stderr() -> Iterator[int]:
    """Send to stderr what is printed within the block, by C libraries too.

    Gives the file descriptor of the real standard output.
    """
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        yield real
    finally:
        sys.stdout.flush()
        if library := c_library():
            library.fflush(None)  # what C libraries hold back belongs to the block
        os.dup2(real, 1)
        os.close(real)

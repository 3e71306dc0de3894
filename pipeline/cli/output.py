"""What a command says: text, or with ``--json`` one document and nothing else on stdout."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@contextlib.contextmanager
def output(as_json: bool) -> Iterator[Callable[[Any, str], None]]:
    """A function that prints data as JSON, or its text.

    With JSON, all that anybody else prints meanwhile, C libraries too, goes to stderr.
    """
    if not as_json:
        yield lambda _, text: click.echo(text)
        return
    sys.stdout.flush()
    real = os.dup(1)
    os.dup2(2, 1)
    try:
        given: list[Any] = []
        yield lambda data, _: given.append(data)
        sys.stdout.flush()
        with os.fdopen(os.dup(real), "w") as out:
            json.dump(given[0], out, indent=2, allow_nan=False, default=str)
            out.write("\n")
    finally:
        sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)  # what C libraries hold back must not follow the document
        os.dup2(real, 1)
        os.close(real)

"""What a command says: text, or with ``--json`` one document and nothing else on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from ..errors import Failed, InputError
from ..streams import stdout_to_stderr

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@contextlib.contextmanager
def output(as_json: bool) -> Iterator[Callable[[Any, str], None]]:
    """A function that prints data as JSON, or its text.

    With JSON, all that anybody else prints meanwhile, C libraries too, goes to stderr. An error
    is a document too, ``{"error": …}``, beside the message on stderr and the exit code.
    """
    if not as_json:
        yield lambda _, text: click.echo(text)
        return
    with stdout_to_stderr() as real:
        given: list[Any] = []
        try:
            yield lambda data, _: given.append(data)
        except (InputError, Failed) as error:
            _print(real, {"error": str(error)})
            raise
        _print(real, given[0])


def _print(descriptor: int, data: object) -> None:
    sys.stdout.flush()
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as out:
        json.dump(data, out, indent=2, allow_nan=False, default=str)
        out.write("\n")

"""The process: runs the command line, turns errors into messages and exit codes."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

import click

from .cli.main import cli
from .errors import ENDS_WITH_STDIN, Failed, InputError, Interrupted, fault_of
from .format import AS_TOLD


def _terminate(signum: int, _: FrameType | None) -> NoReturn:
    raise Interrupted(signum, "terminated; the same command goes on from there")


def _listen() -> None:
    """Stop softly when the system, the terminal or the process that started this one asks to."""
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)  # a closed terminal; under nohup it is ignored
    if os.environ.pop(ENDS_WITH_STDIN, None):
        threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    """Ask this process to stop when the one that started it is gone, whatever ended that."""
    while os.read(0, 1024):  # not sys.stdin, whose lock this thread would hold at the end
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> NoReturn:
    """Run the command line; exit codes: 0 done, 1 failed, 2 wrong input, 130/143 interrupted."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    _listen()
    _say_what_can_be_said()
    try:
        cli(standalone_mode=False)
        code = 0
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except InputError as error:
        code = _told(error, 2)
    except Failed as error:
        code = _told(f"failed: {error}", 1)
    except SystemExit as error:
        code = _told(f"failed: a plugin called exit({error.code!r})", 1)
    except (KeyboardInterrupt, click.Abort):
        code = _told("interrupted; the same command goes on from there", 130)
    except Interrupted as error:
        code = _told(error, 128 + error.signum)
    except Exception as error:
        fault = fault_of(error)
        if not fault:
            raise
        code = _told(f"failed: {fault}", 1)
    sys.exit(code)


def _say_what_can_be_said() -> None:
    """Let a console that lacks × or … show ? instead: no reason to fail at the end of a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=AS_TOLD)


def _told(message: object, code: int) -> int:
    click.echo(str(message), err=True)
    return code


if __name__ == "__main__":
    main()

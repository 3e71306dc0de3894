"""The process: runs the command line, turns errors into messages and exit codes."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import NoReturn

import click

from . import ranks
from .cli.complete import VARIABLE
from .cli.main import cli
from .errors import ENDS_WITH_STDIN, Failed, InputError, Interrupted, fault_of
from .format import AS_TOLD
from .system import ask_to_end


def _terminate(signum: int, _: FrameType | None) -> NoReturn:
    if signum == getattr(signal, "SIGUSR2", None):
        signal.signal(signum, signal.SIG_IGN)  # a cluster may send it more than once
    raise Interrupted(signum, "terminated; the same command goes on from there")


def _listen() -> None:
    """Stop softly when the system, the terminal or the process that started this one asks to."""
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGUSR2"):
        signal.signal(signal.SIGUSR2, _terminate)  # what clusters send before they end a job
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminate)  # a closed terminal; under nohup it is ignored
    if os.environ.pop(ENDS_WITH_STDIN, None):
        threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    """Ask this process to stop when the one that started it is gone, whatever ended that."""
    while os.read(0, 1024):  # not sys.stdin, whose lock this thread would hold at the end
        pass
    ask_to_end()


def main() -> NoReturn:
    """Run the command line; exit codes: 0 done, 1 failed, 2 wrong input, 130/143 interrupted."""
    if VARIABLE in os.environ:  # the shell asks what the words typed so far may become
        cli(prog_name="pipeline", complete_var=VARIABLE)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    _listen()
    _say_what_can_be_said()
    world = ranks.enter(os.environ)
    sys.exit(world.leave(_end_of(world)))


def _end_of(world: ranks.World) -> int:
    """Run the command, or this rank's share of it, and tell what went wrong; the exit code."""
    try:
        code = _work(world)
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
        unread = not isinstance(sys.stdout, io.TextIOBase)  # as by head: click has replaced it
        code = 1 if unread else _told(f"failed: a plugin called exit({error.code!r})", 1)
    except (KeyboardInterrupt, click.Abort):
        code = _told("interrupted; the same command goes on from there", 130)
    except Interrupted as error:
        code = _told(error, 128 + error.signum)
    except Exception as error:
        code = _ended_by(error, world)
    return code


def _work(world: ranks.World) -> int:
    """The command, or what rank 0 tells this rank to do; the exit code."""
    if world.size > 1:
        world.meet()
    if world.leads:
        code = cli(standalone_mode=False)  # which returns what a command exits with
        return code if isinstance(code, int) else 0
    from .artifacts.follow import follow  # torch takes seconds to import

    follow(world)
    return 0


def _ended_by(error: Exception, world: ranks.World) -> int:
    """Tell of a fault of the machine, or of the program, and of another rank's if nobody has."""
    if world.size > 1 and ranks.lost_touch(error):
        if world.leads:
            said = str(error).splitlines()[0][:200]
            _told(
                f"failed: another process is gone, see what is told of it ({said}); "
                "the same command goes on from the last checkpoint",
                1,
            )
        world.linger(1)
    fault = fault_of(error)
    if fault:
        return _told(f"failed: {fault}", 1)
    if world.size == 1:
        raise error
    if world.is_first_to_tell():
        click.echo(f"{world.name} failed:\n{traceback.format_exc()}", err=True, nl=False)
    return 1


def _say_what_can_be_said() -> None:
    """Let a console that lacks × or … show ? instead: no reason to fail at the end of a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=AS_TOLD)


def _told(message: object, code: int) -> int:
    world = ranks.here()
    if world.is_first_to_tell():
        where = "" if world.leads or code > 2 else f"{world.name}: "
        click.echo(f"{where}{message}", err=True)
    return code


if __name__ == "__main__":
    main()

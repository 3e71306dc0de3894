"""Errors that are the user's to mend: shown without a traceback."""

from __future__ import annotations


class InputError(Exception):
    """Wrong input. Names the file, key or image and says what to do. Exit code 2."""


class Interrupted(Exception):
    """Stopped by a signal after saving; run again to go on. Exit code 128 + signal number."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class Failed(Exception):
    """The work itself failed: says what happened and what to change. Exit code 1."""

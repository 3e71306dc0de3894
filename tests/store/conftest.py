"""A store, and one that can only be read."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.store import Store

WRITES = ("mkdir", "rename", "replace", "unlink", "rmdir", "utime", "truncate", "chmod")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a folder one that is mounted to be read: rights alone would not bind root."""

    def mount(root: Path) -> None:
        def refuse(path: Any) -> None:
            if isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(root):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        def guarded(call: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
            def guarded_call(path: Any, *args: Any, **kwargs: Any) -> Any:
                if writes(*args, **kwargs):
                    refuse(path)
                return call(path, *args, **kwargs)

            return guarded_call

        for name in WRITES:
            monkeypatch.setattr(os, name, guarded(getattr(os, name), lambda *_, **__: True))
        flags = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        monkeypatch.setattr(os, "open", guarded(os.open, lambda given, *_, **__: given & flags))
        opens = guarded(io.open, lambda mode="r", *_, **__: set(mode) & set("wax+"))
        monkeypatch.setattr(io, "open", opens)

    return mount

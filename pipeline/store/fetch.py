"""Files from the network: nothing gets its name before it has been checked."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

from ..errors import InputError
from ..progress import note, progress
from .fingerprints import sha256_of
from .folders import HOUR, make_folder, remove_leftovers, replacing

SECONDS = 10.0
"""How long a server may be silent."""

ADVICE = "if the network wants a log-in, open a web page to log in; else try again later"


def fetch(url: str, file: Path, *, size: int, sha256: str) -> None:
    """Download a file, unless the right one is there: that of ``size`` bytes and this SHA-256.

    It gets its name when it is right and on the disk. A wrong answer is thrown away and asked for
    once more; InputError, with what came and what to do, where the right one does not come. When it
    has come, another file that had its name is kept beside it as ``….wrong``, which is told.
    """
    if _is_right(file, sha256):
        return
    make_folder(file.parent)
    with suppress(OSError):  # they may be another user's
        remove_leftovers(file.parent, HOUR)
    with replacing(file) as partial:
        wrong = _download(url, partial, file.name, size, sha256)
        if wrong:
            note(f"{url}: {wrong}; that is thrown away and fetched once more")
            wrong = _download(url, partial, file.name, size, sha256)
        if wrong:
            raise InputError(f"{url} cannot be downloaded: {wrong}; {ADVICE}")
        # Looked at once more: another process may have been first.
        if os.path.lexists(file) and not _is_right(file, sha256):
            note(f"{file} was another file than {url}: it is kept as {_keep_aside(file).name}")


def _is_right(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_of(file) == sha256


def _download(url: str, partial: Path, name: str, size: int, sha256: str) -> str:
    """Write what the server gives. Returns what is wrong with it, in words; empty if nothing is."""
    digest, done, start = hashlib.sha256(), 0, b""
    answer = _answer(url)
    with (
        answer,
        partial.open("wb") as file,
        progress(f"download {name}, kB", -(-size // 1000)) as bar,
    ):
        for block in _blocks(answer):
            file.write(block)
            digest.update(block)
            start, done = start or block, done + len(block)
            bar.step(-(-done // 1000) - bar.done)
            if done > size:  # an endless answer must not fill the disk
                break
    if digest.hexdigest() == sha256:
        return ""
    if answer.headers.get_content_type() == "text/html" or b"<html" in start[:1000].lower():
        return "an HTML page came, as of a network's log-in page"
    if done != size:
        came = f"{done:,} of" if done < size else "more than"
        return f"{came} {size:,} bytes came"
    return f"other bytes came, of a SHA-256 that starts with {digest.hexdigest()[:8]}"


def _answer(url: str) -> Any:
    """The server's answer. It is awaited in a thread: looking up a name has no timeout."""
    answers: list[Any] = []
    request = urllib.request.Request(url, headers={"User-Agent": "diffusion-pipeline"})

    def ask() -> None:
        try:
            answers.append(urllib.request.urlopen(request, timeout=SECONDS))
        except Exception as error:  # raised below, by the thread that waits
            answers.append(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    answer = answers[0] if answers else TimeoutError(f"no answer in {SECONDS:g} s")
    if isinstance(answer, Exception):
        raise InputError(f"{url} cannot be downloaded: {answer}; {ADVICE}") from answer
    return answer


def _blocks(answer: Any) -> Iterator[bytes]:
    """What comes, as it comes. It ends where the connection breaks or falls silent."""
    with suppress(OSError, HTTPException):
        while block := answer.read1(1 << 20):
            yield block


def _keep_aside(file: Path) -> Path:
    """Give a file a free name beside its own, which it keeps as well where the system has links."""
    names = (file.with_name(f"{file.name}.wrong{number or ''}") for number in count())
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        os.link(file, aside, follow_symlinks=False)  # takes no name that is there by now
    except FileExistsError:
        return _keep_aside(file)
    except OSError:  # a folder, or a file system without links
        file.rename(aside)
    return aside

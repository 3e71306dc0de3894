"""What systems do in ways of their own: Linux, macOS, Windows."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

WINDOWS = sys.platform == "win32"
STATUS = Path("/proc/self/status")
LONGEST = 120
"""Characters of a name in the store or in the folder of runs: Windows has 260 for a whole path."""
DEVICES = {"con", "prn", "aux", "nul", *(f"{p}{i}" for p in ("com", "lpt") for i in range(1, 10))}
"""What Windows takes for devices, whatever follows behind a dot."""
_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$')


def unfit(name: str) -> str | None:
    """Why no folder should be called so; None: on all systems one can be."""
    if len(name) > LONGEST:
        return f"has {len(name)} characters; {LONGEST} at most"
    if name.split(".")[0].lower() in DEVICES:
        return "is the name of a device on Windows, which has no folder of it"
    if found := _UNFIT.search(name):
        return f"has {found.group()!r}, which Windows does not allow there"
    return None


def fit(name: str) -> str:
    """The name with _ for what some system does not allow; a long one ends with a digest of it."""
    fitting = _UNFIT.sub("_", name)
    if len(fitting) > LONGEST:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
        fitting = f"{fitting[: LONGEST - 9]}+{digest}"
    return fitting


def c_library() -> ctypes.CDLL | None:
    """The C library of this process; None on Windows, where there are several."""
    return None if WINDOWS else ctypes.CDLL(None, use_errno=True)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive a loss of power.

    Windows opens no folders, and syncs only what may be written.
    """
    if WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ask_to_end() -> None:
    """Send this process the signal to end, as the system would; its handler runs."""
    if WINDOWS:
        signal.raise_signal(signal.SIGTERM)  # os.kill would end it at once
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def is_running(process: int) -> bool:
    """Whether there is a process of this number, whoever's it is."""
    import psutil  # takes a while, and help must not wait for it

    return psutil.pid_exists(process)


def began(process: int) -> str:
    """When a process began, so that another one of its number is told from it; "" if not told.

    That is the kernel's count since the boot on Linux, and elsewhere the time. "dead" where only
    its parent has not yet heard of its end.
    """
    with suppress(OSError):
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        state, *numbers = stat.rpartition(")")[2].split() or [""]
        return "dead" if state in ("Z", "X") else "".join(numbers[18:19])
    import psutil

    with suppress(psutil.Error):
        found = psutil.Process(process)
        dead = found.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return "dead" if dead else f"{found.create_time():.2f}"
    return ""


def peak_of_this_process() -> int:
    """Bytes of memory that this process had at most."""
    if STATUS.exists():  # getrusage would count the process that started this one
        text = STATUS.read_text(encoding="utf-8", errors="replace")
        return 1024 * int(re.findall(r"VmHWM:\s*(\d+)", text)[0])
    import psutil

    memory = psutil.Process().memory_info()
    if peak := getattr(memory, "peak_wset", None):  # Windows
        return int(peak)
    try:
        import resource
    except ImportError:
        return int(memory.rss)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

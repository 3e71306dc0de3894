"""A Slurm of its own for tests: one node, this machine, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONF = """\
ClusterName=tests
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def without_slurm() -> str:
    """Why there can be no Slurm here; "" where there can."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=PLACES) is None]
    if missing:
        packages = "apt-get install slurmctld slurmd slurm-client munge"
        return f"needs Slurm ({packages}); there is no {', '.join(missing)}"
    return "" if os.getuid() == 0 else "needs root, for slurmd"


@contextmanager
def slurm_in(folder: Path) -> Iterator[None]:
    """A cluster as long as the block runs; SLURM_CONF in the environment says where it is.

    Skips where there can be none, but fails with PIPELINE_REQUIRE_SLURM in the environment.
    """
    if why := without_slurm():
        (pytest.fail if os.environ.get("PIPELINE_REQUIRE_SLURM") else pytest.skip)(why)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    conf.write_text(CONF.format(host=host, user="root", ports=_free_ports(2), folder=folder))
    munge = [
        *("munged", "--foreground", "--force", f"--key-file={key}"),
        *(f"--{name}-file={folder}/munge.{name}" for name in ("log", "pid", "seed")),
        f"--socket={folder}/munge.socket",
    ]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("SLURM_CONF", str(conf))
        for words in (munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            stack.enter_context(_daemon(words, folder))
        _await_idle(folder)
        yield
        subprocess.run(["scancel", "--user=root"], check=False)


@contextmanager
def _daemon(words: list[str], folder: Path) -> Iterator[None]:
    program = shutil.which(words[0], path=PLACES)
    with (folder / f"{words[0]}.out").open("wb") as out:
        process = subprocess.Popen(
            words, executable=program, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        if words[0] == "munged":  # the others ask it as they start
            _until(lambda: (folder / "munge.socket").exists(), folder)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _await_idle(folder: Path) -> None:
    command = ["sinfo", "--noheader", "--format=%T"]

    def idle() -> bool:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() == "idle"

    _until(idle, folder)


def _until(true: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            said = "\n".join(f"{p}: {p.read_text()[-2000:]}" for p in folder.glob("*.out"))
            raise RuntimeError(f"the cluster did not start\n{said}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

"""The work of every rank but 0: its share of each task that rank 0 sets."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path

from ..machine import choose_device
from ..plugin.registry import Registry
from ..progress import be_quiet
from ..ranks import World
from ..store.store import Store
from .session import Session


def follow(world: World) -> None:
    """Do what rank 0 tells until it tells the end. It says nothing: rank 0 does that."""
    be_quiet()
    warnings.simplefilter("ignore")
    sessions: dict[tuple[tuple[Path, ...], str, str], Session] = {}
    for task in world.tasks():
        files, root, kind, rest = pickle.loads(task)
        place = (tuple(files), root, kind)
        if place not in sessions:
            session = Session(Registry.load(files), Store(Path(root)), choose_device(kind), world)
            sessions[place] = session
        session = sessions[place]
        world.join(session.device)
        share, arguments = pickle.loads(rest)  # whose classes are now there
        result = share(session, *arguments)
        if isinstance(result, Iterator):
            for _ in result:
                pass

"""What all artifacts of one command are made with."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..plugin.contracts import Extractor, Features
from ..plugin.registry import Registry
from ..ranks import World, here
from ..store.store import Store


@dataclass(frozen=True)
class Session:
    """The installed stages, the store and the device of one command."""

    registry: Registry
    store: Store
    device: str = "cpu"
    world: World = field(default_factory=here, repr=False, compare=False)
    _extractors: dict[str, Extractor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def extractor(self, features: Features) -> Extractor:
        """The extractor of these features, its weights loaded once, on the device."""
        # With the places of files, which content keys leave out: other files are other weights.
        key = json.dumps(self.registry.spec(features), sort_keys=True)
        if key not in self._extractors:
            self._extractors[key] = features().to(self.device)
        return self._extractors[key]

    @contextmanager
    def sharing(self, share: Callable[..., object], *arguments: object) -> Iterator[None]:
        """While the block runs, the other ranks do ``share(session, *arguments)``.

        It is a function of a module, which may be a generator that the ranks go through.
        """
        world = self.world
        if world.size > 1:
            files = self.registry.files
            task = pickle.dumps((share, arguments))
            kind = self.device.partition(":")[0]
            world.tell(pickle.dumps((files, str(self.store.root), kind, task)))
            world.join(self.device)
        yield
        world.busy = False

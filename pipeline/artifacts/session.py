"""What all artifacts of one command are made with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from ..plugin.contracts import Extractor, Features
from ..plugin.registry import Registry
from ..store.store import Store


@dataclass(frozen=True)
class Session:
    """The installed stages, the store and the device of one command."""

    registry: Registry
    store: Store
    device: str = "cpu"
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

"""A publisher that keeps what it is given."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np

from gradflow.hash64 import manifest_id
from gradflow.options import Options
from gradflow.records import Columns, Manifest, Shard


class FakePublisher:
    """As `gradflow.publisher.Publisher`, but makes shards at once, in the caller's thread."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.announced: List[Manifest] = []
        self.referred: List[Manifest] = []
        self.events: List[Tuple[str, int, Dict[str, str]]] = []
        self.shards: List[Shard] = []
        self.dropped = 0
        self.closed = 0

    def announce(self, manifest: Manifest) -> int:
        self.announced.append(manifest)
        return manifest_id(manifest)

    def refer(self, manifest: Manifest) -> int:
        self.referred.append(manifest)
        return manifest_id(manifest)

    def event(self, type: str, step: int, **attributes: str) -> None:
        self.events.append((type, step, attributes))

    def offer(self, make: Any, room: int = 1) -> None:
        try:
            shard = make()
        except Exception:
            self.dropped += 1
            return
        if shard is not None:
            self.shards.append(shard)

    def stats(self) -> Any:
        return (len(self.shards) + self.dropped, self.dropped)

    def close(self, timeout: float = 2.0) -> None:
        self.closed += 1

    def of(self, stage: str, step: int) -> Shard:
        """The one shard of a stage and step."""
        found = [shard for shard in self.shards if (shard.stage, shard.step) == (stage, step)]
        assert len(found) == 1, f"{len(found)} shards of {stage} in step {step}"
        return found[0]


def layers_of(columns: Columns) -> List[int]:
    if columns.layers is not None:
        return [int(layer) for layer in columns.layers]
    return list(range(columns.first_layer, columns.first_layer + len(columns.norm)))


def by_name(manifest: Manifest, columns: Columns, column: str = "norm") -> Dict[str, float]:
    values: np.ndarray = getattr(columns, column)
    return {manifest.layers[layer].name: float(value) for layer, value in zip(layers_of(columns), values)}

"""What a trainer publishes, in Python's words.

Field for field the Avro schemas of ``schemas/src/main/avro``, names in snake_case; what each means is said there.
Columns are numpy arrays aligned with the layers of the record. An absent column is ``None``, never zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Optional, Sequence, Tuple

import numpy as np

LOCAL = "LOCAL"
REDUCED = "REDUCED"

SHARD = "SHARD"
REPLICATE = "REPLICATE"
PARTIAL = "PARTIAL"


@dataclass(frozen=True)
class MeshAxis:
    """A dimension of the device mesh: dp_replicate, dp_shard, tp, pp, cp or ep."""

    name: str
    size: int


@dataclass(frozen=True)
class Reporting:
    """Who publishes a stage, and how often. ``ranks`` None: all."""

    stage: str
    ranks: Optional[Tuple[int, ...]] = None
    every: int = 1
    column_every: Optional[Mapping[str, int]] = None


@dataclass(frozen=True)
class Layer:
    """One parameter tensor; ``elements`` of the whole tensor, over all shards."""

    name: str
    elements: int
    block: Optional[str] = None
    depth: Optional[int] = None
    kind: str = "OTHER"
    dtype: str = "float32"
    trainable: bool = True
    sparse: bool = False
    zero_init: bool = False
    tied_to: Optional[str] = None
    placement: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What a training, or a pipeline stage of one, is made of. Shards refer to its layers by index."""

    run_id: str
    attempt: int
    layers: Tuple[Layer, ...]
    world_size: int
    mesh: Tuple[MeshAxis, ...]
    reporting: Tuple[Reporting, ...]
    stream: str = "main"
    reduce_op: str = "mean"
    gradient_dtype: Optional[str] = None
    reduction_dtype: Optional[str] = None
    master_dtype: Optional[str] = None
    optimizer: Optional[str] = None
    adam_eps: Optional[float] = None


@dataclass(frozen=True)
class RunEvent:
    """Something that happened to the run after a step; types are those of ``gradient-runs``."""

    run_id: str
    attempt: int
    stream: str
    step: int
    type: str
    at: int
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Columns:
    """Statistics of the slices of layers, one array per statistic.

    The layers are ``first_layer`` and those after it without a gap, or the ascending indices ``layers``.
    Dtypes: float32 for norms, maxima, sums and dots, int64 for counts and hashes, int32 for indices and bins.
    """

    norm: np.ndarray
    max_abs: np.ndarray
    first_layer: int = 0
    layers: Optional[np.ndarray] = None
    elements: Optional[np.ndarray] = None
    nonfinite_layers: Optional[np.ndarray] = None
    nans: Optional[np.ndarray] = None
    pos_infs: Optional[np.ndarray] = None
    neg_infs: Optional[np.ndarray] = None
    zeros: Optional[np.ndarray] = None
    sum_abs: Optional[np.ndarray] = None
    sum: Optional[np.ndarray] = None
    subnormals: Optional[np.ndarray] = None
    min_nonzero_abs: Optional[np.ndarray] = None
    weight_norm: Optional[np.ndarray] = None
    update_norm: Optional[np.ndarray] = None
    dot_previous: Optional[np.ndarray] = None
    dot_reduced: Optional[np.ndarray] = None
    content_hash: Optional[np.ndarray] = None
    histogram_offsets: Optional[np.ndarray] = None
    histogram_bins: Optional[np.ndarray] = None
    histogram_counts: Optional[np.ndarray] = None
    sketch_width: Optional[int] = None
    sketches: Optional[np.ndarray] = None
    sketch_layers: Optional[np.ndarray] = None
    activations: Optional[np.ndarray] = None
    saturated: Optional[np.ndarray] = None


@dataclass
class Shard:
    """Statistics of one rank's slices at one step and stage."""

    run_id: str
    attempt: int
    stream: str
    step: int
    rank: int
    coords: Sequence[int]
    manifest_id: int
    stage: str
    columns: Columns
    previous_step: int = -1
    accum_index: int = 0
    accum_steps: int = 1
    weight: float = 1.0
    loss_scale: Optional[float] = None
    step_skipped: bool = False
    clip_mode: Optional[str] = None
    clip_norm: Optional[float] = None
    clip_coef: Optional[float] = None
    clip_applied: bool = False
    reported_global_norm: Optional[float] = None
    loss: Optional[float] = None
    validation_loss: Optional[float] = None
    learning_rates: Optional[Sequence[float]] = None
    batch_ids: Optional[Sequence[str]] = None
    host: Optional[str] = None
    device: Optional[str] = None

"""The values that both languages write, here and in ``PythonTrainerTest.java``: the same ones make the same bytes.

Run as a program, with the package on the path, it writes Python's files in ``tests/golden`` anew:
``PYTHONPATH=src python tests/golden.py``.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Dict, List

import numpy as np

from gradflow import wire
from gradflow.hash64 import manifest_id
from gradflow.records import Columns, Layer, Manifest, MeshAxis, Reporting, RunEvent, Shard

GOLDEN = Path(__file__).parent / "golden"
SENT_AT = 1_700_000_000_500
SEQUENCE = 1 << 40
DROPPED = 9

_LAYERS = 40
_I = np.arange(_LAYERS, dtype=np.int64)


def _floats(values: np.ndarray, unknown: int = -1) -> np.ndarray:
    column = np.asarray(values, dtype=np.float32)
    if unknown >= 0:
        column[unknown] = np.nan
    return column


def _full_columns() -> Columns:
    norm = _floats(_I * 0.5)
    norm[1:3] = np.finfo(np.float32).max, np.float32(1e-45)
    hashes = (_I.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
    hashes[:2] = -(1 << 63), (1 << 63) - 1
    k = np.arange(_LAYERS - 1, dtype=np.int64)
    bins = np.where(k % 2 == 1, (k + 1) // 2 - 150, k // 2 + 1).astype(np.int32)
    bins[0] = 0
    counts = (1 << k) + k
    counts[0] = -1
    return Columns(
        norm=norm,
        max_abs=_floats(_I * 0.25),
        first_layer=5,
        layers=(3 * _I + 5).astype(np.int32),
        elements=(1 << _I) + _I,
        nonfinite_layers=np.array([5, 11], np.int32),
        nans=np.array([1, 0]),
        pos_infs=np.array([0, 1 << 33]),
        neg_infs=np.array([2, 0]),
        zeros=_I**3,
        sum_abs=_floats(_I * 8),
        sum=_floats(_I * -0.125, unknown=3),
        subnormals=_I % 3,
        min_nonzero_abs=_floats(np.ldexp(1.0, -_I.astype(np.int32)), unknown=4),
        weight_norm=_floats(_I + 0.5, unknown=5),
        update_norm=_floats(_I * 0.0625, unknown=6),
        dot_previous=_floats(1 - _I, unknown=7),
        dot_reduced=_floats(_I - 20, unknown=8),
        content_hash=hashes,
        histogram_offsets=np.concatenate(([0], np.minimum(2 * _I + 1, _LAYERS - 1))).astype(np.int32),
        histogram_bins=bins,
        histogram_counts=counts,
        sketch_width=64,
        sketches=_floats((np.arange(128) - 64) * 0.5).reshape(2, 64),
        sketch_layers=np.array([5, 14], np.int32),
        activations=1000 * _I,
        saturated=_I,
    )


def shard_with(columns: Columns) -> Shard:
    return Shard(
        run_id="run|1%",
        attempt=1_700_000_000_000,
        stream="generator",
        step=7,
        rank=3,
        coords=(1, 0, 2),
        manifest_id=-77,
        stage="REDUCED",
        columns=columns,
        previous_step=5,
        accum_index=1,
        accum_steps=2,
        weight=32.5,
        loss_scale=1024.0,
        step_skipped=True,
        clip_mode="norm",
        clip_norm=1.0,
        clip_coef=0.25,
        clip_applied=True,
        reported_global_norm=math.inf,
        loss=math.nan,
        validation_loss=-math.inf,
        learning_rates=(0.1, 1e-5),
        host="node-1",
        device="cuda:3",
    )


def full_shard() -> Shard:
    shard = shard_with(_full_columns())
    shard.batch_ids = ("part-7", "ß")
    return shard


def bare_shard() -> Shard:
    columns = Columns(norm=np.array([1, 0], np.float32), max_abs=np.array([0.5, 0], np.float32))
    return Shard("run", 1, "main", 0, 0, (), 0, "LOCAL", columns)


def split_shard(gaps: bool) -> Shard:
    i = np.arange(100_000, dtype=np.int64)
    stride = 3 if gaps else 1
    return shard_with(
        Columns(
            norm=_floats(i),
            max_abs=_floats(i * 0.5),
            first_layer=10,
            layers=(10 + stride * i).astype(np.int32) if gaps else None,
            zeros=1000 * i,
            nonfinite_layers=np.array([10, 10 + stride * 50_000, 10 + stride * 99_999], np.int32),
            nans=np.array([1, 2, 3]),
            pos_infs=np.array([0, 0, 1]),
            neg_infs=np.array([4, 0, 0]),
            sum=_floats(np.where(i % 7 == 0, np.nan, -i)),
            histogram_offsets=np.arange(100_001, dtype=np.int32),
            histogram_bins=(i % 5 - 2).astype(np.int32),
            histogram_counts=i + 1,
            sketch_width=64,
            sketches=_floats(np.arange(128)),
            sketch_layers=np.array([10, 10 + stride * 60_000], np.int32),
        )
    )


def full_manifest() -> Manifest:
    return Manifest(
        run_id="run|1%",
        attempt=1_700_000_000_000,
        layers=(
            Layer(
                name="decoder.0.wéight",
                elements=1 << 33,
                block="decoder.0",
                depth=0,
                kind="EMBEDDING",
                dtype="bfloat16",
                trainable=True,
                sparse=True,
                zero_init=True,
                tied_to="decoder.1.weight",
                placement=("SHARD", "REPLICATE"),
            ),
            Layer("decoder.1.weight", 5, trainable=False, placement=("PARTIAL", "SHARD")),
        ),
        world_size=8,
        mesh=(MeshAxis("dp_shard", 4), MeshAxis("tp", 2)),
        reporting=(Reporting("LOCAL"), Reporting("REDUCED", (0, 7), 10, {"histogramBins": 50})),
        stream="generator",
        reduce_op="sum",
        gradient_dtype="bfloat16",
        reduction_dtype="float32",
        master_dtype="float64",
        optimizer="AdamW",
        adam_eps=1e-8,
    )


def bare_manifest() -> Manifest:
    return Manifest("run", 1, (), 1, (), ())


def large_manifest() -> Manifest:
    return Manifest(
        run_id="run",
        attempt=1,
        layers=tuple(
            Layer(f"decoder.{i}.weight", 4096 * i, f"decoder.{i}", i, "WEIGHT", placement=("REPLICATE",))
            for i in range(30_000)
        ),
        world_size=8,
        mesh=(MeshAxis("dp_replicate", 8),),
        reporting=(Reporting("REDUCED"),),
        gradient_dtype="float32",
    )


def full_event() -> RunEvent:
    return RunEvent("run|1%", 1_700_000_000_000, "generator", 7, "CHANGED", 1_700_000_000_500, {"batch": "64"})


def bare_event() -> RunEvent:
    return RunEvent("run", 1, "main", -1, "STARTED", 2)


def records() -> Dict[str, wire.Record]:
    """Every record of one part, by the name of its files."""
    parts = {
        "shard-full": wire.encode_shard(full_shard(), SENT_AT, SEQUENCE, DROPPED),
        "shard-bare": wire.encode_shard(bare_shard(), 0, 0, 0),
        "manifest-full": wire.encode_manifest(full_manifest(), manifest_id(full_manifest())),
        "manifest-bare": wire.encode_manifest(bare_manifest(), manifest_id(bare_manifest())),
        "event-full": wire.encode_event(full_event()),
        "event-bare": wire.encode_event(bare_event()),
    }
    whole = {}
    for name, (record,) in parts.items():
        whole[name] = record
    return whole


def digests() -> str:
    """A line for each record of values that take several."""
    large = large_manifest()
    split = {
        "shard": wire.encode_shard(split_shard(False), SENT_AT, SEQUENCE, DROPPED),
        "shard with gaps": wire.encode_shard(split_shard(True), SENT_AT, SEQUENCE, DROPPED),
        "manifest": wire.encode_manifest(large, manifest_id(large)),
    }
    lines: List[str] = []
    for what, parts in split.items():
        assert len(parts) > 1, what
        for part in parts:
            digest = hashlib.sha256(part.value).hexdigest()
            lines.append(f"{what}, key {part.key.decode()}: {len(part.value)} bytes, SHA-256 {digest}\n")
    return "".join(lines)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, record in records().items():
        (GOLDEN / f"python-{name}.bin").write_bytes(record.value)
    (GOLDEN / "python-parts.txt").write_text(digests())

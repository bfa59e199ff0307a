"""Records as bytes: that they follow the schemas, fit, and say what was handed over."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import fastavro
import golden
import numpy as np
import pytest

from gradflow import wire
from gradflow.hash64 import Hash64, manifest_id
from gradflow.records import Columns, Layer, Manifest, MeshAxis, Reporting, RunEvent, Shard

NAMES = ("GradientShard", "GradientManifest", "GradientRunEvent", "GradientAlert")
SOURCE = Path(__file__).parents[2] / "schemas" / "src" / "main" / "avro"
FLOAT_MAX = 3.4028235e38


def decoded(name: str, value: bytes) -> dict:
    """What another Avro library reads, to the last byte."""
    body = io.BytesIO(value)
    assert body.read(10) == wire.header(name)
    row = fastavro.schemaless_reader(body, fastavro.parse_schema(wire.schema(name)))
    assert body.read() == b""
    return row


def columns_of(size: int, **more: object) -> Columns:
    values = np.arange(size, dtype=np.float32)
    return Columns(norm=values + 1, max_abs=values / 2, **more)


def shard_of(columns: Columns, **more: object) -> Shard:
    return Shard("run|1%", 5, "main", 7, 3, (1, 2), -77, "LOCAL", columns, **more)


def manifest_of(layers: int, **more: object) -> Manifest:
    return Manifest(
        run_id="run",
        attempt=1,
        layers=tuple(
            Layer(f"decoder.{i}.self_attention.weight", 4096 + i, block=f"decoder.{i}", placement=("SHARD",))
            for i in range(layers)
        ),
        world_size=8,
        mesh=(MeshAxis("dp_shard", 8),),
        reporting=(Reporting("REDUCED"),),
        **more,
    )


# --- Schemas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_those_of_the_contract(name: str) -> None:
    own = Path(wire.__file__).parent / "schemas" / f"{name}.avsc"
    assert own.read_bytes() == (SOURCE / f"{name}.avsc").read_bytes(), f"copy {name}.avsc from {SOURCE}"


def test_the_released_schema_is_the_frozen_one() -> None:
    own = Path(wire.__file__).parent / "schemas" / "GradientAlert-0.1.0.avsc"
    assert own.read_bytes() == (SOURCE / "released" / "0.1.0" / "GradientAlert.avsc").read_bytes()


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.avsc")), ids=lambda path: path.stem)
def test_fingerprints_are_those_of_another_library(path: Path) -> None:
    schema = json.loads(path.read_text())
    theirs = fastavro.schema.to_parsing_canonical_form(schema)
    assert wire.canonical(schema) == theirs
    own = struct.pack("<Q", wire.fingerprint(theirs)).hex()
    assert own == fastavro.schema.fingerprint(theirs, "CRC-64-AVRO")


@pytest.mark.parametrize(
    "name, header",
    [
        ("GradientShard", "c301b06aa86b6cf1dde4"),
        ("GradientManifest", "c30131356c2f498dbe3a"),
        ("GradientRunEvent", "c301606d622d7aaa0c9c"),
        ("GradientAlert", "c30156ef8b8ce0c3c89a"),
    ],
)
def test_headers_are_those_of_the_jobs(name: str, header: str) -> None:
    assert wire.header(name).hex() == header


# --- Numbers --------------------------------------------------------------------------------------------------------


def test_columns_of_integers_are_written_as_single_ones_are() -> None:
    edges = [0, -1, 1, 63, 64, -64, -65, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, -(1 << 63)]
    edges += [sign * (1 << bit) + off for bit in range(0, 63) for sign in (1, -1) for off in (-1, 0, 1)]
    schema = fastavro.parse_schema({"type": "array", "items": "long"})
    for column in (edges, edges[:5] * 9, [0] * 50, [1 << 40] * 30, list(range(-60, 60))):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, column)
        body = wire.varints(np.array(column, dtype=np.int64))
        written = out.getvalue()
        assert written.endswith(b"\x00") and written[-1 - len(body) : -1] == body


def test_narrow_integers_are_widened() -> None:
    assert wire.varints(np.full(30, 127, np.int8)) == wire.varints(np.full(30, 127, np.int64))
    assert wire.varints(np.full(30, -(1 << 31), np.int32)) == wire.varints(np.full(30, -(1 << 31), np.int64))


# --- Shards ---------------------------------------------------------------------------------------------------------


def test_a_bare_shard_has_nulls_and_defaults() -> None:
    (record,) = wire.encode_shard(shard_of(columns_of(2)), sent_at=11, producer_seq=12, dropped=13)
    assert record.topic == "gradient-shards"
    assert record.key == b"run%7C1%25|3"
    row = decoded("GradientShard", record.value)
    assert {name for name, value in row.items() if value is not None} == {
        *("runId", "attempt", "stream", "step", "rank", "coords", "part", "parts", "manifestId", "stage"),
        *("previousStep", "accumIndex", "accumSteps", "sentAt", "producerSeq", "dropped", "weight", "stepSkipped"),
        *("clipApplied", "firstLayer", "norm", "maxAbs"),
    }
    assert (row["sentAt"], row["producerSeq"], row["dropped"], row["coords"]) == (11, 12, 13, [1, 2])
    assert (row["part"], row["parts"], row["manifestId"], row["previousStep"], row["weight"]) == (0, 1, -77, -1, 1.0)
    assert (row["norm"], row["maxAbs"]) == ([1.0, 2.0], [0.0, 0.5])


def test_every_column_arrives() -> None:
    n = 40
    rng = np.random.default_rng(7)
    reals = {
        name: rng.random(n).astype(np.float32)
        for name in ("sum_abs", "sum", "min_nonzero_abs", "weight_norm", "update_norm", "dot_previous", "dot_reduced")
    }
    counts = {
        name: rng.integers(0, 1 << 40, n) for name in ("elements", "zeros", "subnormals", "activations", "saturated")
    }
    reals["update_norm"][3] = np.nan
    columns = columns_of(
        n,
        **reals,
        **counts,
        layers=np.arange(n, dtype=np.int32) * 2 + 5,
        first_layer=5,
        content_hash=rng.integers(-(1 << 63), 1 << 63, n, dtype=np.int64),
        nonfinite_layers=np.array([7, 9], np.int32),
        nans=np.array([1, 0]),
        pos_infs=np.array([0, 1 << 33]),
        neg_infs=np.array([2, 3]),
        histogram_offsets=np.array([0, 2] + [2] * (n - 1), np.int32),
        histogram_bins=np.array([-150, 127], np.int32),
        histogram_counts=np.array([1, 1 << 40]),
        sketch_width=2,
        sketch_layers=np.array([5, 11], np.int32),
        sketches=np.array([[1, -1], [0.5, 0]], np.float32),
    )
    shard = golden.shard_with(columns)
    shard.batch_ids = ("a", "ß")
    (record,) = wire.encode_shard(shard, 1, 2, 3)
    row = decoded("GradientShard", record.value)
    # Whatever a field of the schema is called in Python, its value is in it.
    for field in wire.schema("GradientShard")["fields"]:
        name = wire.snake_case(field["name"])
        if name in ("part", "parts", "sent_at", "producer_seq", "dropped", "sketch_blocks"):
            continue
        expected = vars(columns).get(name, vars(shard).get(name))
        assert expected is not None, name
        np.testing.assert_array_equal(np.ravel(np.asarray(row[field["name"]])), np.ravel(np.asarray(expected)), name)
    assert row["sketchBlocks"] is None


def test_an_empty_shard_is_one_record() -> None:
    (record,) = wire.encode_shard(shard_of(columns_of(0, zeros=np.zeros(0, np.int64))), 1, 2, 3)
    row = decoded("GradientShard", record.value)
    assert (row["norm"], row["maxAbs"], row["zeros"]) == ([], [], [])


def test_lists_and_odd_dtypes_are_columns_too() -> None:
    columns = Columns(norm=[1, 2], max_abs=np.array([1, 2], np.float64), zeros=np.array([3, 4], np.uint8))
    (record,) = wire.encode_shard(shard_of(columns), 1, 2, 3)
    row = decoded("GradientShard", record.value)
    assert (row["norm"], row["maxAbs"], row["zeros"]) == ([1.0, 2.0], [1.0, 2.0], [3, 4])


@pytest.mark.parametrize(
    "more, sentence",
    [
        ({"zeros": np.zeros(2, np.int64)}, "columns: expected 3 values in zeros, as in norm, got 2"),
        ({"nonfinite_layers": np.array([1])}, "expected 1 values in nans, as nonfinite_layers say, got none"),
        ({"histogram_offsets": np.array([0, 0, 0])}, "expected 4 values in histogram_offsets"),
        ({"histogram_offsets": np.array([0, 0, 0, 1])}, "expected 1 values in histogram_bins, as its offsets say"),
        ({"sketch_layers": np.array([1]), "sketch_width": 64}, "expected 64 values in sketches"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(more: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        wire.encode_shard(shard_of(columns_of(3, **more)), 1, 2, 3)


def test_counts_that_are_no_integers_are_refused() -> None:
    with pytest.raises(ValueError, match="GradientShard.zeros: expected a value of its type, got an array of float64"):
        wire.encode_shard(shard_of(columns_of(30, zeros=np.zeros(30))), 1, 2, 3)
    with pytest.raises(ValueError, match="GradientShard.zeros: expected a value of its type"):
        wire.encode_shard(shard_of(columns_of(1, zeros=[0.5])), 1, 2, 3)


def test_a_field_of_another_type_is_named() -> None:
    with pytest.raises(ValueError, match="GradientShard.stage: expected a value of its type, got None"):
        wire.encode_shard(Shard("run", 1, "main", 1, 0, (0,), 1, None, columns_of(1)), 1, 2, 3)
    with pytest.raises(ValueError, match="GradientManifest.layers.elements: expected a value of its type, got 'many'"):
        wire.encode_manifest(Manifest("run", 1, (Layer("a", "many"),), 1, (), ()), 1)


def test_a_shard_of_100_000_layers_is_split_and_complete() -> None:
    n = 100_000
    counts = np.arange(n, dtype=np.int64)
    offsets = np.arange(n + 1, dtype=np.int32) * 2
    columns = Columns(
        norm=counts.astype(np.float32),
        max_abs=counts.astype(np.float32),
        first_layer=10,
        zeros=counts * 1000,
        nonfinite_layers=np.array([10, 50_009, 100_009]),
        nans=np.array([1, 2, 3]),
        pos_infs=np.array([0, 0, 1]),
        neg_infs=np.array([4, 0, 0]),
        histogram_offsets=offsets,
        histogram_bins=np.tile(np.array([-3, 5], np.int32), n),
        histogram_counts=np.arange(2 * n, dtype=np.int64) + 1,
        sketch_width=4,
        sketch_layers=np.array([10, 60_000]),
        sketches=np.arange(8, dtype=np.float32),
    )
    records = wire.encode_shard(shard_of(columns), 1, 2, 3)
    assert len(records) > 1
    assert all(len(record.value) <= wire.MAX_VALUE_BYTES for record in records)
    assert {record.key for record in records} == {b"run%7C1%25|3"}
    rows = [decoded("GradientShard", record.value) for record in records]
    assert [(row["part"], row["parts"]) for row in rows] == [(i, len(rows)) for i in range(len(rows))]
    first = 10
    for row in rows:
        assert row["firstLayer"] == first
        assert row["layers"] is None
        assert len(row["histogramOffsets"]) == len(row["norm"]) + 1
        assert row["histogramOffsets"][0] == 0
        assert row["histogramOffsets"][-1] == len(row["histogramBins"])
        first += len(row["norm"])
    together = {
        name: [value for row in rows for value in (row[name] or ())]
        for name in ("norm", "zeros", "nonFiniteLayers", "nans", "negInfs", "histogramCounts", "sketchLayers", "sketches")
    }
    assert together["norm"] == counts.tolist()
    assert together["zeros"] == (counts * 1000).tolist()
    assert together["nonFiniteLayers"] == [10, 50_009, 100_009]
    assert (together["nans"], together["negInfs"]) == ([1, 2, 3], [4, 0, 0])
    assert together["histogramCounts"] == (np.arange(2 * n) + 1).tolist()
    assert together["sketchLayers"] == [10, 60_000]
    assert together["sketches"] == list(range(8))
    assert [row["sketchWidth"] for row in rows if row["sketchLayers"] is None] == [None] * (len(rows) - 2)


def test_a_split_shard_keeps_its_gaps() -> None:
    n = 120_000
    layers = np.arange(n, dtype=np.int32) * 3
    bad = layers[[0, 70_000]]
    columns = columns_of(n, layers=layers, nonfinite_layers=bad, nans=[1, 2], pos_infs=[0, 0], neg_infs=[0, 0])
    rows = [decoded("GradientShard", record.value) for record in wire.encode_shard(shard_of(columns), 1, 2, 3)]
    assert len(rows) > 1
    assert [layer for row in rows for layer in row["layers"]] == layers.tolist()
    assert [row["firstLayer"] for row in rows] == [row["layers"][0] for row in rows]
    assert [layer for row in rows for layer in row["nonFiniteLayers"] or ()] == [0, 210_000]


# --- Manifests and events -------------------------------------------------------------------------------------------


def test_a_manifest_arrives() -> None:
    manifest = Manifest(
        run_id="run",
        attempt=3,
        layers=(
            Layer("a.weight", 1 << 33, "a", 0, "WEIGHT", "bfloat16", True, True, True, "b.weight", ("SHARD", "REPLICATE")),
            Layer("b.weight", 5, trainable=False, placement=("PARTIAL", "SHARD")),
        ),
        world_size=8,
        mesh=(MeshAxis("dp_shard", 4), MeshAxis("tp", 2)),
        reporting=(Reporting("LOCAL"), Reporting("REDUCED", (0, 7), 10, {"histogramBins": 50})),
        stream="generator",
        reduce_op="sum",
        gradient_dtype="bfloat16",
        reduction_dtype="float32",
        master_dtype="float32",
        optimizer="AdamW",
        adam_eps=1e-8,
    )
    (record,) = wire.encode_manifest(manifest, -5)
    assert (record.topic, record.key) == ("gradient-manifests", b"run|-5|0")
    assert decoded("GradientManifest", record.value) == {
        "runId": "run",
        "attempt": 3,
        "stream": "generator",
        "manifestId": -5,
        "part": 0,
        "parts": 1,
        "firstLayer": 0,
        "layerCount": 2,
        "worldSize": 8,
        "mesh": [{"name": "dp_shard", "size": 4}, {"name": "tp", "size": 2}],
        "reporting": [
            {"stage": "LOCAL", "ranks": None, "every": 1, "columnEvery": None},
            {"stage": "REDUCED", "ranks": [0, 7], "every": 10, "columnEvery": {"histogramBins": 50}},
        ],
        "reduceOp": "sum",
        "gradientDtype": "bfloat16",
        "reductionDtype": "float32",
        "masterDtype": "float32",
        "optimizer": "AdamW",
        "adamEps": 1e-8,
        "layers": [
            {
                **{"name": "a.weight", "block": "a", "depth": 0, "kind": "WEIGHT", "elements": 1 << 33},
                **{"dtype": "bfloat16", "trainable": True, "sparse": True, "zeroInit": True, "tiedTo": "b.weight"},
                "placement": ["SHARD", "REPLICATE"],
            },
            {
                **{"name": "b.weight", "block": None, "depth": None, "kind": "OTHER", "elements": 5},
                **{"dtype": "float32", "trainable": False, "sparse": False, "zeroInit": False, "tiedTo": None},
                "placement": ["PARTIAL", "SHARD"],
            },
        ],
    }


def test_a_manifest_of_100_000_layers_is_split_by_layers() -> None:
    manifest = manifest_of(100_000)
    records = wire.encode_manifest(manifest, 9)
    assert len(records) > 1
    assert all(len(record.value) <= wire.MAX_VALUE_BYTES for record in records)
    assert [record.key for record in records] == [b"run|9|%d" % i for i in range(len(records))]
    rows = [decoded("GradientManifest", record.value) for record in records]
    assert [layer["name"] for row in rows for layer in row["layers"]] == [layer.name for layer in manifest.layers]
    first = 0
    for i, row in enumerate(rows):
        assert (row["part"], row["parts"], row["layerCount"]) == (i, len(rows), 100_000)
        assert row["firstLayer"] == first
        first += len(row["layers"])


def test_an_event_arrives() -> None:
    event = RunEvent("r|n", 1, "main", -1, "CHANGED", 1_700_000_000_000, {"batch": "64", "schedule": "cosine"})
    (record,) = wire.encode_event(event)
    assert (record.topic, record.key) == ("gradient-runs", b"r%7Cn")
    assert decoded("GradientRunEvent", record.value) == {
        **{"runId": "r|n", "attempt": 1, "stream": "main", "step": -1, "type": "CHANGED", "at": 1_700_000_000_000},
        "attributes": {"batch": "64", "schedule": "cosine"},
    }


def test_texts_that_no_utf_8_holds_lose_only_what_it_cannot() -> None:
    (record,) = wire.encode_event(RunEvent("run", 1, "main", 0, "EVAL", 1, {"name": "a\udcffb"}))
    assert decoded("GradientRunEvent", record.value)["attributes"] == {"name": "a?b"}


# --- Ids ------------------------------------------------------------------------------------------------------------


def test_ids_tell_contents_apart_and_nothing_else() -> None:
    manifest = manifest_of(3)
    assert manifest_id(manifest) == manifest_id(manifest_of(3))
    assert manifest_id(manifest) != manifest_id(manifest_of(4))
    assert manifest_id(manifest) != manifest_id(manifest_of(3, adam_eps=1e-8))
    assert manifest_id(manifest) != manifest_id(manifest_of(3, optimizer=""))


def test_a_hash_does_not_depend_on_how_it_is_cut() -> None:
    column = list(range(-500, 70_000))
    whole = Hash64().numbers(column)
    one_by_one = Hash64().number(len(column))
    for value in column:
        one_by_one.number(value)
        if value % 1000 == 0:
            one_by_one.value()
    assert whole.value() == one_by_one.value()


# --- Reading --------------------------------------------------------------------------------------------------------


def event_bytes() -> bytes:
    (record,) = wire.encode_event(RunEvent("run", 1, "main", 3, "CHANGED", 2, {"batch": "64"}))
    return record.value


def test_what_is_written_is_read() -> None:
    assert wire.read(event_bytes(), ["GradientAlert", "GradientRunEvent"]) == {
        **{"runId": "run", "attempt": 1, "stream": "main", "step": 3, "type": "CHANGED", "at": 2},
        "attributes": {"batch": "64"},
    }


@pytest.mark.parametrize(
    "value, sentence",
    [
        (None, "expected a value, got none"),
        (b"", "expected a value, got none"),
        (b"\xc3\x01" + bytes(8), "expected the fingerprint of GradientRunEvent, got 0000000000000000, a schema this"),
        (b"\x00\x00\x00\x00\x07body", "got schema id 7 of a registry, which this client does not read"),
        (b"\x00\x00", "got 2 bytes starting 00 00"),
        (b"{}", "got 2 bytes starting 7B 7D"),
        (event_bytes()[:-1], "that do not hold one"),
        (event_bytes() + b"\x00", "got 1 bytes more"),
        (wire.header("GradientRunEvent") + b"\xff" * 11, "integer of 10 bytes"),
        (wire.header("GradientRunEvent") + b"\x7f" * 9, "bytes at most"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(value: bytes, sentence: str) -> None:
    with pytest.raises(wire.Unreadable, match=sentence):
        wire.read(value, ["GradientRunEvent"])


def test_no_input_breaks_the_reader() -> None:
    rng = np.random.default_rng(3)
    whole = event_bytes()
    for _ in range(3000):
        value = bytearray(whole)
        for at in rng.integers(10, len(value), 3):
            value[at] = rng.integers(0, 256)
        try:
            wire.read(bytes(value), ["GradientRunEvent"])
        except wire.Unreadable:
            pass

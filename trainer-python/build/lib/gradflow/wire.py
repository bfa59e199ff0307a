"""What crosses Kafka: records as Avro behind a fingerprint of their schema, and the keys they go under.

The schemas are the files in ``gradflow/schemas``, copies of ``schemas/src/main/avro``; the layout of every record
follows from them alone. Arrays are written as one block, those of numbers straight from numpy's memory.
"""

from __future__ import annotations

import json
import operator
import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from gradflow.records import Columns, Manifest, RunEvent, Shard

SHARDS = "gradient-shards"
MANIFESTS = "gradient-manifests"
RUNS = "gradient-runs"
ALERTS = "gradient-alerts"

#: The largest value that is written, in bytes: what does not fit is split by layers into parts.
MAX_VALUE_BYTES = 900_000

_SINGLE_OBJECT = b"\xc3\x01"
_HEADER_BYTES = 10
_CONFLUENT = 0
_EMPTY_FINGERPRINT = 0xC15D213AA4D7A795
_VECTOR_FROM = 24
_NO_BLOCKS = b"\x00"
_NULL = b"\x00"
_OTHER = b"\x02"

Schema = Union[str, List[Any], Dict[str, Any]]
Write = Callable[[List[bytes], Any], None]


class Record(NamedTuple):
    """A record as Kafka takes it."""

    topic: str
    key: bytes
    value: bytes


class Unreadable(ValueError):
    """A value that is no record of its topic, or one of a schema that this release does not know."""


# --- Schemas --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=None)
def schema(name: str) -> Dict[str, Any]:
    """The schema in ``schemas/<name>.avsc`` of this package."""
    text = (Path(__file__).parent / "schemas" / (name + ".avsc")).read_text(encoding="utf-8")
    parsed: Dict[str, Any] = json.loads(text)
    return parsed


@lru_cache(maxsize=None)
def header(name: str) -> bytes:
    """What precedes every value of that schema: ``C3 01`` and its fingerprint, little-endian."""
    return _SINGLE_OBJECT + struct.pack("<Q", fingerprint(canonical(schema(name))))


def canonical(of: Schema, namespace: str = "") -> str:
    """A schema in Avro's parsing canonical form. No enum and no fixed: the project's schemas have none."""
    if isinstance(of, str):
        return json.dumps(of if of in _PRIMITIVES or "." in of or not namespace else f"{namespace}.{of}")
    if isinstance(of, list):
        return "[" + ",".join(canonical(branch, namespace) for branch in of) + "]"
    kind = of["type"]
    if kind == "array":
        return '{"type":"array","items":' + canonical(of["items"], namespace) + "}"
    if kind == "map":
        return '{"type":"map","values":' + canonical(of["values"], namespace) + "}"
    if kind != "record":
        return canonical(kind, namespace)
    inner = of.get("namespace", namespace)
    name = of["name"] if "." in of["name"] or not inner else f"{inner}.{of['name']}"
    inner = name.rpartition(".")[0]
    fields = ",".join(
        '{"name":' + json.dumps(field["name"]) + ',"type":' + canonical(field["type"], inner) + "}"
        for field in of["fields"]
    )
    return '{"name":' + json.dumps(name) + ',"type":"record","fields":[' + fields + "]}"


_PRIMITIVES = frozenset(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])


def _typed(of: Union[str, Dict[str, Any]]) -> Tuple[str, Dict[str, Any]]:
    """A schema's type, and the schema where it has parts."""
    return (of, {}) if isinstance(of, str) else (of["type"], of)


def fingerprint(canonical_form: str) -> int:
    """CRC-64-AVRO of a schema's parsing canonical form, unsigned."""
    value = _EMPTY_FINGERPRINT
    table = _fingerprint_table()
    for byte in canonical_form.encode("utf-8"):
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value


@lru_cache(maxsize=None)
def _fingerprint_table() -> Tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_EMPTY_FINGERPRINT if value & 1 else 0)
        table.append(value)
    return tuple(table)


# --- Writing --------------------------------------------------------------------------------------------------------


def key(*components: object) -> bytes:
    """A record's key: the components with ``|`` between them, ``|`` and ``%`` within them escaped."""
    escaped = (str(component).replace("%", "%25").replace("|", "%7C") for component in components)
    return "|".join(escaped).encode("utf-8", "replace")


def encode_manifest(manifest: Manifest, manifest_id: int) -> List[Record]:
    """The records of a manifest under its id: one, or several parts under keys of their own.

    Raises ValueError naming the field that has no value or one of another type.
    """
    layers = manifest.layers

    def part(index: int, of: int, start: int, end: int) -> Record:
        row = dict(
            vars(manifest),
            manifest_id=manifest_id,
            part=index,
            parts=of,
            first_layer=start,
            layer_count=len(layers),
            layers=layers[start:end],
        )
        return Record(MANIFESTS, key(manifest.run_id, manifest_id, index), _written("GradientManifest", row))

    return _split(part, len(layers))


def encode_event(event: RunEvent) -> List[Record]:
    """The record of an event. Raises ValueError as `encode_manifest` does."""
    return [Record(RUNS, key(event.run_id), _written("GradientRunEvent", vars(event)))]


def encode_shard(shard: Shard, sent_at: int, producer_seq: int, dropped: int) -> List[Record]:
    """The records of a shard: one, or several parts under the same key.

    ``sent_at`` in ms since the epoch; ``producer_seq`` counts the producer's records, ``dropped`` those it has lost.
    Raises ValueError if columns are not aligned, and as `encode_manifest` does.
    """
    columns = shard.columns
    _require_aligned(columns)
    whole = dict(vars(shard), sent_at=sent_at, producer_seq=producer_seq, dropped=dropped)
    record_key = key(shard.run_id, shard.rank)

    def part(index: int, of: int, start: int, end: int) -> Record:
        own = columns if of == 1 else _slice(columns, start, end)
        whole.update(vars(own), part=index, parts=of)
        return Record(SHARDS, record_key, _written("GradientShard", whole))

    return _split(part, len(columns.norm))


def _split(part: Callable[[int, int, int, int], Record], layers: int) -> List[Record]:
    """One record if it fits, else as few parts of about equally many layers as fit, as Java's codec cuts them."""
    whole = part(0, 1, 0, layers)
    size = len(whole.value)
    if size <= MAX_VALUE_BYTES or layers <= 1:
        return [whole]
    # Layers differ in size, and what is repeated in each part counts too: try, then cut finer.
    parts = min(layers, size // MAX_VALUE_BYTES + 1)
    while True:
        records = [part(i, parts, layers * i // parts, layers * (i + 1) // parts) for i in range(parts)]
        if parts == layers or all(len(record.value) <= MAX_VALUE_BYTES for record in records):
            return records
        parts = min(layers, parts + parts // 4 + 1)


_ALIGNED = (
    ("max_abs", "layers", "elements", "zeros", "sum_abs", "sum", "subnormals", "min_nonzero_abs")
    + ("weight_norm", "update_norm", "dot_previous", "dot_reduced", "content_hash", "activations", "saturated")
)
_NON_FINITE = ("nans", "pos_infs", "neg_infs")


def _require_aligned(columns: Columns) -> None:
    has = vars(columns)
    size = len(columns.norm)
    for name in _ALIGNED:
        column = has[name]
        if column is not None and len(column) != size:
            raise ValueError(f"columns: expected {size} values in {name}, as in norm, got {len(column)}")
    if columns.nonfinite_layers is not None:
        _require_lengths(has, _NON_FINITE, len(columns.nonfinite_layers), "nonfinite_layers")
    if columns.histogram_offsets is not None:
        _require_lengths(has, ("histogram_offsets",), size + 1, "norm and one more")
        _require_lengths(has, ("histogram_bins", "histogram_counts"), int(columns.histogram_offsets[-1]), "its offsets")
    if columns.sketch_layers is not None:
        cells = len(columns.sketch_layers) * (columns.sketch_width or 0)
        _require_lengths(has, ("sketches",), cells, "sketch_layers times sketch_width")


def _require_lengths(has: Mapping[str, Any], names: Sequence[str], expected: int, beside: str) -> None:
    for name in names:
        got = "none" if has[name] is None else int(np.size(has[name]))
        if got != expected:
            raise ValueError(f"columns: expected {expected} values in {name}, as {beside} say, got {got}")


def _slice(columns: Columns, start: int, end: int) -> Columns:
    first = columns.first_layer + start if columns.layers is None else int(columns.layers[start])
    last = columns.first_layer + end - 1 if columns.layers is None else int(columns.layers[end - 1])
    has = vars(columns)
    own: Dict[str, Any] = {name: None if has[name] is None else has[name][start:end] for name in ("norm",) + _ALIGNED}
    own["first_layer"] = first
    if columns.nonfinite_layers is not None:
        low, high = np.searchsorted(columns.nonfinite_layers, [first, last + 1])
        if low < high:
            own.update({name: has[name][low:high] for name in ("nonfinite_layers",) + _NON_FINITE})
    if columns.histogram_offsets is not None:
        offsets = np.asarray(columns.histogram_offsets)[start : end + 1]
        own["histogram_offsets"] = offsets - offsets[0]
        for name in ("histogram_bins", "histogram_counts"):
            own[name] = has[name][offsets[0] : offsets[-1]]
    if columns.sketch_layers is not None and columns.sketches is not None and columns.sketch_width is not None:
        low, high = np.searchsorted(columns.sketch_layers, [first, last + 1])
        if low < high:
            width = columns.sketch_width
            own.update(sketch_layers=columns.sketch_layers[low:high], sketch_width=width)
            own["sketches"] = np.asarray(columns.sketches).reshape(-1)[low * width : high * width]
    return Columns(**own)


def _written(name: str, row: Mapping[str, Any]) -> bytes:
    out = [header(name)]
    _writer(name)(out, row)
    return b"".join(out)


@lru_cache(maxsize=None)
def _writer(name: str) -> Write:
    return _write(schema(name), name)


def snake_case(name: str) -> str:
    """A field of a schema in Python's spelling: ``maxAbs`` is ``max_abs``, ``nonFiniteLayers`` ``nonfinite_layers``."""
    return re.sub("([A-Z])", lambda upper: "_" + upper.group(1).lower(), name).replace("non_finite", "nonfinite")


def _write(of: Schema, where: str) -> Write:
    if isinstance(of, list):
        if len(of) != 2 or of[0] != "null":
            raise NotImplementedError(f"{where}: unions other than of null and one type")
        other = _write(of[1], where)

        def write_nullable(out: List[bytes], value: Any) -> None:
            if value is None:
                out.append(_NULL)
            else:
                out.append(_OTHER)
                other(out, value)

        return write_nullable
    kind, parts = _typed(of)
    if kind == "record":
        return _write_record(parts, where)
    if kind == "array":
        return _write_array(parts["items"], where)
    if kind == "map":
        value_of = _write(parts["values"], where)

        def write_map(out: List[bytes], value: Any) -> None:
            if value:
                out.append(_varint(len(value)))
                for name, item in value.items():
                    _write_text(out, name)
                    value_of(out, item)
            out.append(_NO_BLOCKS)

        return write_map
    return _WRITES[kind]


def _write_record(of: Dict[str, Any], where: str) -> Write:
    fields = []
    for field in of["fields"]:
        inside = f"{where}.{field['name']}"
        fields.append((snake_case(field["name"]), field.get("default"), _write(field["type"], inside), inside))

    def write_record(out: List[bytes], row: Any) -> None:
        has = row if isinstance(row, Mapping) else vars(row)
        for name, default, write, inside in fields:
            value = has.get(name, default)
            try:
                write(out, value)
            except (TypeError, ValueError, AttributeError, OverflowError, struct.error) as e:
                if str(e).startswith(where):
                    raise
                got = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"{value!r:.100}"
                raise ValueError(f"{inside}: expected a value of its type, got {got}: {e}") from e

    return write_record


def _write_array(items: Schema, where: str) -> Write:
    if items in ("int", "long"):
        return _write_integers
    if items in ("float", "double"):
        dtype = np.dtype("<f4" if items == "float" else "<f8")

        def write_reals(out: List[bytes], value: Any) -> None:
            column = np.ascontiguousarray(value, dtype=dtype)
            if column.size:
                out.append(_varint(column.size))
                out.append(column.tobytes())
            out.append(_NO_BLOCKS)

        return write_reals
    write_item = _write(items, where)

    def write_items(out: List[bytes], value: Any) -> None:
        if value:
            out.append(_varint(len(value)))
            for item in value:
                write_item(out, item)
        out.append(_NO_BLOCKS)

    return write_items


def _write_integers(out: List[bytes], value: Any) -> None:
    size = len(value)
    if size:
        out.append(_varint(size))
        if size < _VECTOR_FROM:
            out.extend(map(_varint, value.tolist() if isinstance(value, np.ndarray) else value))
        else:
            out.append(varints(np.asarray(value)))
    out.append(_NO_BLOCKS)


_SHIFTS = np.arange(0, 70, 7, dtype=np.uint64)


def varints(column: np.ndarray) -> bytes:
    """A column of integers, each as Avro's zig-zag varint."""
    if column.dtype.kind not in "iu":
        raise ValueError(f"expected a column of integers, got {column.dtype}")
    signed = column.astype(np.int64, copy=False)
    zigzag = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    most = int(zigzag.max())
    if most < 1 << 7:
        return zigzag.astype(np.uint8).tobytes()
    width = (most.bit_length() + 6) // 7
    # Row i holds what is left of value i before each of its bytes; rows end where nothing is left.
    left = zigzag[:, None] >> _SHIFTS[:width]
    written = (left & 0x7F).astype(np.uint8) | ((left > 0x7F).view(np.uint8) << 7)
    present = left > 0
    present[:, 0] = True
    return written[present].tobytes()


def _varint(integer: Any) -> bytes:
    value = operator.index(integer)
    if -64 <= value < 64:
        return _SHORT[value + 64]
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"expected an integer of 64 bits, got {value}")
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


_SHORT = [bytes([(value << 1) ^ (value >> 63)]) for value in range(-64, 64)]


def _write_integer(out: List[bytes], value: Any) -> None:
    out.append(_varint(value))


def _write_text(out: List[bytes], value: Any) -> None:
    encoded = value.encode("utf-8", "replace")
    out.append(_varint(len(encoded)))
    out.append(encoded)


_WRITES: Dict[str, Write] = {
    "string": _write_text,
    "int": _write_integer,
    "long": _write_integer,
    "double": lambda out, value: out.append(struct.pack("<d", value)),
    "boolean": lambda out, value: out.append(b"\x01" if value else b"\x00"),
}


# --- Reading --------------------------------------------------------------------------------------------------------


def read(value: Optional[bytes], names: Sequence[str]) -> Dict[str, Any]:
    """A value's fields under the names they have in the schema it was written with.

    Both framings are told apart; only single-object encoding is read, of the schemas ``names`` of this package.
    Raises Unreadable, saying what was expected.
    """
    if not value:
        raise Unreadable("expected a value, got none")
    if value[:2] == _SINGLE_OBJECT and len(value) >= _HEADER_BYTES:
        for name in names:
            if value[:_HEADER_BYTES] == header(name):
                return _body(name, value)
        (unknown,) = struct.unpack_from("<Q", value, 2)
        raise Unreadable(
            f"expected the fingerprint of {' or '.join(names)}, got {unknown:016x}, a schema this release does not "
            "know: upgrade gradflow here to the release of the jobs"
        )
    if value[0] == _CONFLUENT and len(value) >= 5:
        (schema_id,) = struct.unpack_from(">i", value, 1)
        raise Unreadable(
            f"expected Avro behind C3 01 and a fingerprint, got schema id {schema_id} of a registry, which this "
            "client does not read: have the jobs write their own framing"
        )
    raise Unreadable(
        f"expected Avro behind C3 01 and a fingerprint, got {len(value)} bytes starting {value[:2].hex(' ').upper()}"
    )


def _body(name: str, value: bytes) -> Dict[str, Any]:
    source = _Source(value, _HEADER_BYTES)
    try:
        row: Dict[str, Any] = source.read(schema(name))
    except (IndexError, struct.error, UnicodeDecodeError) as e:
        raise Unreadable(f"expected a whole {name}, got {len(value)} bytes that do not hold one: {e}") from e
    if source.at != len(value):
        raise Unreadable(f"expected the {name} to end at byte {source.at}, got {len(value) - source.at} bytes more")
    return row


class _Source:
    """Bytes being read; never further than they go, and in time in proportion to their number."""

    def __init__(self, value: bytes, at: int) -> None:
        self._value = value
        self.at = at

    def read(self, of: Schema) -> Any:
        if isinstance(of, list):
            branch = self._integer()
            if not 0 <= branch < len(of):
                raise Unreadable(f"expected a union branch below {len(of)}, got {branch}")
            return self.read(of[branch])
        kind, parts = _typed(of)
        if kind == "record":
            return {field["name"]: self.read(field["type"]) for field in parts["fields"]}
        if kind == "array":
            return [item for count in self._blocks() for item in self._items(parts["items"], count)]
        if kind == "map":
            return dict(item for count in self._blocks() for item in self._entries(parts["values"], count))
        if kind in ("int", "long"):
            return self._integer()
        if kind == "double":
            (real,) = struct.unpack("<d", self._take(8))
            return real
        if kind == "string":
            return self._take(self._integer()).decode("utf-8")
        if kind == "boolean":
            return self._take(1) != b"\x00"
        if kind == "null":
            return None
        raise NotImplementedError(f"reading {kind}")

    def _items(self, of: Schema, count: int) -> List[Any]:
        return [self.read(of) for _ in range(count)]

    def _entries(self, of: Schema, count: int) -> List[Tuple[str, Any]]:
        return [(self.read("string"), self.read(of)) for _ in range(count)]

    def _blocks(self) -> Any:
        while True:
            count = self._integer()
            if count == 0:
                return
            if count < 0:
                count = -count
                self._integer()
            # No item of the project's takes less than a byte.
            if count > len(self._value) - self.at:
                raise Unreadable(f"expected at most {len(self._value) - self.at} items, got {count}")
            yield count

    def _integer(self) -> int:
        zigzag = shift = 0
        while True:
            byte = self._value[self.at]
            self.at += 1
            zigzag |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (zigzag >> 1) ^ -(zigzag & 1)
            shift += 7
            if shift > 63:
                raise Unreadable("expected an integer of 10 bytes at most, got a longer one")

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._value) - self.at:
            raise Unreadable(f"expected {len(self._value) - self.at} bytes at most, got {count}")
        self.at += count
        return self._value[self.at - count : self.at]

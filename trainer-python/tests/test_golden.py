"""One contract: what Java writes is read here, and what is written here is what Java writes.

``PythonTrainerTest.java`` reads the same files from the other side. Both write them anew on command: see ``golden.py``.
"""

from __future__ import annotations

import io
from typing import Any, Dict, List

import fastavro
import golden
import pytest

from gradflow import wire

SCHEMAS = {
    **{"shard": "GradientShard", "manifest": "GradientManifest"},
    **{"event": "GradientRunEvent", "alert": "GradientAlert"},
}
NAMES = sorted(golden.records())
#: The jobs and Java's trainer know of this field and never fill it.
NEVER_WRITTEN = {"sketchBlocks"}


def file(language: str, name: str) -> bytes:
    return (golden.GOLDEN / f"{language}-{name}.bin").read_bytes()


def decoded(name: str, value: bytes) -> Dict[str, Any]:
    body = io.BytesIO(value)
    schema = SCHEMAS[name.split("-")[0]]
    assert body.read(10) == wire.header(schema)
    row = fastavro.schemaless_reader(body, fastavro.parse_schema(wire.schema(schema)))
    assert body.read() == b""
    return row


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_make_the_same_bytes_of_the_same_values(name: str) -> None:
    own = golden.records()[name].value
    assert own == file("python", name), f"{name}: see golden.py if this was meant"
    assert own == file("java", name)


def test_both_languages_split_alike() -> None:
    own = golden.digests()
    assert own == (golden.GOLDEN / "python-parts.txt").read_text()
    assert own == (golden.GOLDEN / "java-parts.txt").read_text()


@pytest.mark.parametrize("name", [*NAMES, "alert-full", "alert-bare"])
def test_what_is_read_is_written_back_to_the_same_bytes(name: str) -> None:
    value = file("java", name)
    schema = SCHEMAS[name.split("-")[0]]
    theirs = io.BytesIO()
    theirs.write(wire.header(schema))
    fastavro.schemaless_writer(theirs, fastavro.parse_schema(wire.schema(schema)), decoded(name, value))
    assert theirs.getvalue() == value
    assert wire._written(schema, spelled_as_here(decoded(name, value))) == value


def spelled_as_here(value: Any) -> Any:
    """The same with the fields of records in Python's spelling; what maps hold is nobody's field."""
    if isinstance(value, dict):
        maps = ("columnEvery", "attributes")
        return {
            wire.snake_case(name): inner if name in maps else spelled_as_here(inner) for name, inner in value.items()
        }
    return [spelled_as_here(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("what", sorted(SCHEMAS))
def test_every_field_is_covered_with_a_value_that_is_no_default(what: str) -> None:
    covered: List[str] = []
    expected: List[str] = []

    def visit(schema: Any, value: Any, path: str) -> None:
        """Notes the fields under a path that differ from their default in any record of the value."""
        if isinstance(schema, list):
            visit(schema[1], value, path)
            return
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, dict):
            visit(kind, value, path)
        elif kind == "array":
            for item in value or [None]:
                visit(schema["items"], item, path)
        elif kind == "record":
            for field in schema["fields"]:
                inner = f"{path}.{field['name']}"
                expected.append(inner)
                got = None if value is None else value[field["name"]]
                if got is not None and got != field.get("default"):
                    covered.append(inner)
                visit(field["type"], got, inner)

    row = decoded(what, file("java", f"{what}-full"))
    visit(wire.schema(SCHEMAS[what]), row, what)
    exempt = {f"{what}.{name}" for name in NEVER_WRITTEN}
    exempt |= {"shard.part", "shard.parts", "manifest.part", "manifest.parts", "manifest.firstLayer"}
    assert set(expected) - set(covered) - exempt == set()

"""The schema of every table in Arrow: the fixed ones, and one for each analysis, with ids and descriptions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipeline.analyses import Analysis, column_type
from pipeline.domain import short_hash
from pipeline.errors import DeclarationError
from pipeline.schemas.columns import DOCUMENT, EXTRA, FIXED, RUN, TOKENS, USD, Column, null_when

SECOND_EXACT = Decimal("0.0000000001")
_SCALARS: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}


def result_columns(analysis: Analysis) -> list[Column]:
    """The columns of an analysis' table: document, answer, provenance, tokens and cost."""
    answer = [
        (name, arrow_type(spec, f"{analysis.name}.answer.{name}"), _described(name, spec, analysis.schema))
        for name, spec in analysis.schema["properties"].items()
    ]
    return [
        *DOCUMENT,
        *answer,
        ("truncated", pa.bool_(), "The answer reached the output limit and was closed by us"),
        EXTRA,
        *RUN,
        ("model", pa.string(), "What answered: a Bedrock model, or the embedded engine by its name"),
        ("prompt_fingerprint", pa.string(), "sha256 of the templates, their includes and the declaration"),
        ("method_id", pa.string(), "Derived from prompt, model, parameters and language: what an answer depends on"),
        ("content_hash", pa.string(), "Derived from the text that was asked about, as in documents"),
        ("chunks", pa.int32(), "Chunks the document was split into; 1 when it fitted whole"),
        *TOKENS,
        ("cost_usd", USD, "What the row cost, repetitions and reductions included; null when unknown"),
    ]


def _described(name: str, spec: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What the declaration says of a property, and that a model may leave it out where it may."""
    said: str = spec.get("description") or f"`{name}` of the answer"
    given = (
        name in schema.get("required", []) and "null" not in spec.get("type", "") and None not in spec.get("enum", [])
    )
    return said if given or null_when(said) else f"{said}; null when the model gave none"


def table_schemas(analyses: Mapping[str, Analysis]) -> dict[str, pa.Schema]:
    """The schema of every table that a run of these analyses publishes."""
    results = {
        name: (f"{analysis.declaration.description}, one row per document", result_columns(analysis))
        for name, analysis in analyses.items()
    }
    return {name: arrow_schema(name, *about) for name, about in {**FIXED, **results}.items()}


def arrow_type(spec: Mapping[str, Any], where: str) -> pa.DataType:
    """The column type of a JSON Schema; `load_analysis` has refused what cannot become one. Raises DeclarationError."""
    kind = column_type(spec)
    if kind is None:
        raise DeclarationError(f"{where}: type {spec.get('type')!r} cannot become a column")
    if kind == "array":
        return pa.list_(arrow_type(spec["items"], where + "[]"))
    if kind == "object":
        return pa.struct([(name, arrow_type(part, f"{where}.{name}")) for name, part in spec["properties"].items()])
    return _SCALARS[kind]


def arrow_schema(table: str, description: str, columns: Sequence[Column]) -> pa.Schema:
    """The schema with its descriptions: on each field, and as JSON under the file's key `docbatch`.

    Every field, nested ones too, has an Iceberg field id that follows from its name: the same column has the same id
    in every run, whatever stands before it.
    """
    about = {"table": table, "description": description, "columns": {name: text for name, _, text in columns}}
    fields = [_numbered(pa.field(name, kind, metadata={"description": text})) for name, kind, text in columns]
    return pa.schema(fields, metadata={"docbatch": json.dumps(about, ensure_ascii=False)})


def money(value: Decimal | None) -> Decimal | None:
    """A sum as the tables hold it; exact, since no price has more than ten places a token."""
    return None if value is None else value.quantize(SECOND_EXACT)


def _numbered(field: pa.Field[Any], *parents: str) -> pa.Field[Any]:
    """The field with its id, 1 to 2**30. Two of 100 columns share one in a case of 200,000; Iceberg refuses it."""
    names = (*parents, field.name)
    field_id = (int(short_hash(*names)[:8], 16) >> 2) + 1
    metadata = {**(field.metadata or {}), b"PARQUET:field_id": str(field_id).encode()}
    return pa.field(field.name, _numbered_type(field.type, names), field.nullable, metadata)


def _numbered_type(kind: pa.DataType, names: tuple[str, ...]) -> pa.DataType:
    if isinstance(kind, pa.ListType):
        return pa.list_(_numbered(pa.field("element", kind.value_type), *names))
    if isinstance(kind, pa.StructType):
        return pa.struct([_numbered(part, *names) for part in kind])
    return kind

"""Schemas with field ids: Arrow's as Iceberg's, and the union of what a table has with what a run brings."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pyarrow as pa
from pyiceberg.exceptions import ResolveError
from pyiceberg.io.pyarrow import pyarrow_to_schema, schema_to_pyarrow
from pyiceberg.schema import Schema, promote
from pyiceberg.types import IcebergType, ListType, NestedField, StructType

from pipeline.errors import DeclarationError


def iceberg_schema(schema: pa.Schema) -> Schema:
    """The schema with the field ids that its fields carry, and their descriptions as Iceberg's docs."""
    return pyarrow_to_schema(pa.schema([_redescribed(one, b"description", b"doc") for one in schema]))


def read_schema(schema: Schema) -> pa.Schema:
    """What a reader gets: the columns with their descriptions as our files have them."""
    fields = schema_to_pyarrow(schema, include_field_ids=False)
    return pa.schema([_redescribed(one.with_type(_small(one.type)), b"doc", b"description") for one in fields])


def file_schema(schema: Schema) -> pa.Schema:
    """What our files hold of the table: a reader's columns, each with its field id, inside structures as well."""
    fields = schema_to_pyarrow(schema, include_field_ids=True)
    return pa.schema([_in_file(one) for one in fields])


def _in_file(field: pa.Field[Any]) -> pa.Field[Any]:
    kind = field.type
    if isinstance(kind, pa.StructType):
        kind = pa.struct([_in_file(part) for part in kind])
    elif isinstance(kind, pa.LargeListType | pa.ListType):
        kind = pa.list_(_in_file(kind.value_field))
    found = field.with_type(pa.string() if kind == pa.large_string() else kind)
    return _redescribed(found, b"doc", b"description") if b"doc" in (field.metadata or {}) else found


def _small(kind: pa.DataType) -> pa.DataType:
    """The type as in our files; pyiceberg reads texts and lists with offsets of 64 bits."""
    if isinstance(kind, pa.LargeListType | pa.ListType):
        return pa.list_(_small(kind.value_type))
    if isinstance(kind, pa.StructType):
        return pa.struct([(part.name, _small(part.type)) for part in kind])
    return pa.string() if kind == pa.large_string() else kind


def _redescribed(field: pa.Field[Any], before: bytes, after: bytes) -> pa.Field[Any]:
    about = field.metadata or {}
    kept: dict[bytes | str, bytes | str] = {name: text for name, text in about.items() if name != before}
    return field.with_metadata(kept | {after: about.get(before, b"")})


def union(old: StructType, new: StructType, where: str) -> StructType:
    """The fields of both, known by their ids: the old ones in their order, each other one where a reader seeks it.

    That is behind the field that it follows in the new schema; an answer's property before the provenance and cost.
    Raises DeclarationError where a type changed.
    """
    news = {one.field_id: one for one in new.fields}
    fields = [_kept(one, news.get(one.field_id), f"{where}.{one.name}") for one in old.fields]
    known = {one.field_id for one in old.fields}
    place = 0
    for one in new.fields:
        if one.field_id in known:
            place = 1 + [other.field_id for other in fields].index(one.field_id)
        else:
            fields.insert(place, one)
            place += 1
    return StructType(*fields)


def in_place(fields: StructType, new: StructType) -> StructType:
    """The fields of a union with what stands behind the last one of the new schema put where that has it.

    A table of a version that added columns at its end has an answer behind its cost. All others stay where they are:
    two that publish with different declarations would else move them to and fro.
    """
    known = {one.field_id: one for one in fields.fields}
    end = [one.field_id for one in fields.fields].index(new.fields[-1].field_id)
    moved = {one.field_id for one in fields.fields[end + 1 :]} & {one.field_id for one in new.fields}
    left = [one for one in fields.fields if one.field_id not in moved]
    return union(StructType(*left), StructType(*(known[one.field_id] for one in new.fields)), "")


def _kept(old: NestedField, new: NestedField | None, where: str) -> NestedField:
    if new is None:
        return old
    kind = _union_type(old.field_type, new.field_type, where)
    return NestedField(old.field_id, old.name, kind, doc=new.doc or old.doc)


def _union_type(old: IcebergType, new: IcebergType, where: str) -> IcebergType:
    if isinstance(old, StructType) and isinstance(new, StructType):
        return union(old, new, where)
    if isinstance(old, ListType) and isinstance(new, ListType) and old.element_id == new.element_id:
        return ListType(
            old.element_id, _union_type(old.element_type, new.element_type, f"{where}[]"), element_required=False
        )
    wider = _wider(old, new)
    if wider is None:
        raise DeclarationError(
            f"column {where} holds {old} in the published table, and would hold {new} now. Give the answer's property "
            "another name, put its type back, or publish to another output"
        )
    return wider


def _wider(old: IcebergType, new: IcebergType) -> IcebergType | None:
    """Whichever of two types holds all values of the other, as Iceberg promotes them (int to long, more digits)."""
    if old == new:
        return old
    for narrow, wide in ((old, new), (new, old)):
        with suppress(ResolveError):
            if wide.is_primitive and promote(narrow, wide) == wide:
                return wide
    return None

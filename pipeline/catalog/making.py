"""A new table as Iceberg describes it: where its files and its metadata lie, and how it is divided."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table.metadata import TableMetadataV2
from pyiceberg.transforms import IdentityTransform

from pipeline.catalog.fields import iceberg_schema
from pipeline.catalog.place import Place

KEPT_METADATA = 20  # versions of a table's metadata file; the newest names every snapshot
PARTITION_ID = 1000  # Iceberg numbers partition fields from here
CREATED = "docbatch.created"  # table property: files older than the table are not this catalog's to judge


def new_table(table: str, schema: pa.Schema, place: Place, created: dt.datetime) -> TableMetadataV2:
    """A table with the field ids of the schema, divided by run; pyiceberg's own way would number the fields anew."""
    fields = iceberg_schema(schema)
    run_key = fields.find_field("run_key").field_id
    spec = PartitionSpec(PartitionField(run_key, PARTITION_ID, IdentityTransform(), "run_key"))
    return TableMetadataV2(
        location=place.location(f"tables/{table}"),
        schemas=[fields],
        last_column_id=fields.highest_field_id,
        current_schema_id=fields.schema_id,
        partition_specs=[spec],
        default_spec_id=spec.spec_id,
        last_partition_id=PARTITION_ID,
        properties={
            "write.metadata.path": place.location(f"catalog/{table}"),
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": str(KEPT_METADATA),
            "commit.manifest-merge.enabled": "true",
            "commit.retry.num-retries": "0",  # pyiceberg would repeat a lost commit without looking again
            CREATED: created.isoformat(),
        },
    )

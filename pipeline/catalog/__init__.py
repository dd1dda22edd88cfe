"""The Iceberg catalog of an output; the only importer of pyiceberg.

Loading it takes a second: import it where it is used.
"""

from pipeline.catalog.commits import Catalog
from pipeline.catalog.opening import open_catalog
from pipeline.catalog.place import Place

__all__ = ["Catalog", "Place", "open_catalog"]

"""What an Airflow needs before the DAG can run in it: `python -m pipeline.airflow.setting_up`, as often as you like."""

from __future__ import annotations

import sys

from pipeline.airflow.retrying import POOL
from pipeline.errors import DocbatchError, SettingsError
from pipeline.settings import load_settings


def set_up(slots: int) -> str:
    """Make the pool of the jobs, or give it its slots; what was done. Needs Airflow's migrated database."""
    from airflow.models.pool import Pool
    from sqlalchemy.exc import OperationalError, ProgrammingError

    about = "Bedrock jobs of docbatch, from their start to their end; a deferred task holds its slot"
    try:
        Pool.create_or_update_pool(POOL, slots, about, include_deferred=True)
    except (OperationalError, ProgrammingError) as error:
        raise SettingsError(
            f"Airflow's database cannot be used ({error.orig}); say where it is (AIRFLOW__DATABASE__SQL_ALCHEMY_CONN) "
            "and migrate it first: airflow db migrate"
        ) from None
    return f"pool {POOL}: {slots} slots, deferred tasks included"


def main() -> int:
    """Exit code 0 when Airflow has everything."""
    try:
        print(set_up(load_settings().max_jobs_in_flight))  # noqa: T201 - a command speaks through print
    except DocbatchError as error:
        print(f"docbatch: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

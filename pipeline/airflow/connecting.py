"""How tasks reach S3 and Bedrock: as the settings or an Airflow connection say, a run as it was begun."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

# At INFO they say dozens of times a task what is no news, and bury the line that says what the task did.
TALKATIVE = ("pyiceberg", "botocore.credentials", "aiobotocore.credentials")

if TYPE_CHECKING:
    from pipeline.settings import AwsEnvironment, Settings
    from pipeline.steps import Services
    from pipeline.steps.run import Run


def services(settings: Settings | None = None) -> Services:
    """What tasks and triggers work with; the settings are those of the process where none are given."""
    from pipeline.settings import load_settings
    from pipeline.steps import connect

    _quiet()
    chosen = settings or load_settings()
    return connect(chosen, environment_of(chosen))


def open_run(run_uri: str) -> Run:
    """A run, whose services have the settings with which it was begun: its Params hold for every task."""
    from pipeline.settings import load_settings
    from pipeline.steps import connect
    from pipeline.steps.run import Run, as_begun

    _quiet()
    settings = load_settings()
    environment = environment_of(settings)
    begun = Run(connect(settings, environment), run_uri).manifest
    return Run(connect(as_begun(settings, begun), environment), run_uri)


def _quiet() -> None:
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def environment_of(settings: Settings) -> AwsEnvironment:
    """The AWS variables; with `aws_conn_id`, the credentials, region and endpoints of that connection before them.

    Looked up when a task runs, never while the DAG is parsed. Raises SettingsError when there is no such connection.
    """
    from pipeline.settings import read_aws_environment

    found = read_aws_environment()
    return found if settings.aws_conn_id is None else _with_connection(found, settings.aws_conn_id)


def _with_connection(environment: AwsEnvironment, conn_id: str) -> AwsEnvironment:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from pipeline.bedrock.retries import mapped_errors
    from pipeline.errors import SettingsError

    try:
        BaseHook.get_connection(conn_id)  # the provider itself would go on without it, as whoever the machine is
    except AirflowNotFoundException:
        raise SettingsError(
            f"aws_conn_id = {conn_id!r}: Airflow has no such connection; add it (Admin, Connections, type Amazon Web "
            "Services), or leave DOCBATCH_AWS_CONN_ID empty to use boto3's own credentials"
        ) from None
    hook = AwsBaseHook(aws_conn_id=conn_id, client_type="bedrock")
    endpoint = hook.conn_config.get_service_endpoint_url
    with mapped_errors():  # a role is assumed here
        session = hook.get_session(region_name=hook.conn_config.region_name)
    return environment.model_copy(
        update={
            "region": hook.conn_config.region_name or environment.region,
            "s3_url": endpoint("s3") or environment.s3_url,
            "bedrock_url": endpoint("bedrock") or environment.bedrock_url,
            "bedrock_runtime_url": endpoint("bedrock-runtime") or environment.bedrock_runtime_url,
            "access_key_id": None,
            "secret_access_key": None,
            "session": session,
        }
    )

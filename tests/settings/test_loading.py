"""Settings: where they come from, and what is said about a wrong one."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import AwsEnvironment, Settings, load_settings, read_aws_environment

# Setting, wrong value as text, what the message says is allowed.
WRONG = [
    ("backend", "gcp", "'auto', 'aws' or 'local'"),
    ("engine", "gpt", "openai:https?://"),
    ("role_arn", "arn:aws:iam::1:user/x", "^arn:aws"),
    ("work_uri", "https://bucket/work", "^s3://"),
    ("work_uri", "s3://bucket/dt=1/", "^s3://"),
    ("catalog_namespace", "a.b", "^[a-z0-9_]"),
    ("sweep_hours", "0.5", "greater than or equal to 1"),
    ("compact_runs", "-1", "greater than or equal to 0"),
    ("report_samples", "51", "less than or equal to 50"),
    ("mode", "batch", "'auto' or 'on-demand'"),
    ("output_language", "x\n{{ y }}", "^[\\w"),
    ("fuse", "perhaps", "valid boolean"),
    ("budget_usd", "-1", "greater than or equal to 0"),
    ("budget_usd", "NaN", "finite number"),
    ("budget_usd", "ten", "valid decimal"),
    ("budget_day_usd", "-1", "greater than or equal to 0"),
    ("budget_month_usd", "-1", "greater than or equal to 0"),
    ("allow_unknown_price", "perhaps", "valid boolean"),
    ("approval_above_usd", "-1", "greater than or equal to 0"),
    ("approval_without_a_person", "ask", "'refuse' or 'go_on'"),
    ("approval_hours", "0", "greater than 0"),
    ("notify", "ops@example.com, #ops", "'#ops' is no mail address, no ARN of an SNS topic, and not http:<connection>"),
    ("deadline", "7 o'clock", "valid time"),
    ("suspect_failure_share", "0", "greater than 0"),
    ("suspect_failure_share", "1.1", "less than or equal to 1"),
    ("suspect_deviation", "-0.1", "greater than or equal to 0"),
    ("suspect_deviation", "5", "less than or equal to 1"),
    ("cost_centre", "Köln", "^[a-zA-Z0-9 ._:/=+@-]"),
    ("max_rounds", "0", "greater than or equal to 1"),
    ("max_rounds", "9", "less than or equal to 8"),
    ("max_rounds", "2.5", "valid integer"),
    ("margin_tokens", "-1", "greater than or equal to 0"),
    ("max_document_bytes", "0", "greater than or equal to 1"),
    ("extract_seconds", "0", "greater than 0"),
    ("extract_memory_bytes", "1000", "greater than or equal to 500000000"),
    ("extract_output_bytes", "0", "greater than or equal to 1"),
    ("extract_workers", "0", "greater than or equal to 1"),
    ("shard_documents", "0", "greater than or equal to 1"),
    ("read_threads", "257", "less than or equal to 256"),
    ("fast_counting", "perhaps", "valid boolean"),
    ("min_records_per_job", "", "valid integer"),
    ("batch_records", "many", "valid integer"),
    ("max_records_per_file", "many", "valid integer"),
    ("max_file_bytes", "999999", "greater than or equal to 1000000"),
    ("max_jobs_in_flight", "0", "greater than or equal to 1"),
    ("job_timeout_hours", "23", "greater than or equal to 24"),
    ("job_timeout_hours", "169", "less than or equal to 168"),
    ("poll_seconds", "0", "greater than 0"),
    ("poll_seconds", "nan", "less than or equal to 3600"),
    ("poll_longest_seconds", "0", "greater than 0"),
    ("stop_jobs_on_kill", "perhaps", "valid boolean"),
    ("on_demand_threads", "0", "greater than or equal to 1"),
    ("on_demand_requests_per_minute", "0", "greater than or equal to 1"),
    ("on_demand_tokens_per_minute", "0", "greater than or equal to 1"),
    ("min_bytes", "-1", "greater than or equal to 0"),
    ("max_bytes", "a few", "valid integer"),
    ("modified_since", "yesterday", "write a date like 2026-11-23"),
    ("modified_since", "2026-11-23T02:00:00", "a time needs its zone"),
    ("include", "*.txt, !a.txt", "'!a.txt' is no pattern here"),
    ("exclude", "/", "'/' is no pattern here"),
    ("lease_seconds", "0", "greater than or equal to 0.1"),
    ("lease_seconds", "nan", "less than or equal to 3600"),
    ("keep_work_days", "0", "greater than or equal to 1"),
    ("keep_text_days", "0", "greater than or equal to 1"),
    ("keep_snapshot_days", "0", "greater than or equal to 1"),
    ("tidy_abandoned", "perhaps", "valid boolean"),
    ("stop_orphans", "perhaps", "valid boolean"),
    ("retry_seconds", "-0.1", "greater than or equal to 0"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
@pytest.mark.parametrize("origin", ["environment", "file", "argument"])
def test_a_wrong_value_is_named_as_it_was_written(
    tmp_path: Path, origin: str, name: str, value: str, allowed: str
) -> None:
    """The message holds the setting as its writer spelled it, the value, what is allowed and what it is for."""
    file = tmp_path / "other.toml"
    variable = f"DOCBATCH_{name.upper()}"
    places = {"environment": variable, "file": f"{name} in {file}", "argument": name}
    environ = {variable: value} if origin == "environment" else {}
    if origin == "file":
        text = value.replace("\n", "\\n").replace("\\w", "\\\\w")
        file.write_text(f'{name} = "{text}"')
        environ["DOCBATCH_CONFIG"] = str(file)
    if origin == "environment" and not value:
        assert load_settings({}, environ, tmp_path) == Settings()  # an empty variable means unset
        return
    with pytest.raises(SettingsError) as raised:
        load_settings({name: value} if origin == "argument" else {}, environ, tmp_path)
    message = str(raised.value)
    assert message.startswith(f"{places[origin]} = {value!r}: ")
    assert allowed in message
    assert str(Settings.model_fields[name].description) in message
    assert raised.value.exit_code == 2


def test_the_table_of_wrong_values_is_complete() -> None:
    """Every setting that can be wrong stands in the table; the others take any text."""
    plain = {str, str | None, Path, Path | None, tuple[str, ...]}
    fields = Settings.model_fields.items()
    constrained = {name for name, field in fields if field.annotation not in plain or field.metadata}
    assert {name for name, _, _ in WRONG} == constrained | {
        "notify",
        "include",
        "exclude",
    }  # by validators


@pytest.mark.parametrize(
    ("overrides", "environ", "toml", "shown"),
    [
        ({}, {"DOCBATCH_BUDGT_USD": "1"}, "", "DOCBATCH_BUDGT_USD"),
        ({}, {}, "budgt_usd = 1", "budgt_usd in "),
        ({}, {}, "[docbatch]\nbudget_usd = 1", "docbatch in "),
        ({"budgt_usd": 1}, {}, "", "budgt_usd"),
    ],
)
def test_unknown_names_are_refused(
    tmp_path: Path, overrides: dict[str, object], environ: dict[str, str], toml: str, shown: str
) -> None:
    """A misspelt setting is an error that lists the right ones, wherever it is written."""
    (tmp_path / "docbatch.toml").write_text(toml)
    with pytest.raises(SettingsError, match=r"there is no such setting; allowed are .*budget_usd") as raised:
        load_settings(overrides, environ, tmp_path)
    assert str(raised.value).startswith(shown)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """Two mistakes are two lines."""
    with pytest.raises(SettingsError) as raised:
        load_settings({"max_rounds": 0}, {"DOCBATCH_BACKEND": "x"}, tmp_path)
    assert len(str(raised.value).splitlines()) == 2


def test_argument_over_environment_over_file_over_default(tmp_path: Path) -> None:
    """The nearest source wins, setting by setting."""
    (tmp_path / "docbatch.toml").write_text("max_rounds = 2\nmargin_tokens = 2\nread_threads = 2\n")
    environ = {"DOCBATCH_MAX_ROUNDS": "3", "DOCBATCH_MARGIN_TOKENS": "3", "OTHER": "x"}
    chosen = load_settings({"max_rounds": 4, "budget_usd": None}, environ, tmp_path)
    assert (chosen.max_rounds, chosen.margin_tokens, chosen.read_threads) == (4, 3, 2)
    assert chosen.on_demand_threads == Settings().on_demand_threads


@pytest.mark.parametrize("value", ["a, b,", ["a", "b"]])
def test_names_may_be_listed_either_way(tmp_path: Path, value: object) -> None:
    """Analyses are a comma-separated text or a list; money stays exact."""
    chosen = load_settings({"analyses": value}, {"DOCBATCH_BUDGET_USD": "0.10"}, tmp_path)
    assert chosen.analyses == ("a", "b")
    assert chosen.budget_usd == Decimal("0.10")


@pytest.mark.parametrize("value", [",,", " ", ""])
def test_a_list_without_a_name_is_not_all_of_them(tmp_path: Path, value: str) -> None:
    """A list that came out empty runs nothing, rather than everything."""
    with pytest.raises(SettingsError, match=f"^analyses = '{value}': it names no analysis; leave it out to run all"):
        load_settings({"analyses": value}, {}, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"max_rounds = ", "not valid TOML"),
        (b'home = "\xff"', "not valid TOML"),
        (None, "cannot be read (No such file"),
    ],
)
def test_a_configuration_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    """A broken file, or one that DOCBATCH_CONFIG names and is not there, is an error with its path."""
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        load_settings({}, {"DOCBATCH_CONFIG": str(path)}, tmp_path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_no_configuration_file_is_fine(tmp_path: Path) -> None:
    """Without a file the defaults hold, and a folder in its place is an error."""
    assert load_settings({}, {}, tmp_path) == Settings()
    (tmp_path / "docbatch.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings({}, {}, tmp_path)


def test_aws_variables() -> None:
    """A service's own endpoint wins over the common one, empty variables are unset, secrets are not shown."""
    found = read_aws_environment(
        {
            "AWS_ENDPOINT_URL": "http://all",
            "AWS_ENDPOINT_URL_S3": "http://s3",
            "AWS_ENDPOINT_URL_BEDROCK": "http://bedrock",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PROFILE": "",
        }
    )
    assert (found.s3_url, found.bedrock_url, found.bedrock_runtime_url) == (
        "http://s3",
        "http://bedrock",
        "http://bedrock",
    )
    assert found.signs == ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_BEDROCK")
    assert found.region == "us-east-1"
    assert read_aws_environment({}).signs == ()
    assert "hidden" not in repr(AwsEnvironment(**{**found.model_dump(), "secret_access_key": "hidden"}))

"""The settings of this process: command line over environment over file over defaults."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import SettingsError
from pipeline.settings.fields import Settings

PREFIX = "DOCBATCH_"
CONFIG_FILE = "docbatch.toml"


def load_settings(
    overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """Command line over environment over `docbatch.toml` (or the file that DOCBATCH_CONFIG names) over defaults.

    Raises SettingsError naming the setting, its value, where it came from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    path = Path(environ.get(PREFIX + "CONFIG") or (folder or Path.cwd()) / CONFIG_FILE)
    layers: dict[str, dict[str, Any]] = {
        "file": _from_file(path, named=bool(environ.get(PREFIX + "CONFIG"))),
        "environment": _from_environment(environ),
        "argument": {name: value for name, value in (overrides or {}).items() if value is not None},
    }
    merged = {name: value for layer in layers.values() for name, value in layer.items()}
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem, layers, path) for problem in error.errors())) from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """DOCBATCH_ names; an empty value means unset, an unknown name is an error (a misspelt budget must not pass)."""
    found = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and name != PREFIX + "CONFIG" and value != "":
            found[name[len(PREFIX) :].lower()] = value
    return found


def _from_file(path: Path, *, named: bool) -> dict[str, Any]:
    if not named and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        origin = "; DOCBATCH_CONFIG names it" if named else ""
        raise SettingsError(f"{path}: cannot be read ({error.strerror}){origin}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def _explain(problem: Any, layers: dict[str, dict[str, Any]], path: Path) -> str:
    name = str(problem["loc"][0])
    origin = next((layer for layer in reversed(layers) if name in layers[layer]), "default")
    shown = {"environment": PREFIX + name.upper(), "file": f"{name} in {path}"}.get(origin, name)
    if problem["type"] == "extra_forbidden":
        return f"{shown}: there is no such setting; allowed are {', '.join(sorted(Settings.model_fields))}"
    allowed = problem["msg"].removeprefix("Value error, ")
    allowed = allowed[0].lower() + allowed[1:]
    about = Settings.model_fields[name].description
    return f"{shown} = {problem['input']!r}: {allowed}. {name}: {about}."

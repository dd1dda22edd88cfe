"""What a running stack remembers of itself: `<home>/stack.json`, readable by its owner alone."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

REGION = "us-west-2"
BUCKET = "docbatch"


@dataclass(frozen=True, slots=True)
class State:
    """Keys and ports outlive `down`, so that an environment printed once stays true after the next `up`.

    `s3_ports` maps a flag of the S3 server to its port. `instance` tells our endpoint from any other server.
    """

    access_key_id: str
    secret_access_key: str
    instance: str
    engine: str
    s3_ports: dict[str, int]
    bedrock_port: int

    @property
    def s3_url(self) -> str:
        return f"http://127.0.0.1:{self.s3_ports['s3.port']}"

    @property
    def bedrock_url(self) -> str:
        return f"http://127.0.0.1:{self.bedrock_port}"


def new_keys() -> dict[str, str]:
    """Keys that no AWS account has, and a name for this stack."""
    return {
        "access_key_id": "DOCBATCH" + secrets.token_hex(6).upper(),
        "secret_access_key": secrets.token_hex(20),
        "instance": secrets.token_hex(8),
    }


def read_state(home: Path) -> State | None:
    """None where no stack was ever started in `home`.

    Raises:
        StackError: the file is there, but is none of ours.
    """
    path = home / "stack.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return State(**content)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StackError(f"{path} cannot be read ({error}). Delete it and start the stack again.") from error


def write_state(home: Path, state: State) -> None:
    """Replace the file in one step; it is never readable by others, not even for a moment."""
    staged = home / "stack.json.new"
    staged.unlink(missing_ok=True)
    with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as sink:
        json.dump(asdict(state), sink, indent=2)
    staged.replace(home / "stack.json")

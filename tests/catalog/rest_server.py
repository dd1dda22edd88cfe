"""An Iceberg REST catalog on loopback: the handful of endpoints that a client calls, over a SQLite catalog."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from pyiceberg.catalog.rest import CommitTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NamespaceAlreadyExistsError, NoSuchTableError
from pyiceberg.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.catalog.opening import FILE_IO
from pipeline.local.ports import free_port

TOKEN = "let-me-in"
SLOW_SECONDS = 30


class RestServer:
    """Serves one catalog. Clients must bring the token; `refuse` answers so many commits as lost races."""

    def __init__(self, database: Path) -> None:
        self.vendor = SqlCatalog("served", **{"uri": f"sqlite:///{database}", "py-io-impl": FILE_IO})
        self.refuse = 0
        self.warehouses: list[str | None] = []
        self._turn = threading.Lock()
        tables = "/v1/namespaces/{namespace}/tables"
        routes = [
            Route("/v1/oauth/tokens", self._token, methods=["POST"]),
            Route("/v1/config", self._config),
            Route("/v1/namespaces", self._make_namespace, methods=["POST"]),
            Route("/v1/namespaces/{namespace}", self._namespace),
            Route(tables, self._list),
            Route(tables + "/{table}", self._load, methods=["GET"]),
            Route(tables + "/{table}", self._commit, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def _token(self, request: Request) -> Response:
        form = (await request.body()).decode()
        if "client_secret=secret" not in form:
            return JSONResponse({"error": "invalid_client", "error_description": "no"}, 401)
        return JSONResponse({"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600})

    def _config(self, request: Request) -> Response:
        self.warehouses.append(request.query_params.get("warehouse"))
        return _refused(request) or JSONResponse({"defaults": {}, "overrides": {}})

    async def _make_namespace(self, request: Request) -> Response:
        name = tuple((await request.json())["namespace"])
        try:
            self.vendor.create_namespace(name)
        except NamespaceAlreadyExistsError:
            return _error(409, "AlreadyExistsException")
        return _refused(request) or JSONResponse({"namespace": name, "properties": {}})

    def _namespace(self, request: Request) -> Response:
        known = self.vendor.namespace_exists(request.path_params["namespace"])
        return Response(status_code=204) if known else _error(404, "NoSuchNamespaceException")

    def _list(self, request: Request) -> Response:
        if not self.vendor.namespace_exists(request.path_params["namespace"]):
            return _error(404, "NoSuchNamespaceException")
        found = self.vendor.list_tables(request.path_params["namespace"])
        return JSONResponse({"identifiers": [{"namespace": one[:-1], "name": one[-1]} for one in found]})

    def _load(self, request: Request) -> Response:
        try:
            found = self.vendor.load_table(_identifier(request))
        except NoSuchTableError:
            return _error(404, "NoSuchTableException")
        return _refused(request) or _table(found.metadata_location, found.metadata)

    async def _commit(self, request: Request) -> Response:
        wanted = CommitTableRequest.model_validate_json(await request.body())
        if self.refuse:
            self.refuse -= 1
            return _error(409, "CommitFailedException")
        try:
            with self._turn:
                named: Any = Table(_identifier(request), None, "", None, self.vendor)  # type: ignore[arg-type] # its name is all
                found = self.vendor.commit_table(named, wanted.requirements, wanted.updates)
        except CommitFailedException:
            return _error(409, "CommitFailedException")
        return _refused(request) or _table(found.metadata_location, found.metadata)


def _identifier(request: Request) -> tuple[str, str]:
    return request.path_params["namespace"], request.path_params["table"]


def _refused(request: Request) -> Response | None:
    allowed = request.headers.get("authorization") == f"Bearer {TOKEN}"
    return None if allowed else _error(401, "NotAuthorizedException")


def _table(location: str, metadata: Any) -> Response:
    content = f'{{"metadata-location":"{location}","metadata":{metadata.model_dump_json()},"config":{{}}}}'
    return Response(content, media_type="application/json")


def _error(code: int, kind: str) -> Response:
    return JSONResponse({"error": {"message": kind, "type": kind, "code": code}}, code)


@contextmanager
def served(database: Path) -> Iterator[tuple[RestServer, str]]:
    """A server and its uri, for as long as the context lasts."""
    catalog = RestServer(database)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(catalog.app, "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(SLOW_SECONDS * 50):
        if server.started:
            break
        thread.join(0.02)
    try:
        yield catalog, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(SLOW_SECONDS)
        catalog.vendor.close()

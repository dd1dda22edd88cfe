"""AWS Glue on loopback: moto's Glue, held to what AWS refuses and moto does not."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.glue.models import glue_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

REGION = "us-west-2"
_MODEL = ServiceModel(Loader().load_service_model("glue", "service-2"))
_PAIRS = r"\uD800\uDC00-\uDBFF\uDFFF"  # how Java writes all characters beyond 16 bits
HELD_SECONDS = 30  # that a publisher waits for its rival, before the test fails


class GlueServer:
    """Serves the tables of one account, over S3 at the same place.

    moto takes values of any length, and the update of a version that is not the newest; AWS does not, nor does this.
    `answer` is an error code for the next calls of an operation; `hold` makes rivals' updates wait for each other.
    """

    def __init__(self) -> None:
        self.answer: dict[str, str] = {}
        self.called: set[str] = set()
        self.hold: threading.Barrier | None = None
        self.stale = 0  # updates that were refused, since somebody else's came first
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._turn = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service != "AWSGlue":
            return self._moto(environ, start_response)  # type: ignore[no-any-return]  # moto has no types
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        asked = json.loads(body)
        environ["wsgi.input"] = io.BytesIO(body)
        hold = self.hold
        if hold is not None and operation == "UpdateTable":
            hold.wait(HELD_SECONDS)
            self.hold = None
        with self._turn:
            refused = self._refused(operation, asked)
            if refused is None:
                return list(self._moto(environ, start_response))
        said = json.dumps({"__type": refused[0], "Message": refused[1]}).encode()
        start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
        return [said]

    def _refused(self, operation: str, asked: dict[str, Any]) -> tuple[str, str] | None:
        """An error code and what is said with it."""
        self.called.add(operation)
        if operation in self.answer:
            return self.answer[operation], f"not authorized to perform: glue:{operation}"
        shape = _MODEL.operation_model(operation).input_shape
        if wrong := list(_wrong(asked, shape, "")):
            return "ValidationException", "; ".join(wrong)
        if operation == "UpdateTable":
            newest = table(asked["DatabaseName"], asked["TableInput"]["Name"])["VersionId"]
            if asked["VersionId"] != newest:
                self.stale += 1
                return "ConcurrentModificationException", f"version {asked['VersionId']} is not the newest, {newest}"
        return None


def table(database: str, name: str) -> dict[str, Any]:
    """A table as GetTable gives it to Athena."""
    found: dict[str, Any] = glue_backends[DEFAULT_ACCOUNT_ID][REGION].get_table(database, name).as_dict()
    return found


def _wrong(value: Any, shape: Shape | None, where: str) -> Iterator[str]:
    """What AWS's own description of its service does not allow, and boto3 does not look at."""
    if isinstance(shape, StructureShape):
        for name, one in value.items():
            yield from _wrong(one, shape.members[name], f"{where}.{name}")
    elif isinstance(shape, ListShape):
        for number, one in enumerate(value):
            yield from _wrong(one, shape.member, f"{where}.{number}")
    elif isinstance(shape, MapShape):
        for key, one in value.items():
            yield from _wrong(key, shape.key, f"{where}.{key}")
            yield from _wrong(one, shape.value, f"{where}.{key}")
    elif isinstance(shape, StringShape):
        most, pattern = shape.metadata.get("max"), shape.metadata.get("pattern")
        if most is not None and len(value) > most:
            yield f"{where}: longer than {most}"
        if pattern is not None and not re.fullmatch(pattern.replace(_PAIRS, "\U00010000-\U0010ffff"), value):
            yield f"{where}: does not match {pattern}"


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Nothing."""


@contextmanager
def served() -> Iterator[tuple[GlueServer, str]]:
    """The server and its url, while the context lasts."""
    server = GlueServer()
    http = make_server("127.0.0.1", 0, server, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()

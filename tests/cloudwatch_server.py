"""A CloudWatch on loopback that speaks what boto3 speaks to it, AWS JSON 1.0: GetMetricData and nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TARGET = "GraniteServiceVersion20100801.GetMetricData"
Answer = Callable[[dict[str, Any]], dict[str, Any] | str]
"""From the request to the reply; a text refuses it, as the code of the error."""


@contextmanager
def cloudwatch(answer: Answer) -> Iterator[str]:
    """Its URL, for as long as the context lasts."""

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            known = (self.path, self.headers["x-amz-target"]) == ("/", TARGET)
            said = answer(json.loads(content)) if known else "UnknownOperationException"
            refused = isinstance(said, str)
            body = json.dumps({"__type": f"com.amazonaws.cloudwatch#{said}", "message": "no"} if refused else said)
            self.send_response(400 if refused else 200)
            self.send_header("content-type", "application/x-amz-json-1.0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: the test says what it saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

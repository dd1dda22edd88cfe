"""The engine that forwards to an OpenAI-compatible server, against one on loopback."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import ServiceBusy, ServiceRejected, StackError
from pipeline.local.engine import load_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Script:
    """What the server says next, and what it was asked."""

    answers: list[tuple[int, object]] = field(default_factory=list)
    models: object = field(default_factory=lambda: {"data": [{"id": "llama-3.1-8b"}]})
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, script.models)

        def do_POST(self) -> None:
            assert self.path == "/v1/completions"
            script.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._say(*script.answers.pop(0))

        def _say(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield script
    server.shutdown()
    server.server_close()


_GOOD = (200, {"choices": [{"text": '42"}'}]})


def test_the_prompt_is_forwarded_and_the_model_named(script: Script) -> None:
    """The begin token is left to the server, which adds its own; the name says which model answered."""
    script.answers = [_GOOD]
    engine = load_engine(f"openai:{script.url}/")
    assert engine.complete("<|begin_of_text|>Say 42.", 7, 0.25, 0.5) == '42"}'
    assert engine.name == "openai:llama-3.1-8b"
    assert script.asked == [
        {
            "prompt": "Say 42.",
            "max_tokens": 7,
            "temperature": 0.25,
            "top_p": 0.5,
            "stop": ["<|eot_id|>", "<|end_of_text|>"],
            "model": "llama-3.1-8b",
        }
    ]


def test_a_server_that_lists_no_model_is_named_by_its_url(script: Script) -> None:
    """Then no model is sent either."""
    script.models, script.answers = {"data": []}, [_GOOD]
    engine = load_engine(f"openai:{script.url}")
    engine.complete("x", 7, 0.0, 1.0)
    assert engine.name == f"openai:{script.url}"
    assert "model" not in script.asked[0]


def test_a_busy_server_is_asked_again(script: Script) -> None:
    """Two refusals that may pass, then the answer."""
    script.answers = [(503, {}), (429, {}), _GOOD]
    assert load_engine(f"openai:{script.url}").complete("x", 7, 0.0, 1.0) == '42"}'


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([(500, {})] * 3, ServiceBusy),
        ([(400, {"error": "too long"})], ServiceRejected),
        ([(200, {"choices": []})], ServiceRejected),
        ([(200, [])], ServiceRejected),
    ],
)
def test_what_cannot_be_answered_is_told_apart(
    script: Script, answers: list[tuple[int, object]], error: type[Exception]
) -> None:
    """Errors that may pass and errors that will not are two classes; both name the server."""
    script.answers = list(answers)
    with pytest.raises(error, match=script.url):
        load_engine(f"openai:{script.url}").complete("x", 7, 0.0, 1.0)


def test_a_server_that_is_not_there_is_busy() -> None:
    """It may be started later: no error at connect, ServiceBusy for each prompt."""
    engine = load_engine("openai:http://127.0.0.1:9/v1")
    with pytest.raises(ServiceBusy, match="Start it"):
        engine.complete("x", 7, 0.0, 1.0)


@pytest.mark.parametrize("spec", ["", "bedrock", "openai:", "openai:localhost"])
def test_an_unknown_engine_is_refused_with_the_two_forms(spec: str) -> None:
    """The message says what may stand there."""
    load: Callable[[str], object] = load_engine
    with pytest.raises(StackError, match="Use 'baseline', or 'openai:<base url>'"):
        load(spec)

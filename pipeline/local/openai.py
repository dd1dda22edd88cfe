"""The engine that forwards prompts to an OpenAI-compatible completions server running a real Llama."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from pipeline.errors import ServiceBusy, ServiceRejected

_BEGIN = "<|begin_of_text|>"
_STOP = ["<|eot_id|>", "<|end_of_text|>"]
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Completions:
    """POST <base>/completions; `model` is the server's first model, or None where it lists none."""

    base: str
    model: str | None
    client: httpx.Client

    @classmethod
    def connect(cls, base: str, *, timeout_seconds: float = 600.0) -> Completions:
        """Ask the server which model it runs. A silent server is no error yet: it may still be loading."""
        client = httpx.Client(timeout=httpx.Timeout(timeout_seconds, connect=5.0))
        return cls(base.rstrip("/"), _first_model(client, base.rstrip("/")), client)

    @property
    def name(self) -> str:
        return f"openai:{self.model or self.base}"

    def complete(self, prompt: str, max_output_tokens: int, temperature: float, top_p: float) -> str:
        """The first choice's text.

        Raises:
            ServiceBusy: the server could not be reached or answered 429 or 5xx, three times.
            ServiceRejected: it refused the request, or answered in another form.
        """
        body = {
            # These servers put the begin token there themselves; two of them degrade the answer.
            "prompt": prompt.removeprefix(_BEGIN),
            "max_tokens": max_output_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "stop": _STOP,
        }
        return self._text(self._post(body | ({"model": self.model} if self.model else {})))

    def _post(self, body: dict[str, object]) -> httpx.Response:
        seen = ""
        for _ in range(_ATTEMPTS):
            try:
                response = self.client.post(f"{self.base}/completions", json=body)
            except httpx.TransportError as error:
                seen = repr(error)
                continue
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS and not response.is_server_error:
                return response
            seen = f"HTTP {response.status_code}"
        raise ServiceBusy(f"The engine at {self.base} did not answer ({seen}). Start it, then run the job again.")

    def _text(self, response: httpx.Response) -> str:
        if response.is_error:
            raise ServiceRejected(
                f"The engine at {self.base} refused the prompt: HTTP {response.status_code} {response.text[:300]}"
            )
        try:
            return str(response.json()["choices"][0]["text"])
        except (ValueError, LookupError, TypeError) as error:
            raise ServiceRejected(
                f"{self.base}/completions answered in no known form: {response.text[:300]}"
            ) from error


def _first_model(client: httpx.Client, base: str) -> str | None:
    try:
        listed = client.get(f"{base}/models", timeout=5.0).json()
        return str(listed["data"][0]["id"])
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None

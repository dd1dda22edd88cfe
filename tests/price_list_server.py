"""The AWS Price List on loopback, in its own protocol (AWS JSON 1.1), with the rows that a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE = 2  # rows: more than one page for every model


def row(
    model: str,
    usage_type: str,
    inference_type: str,
    usd: str,
    *,
    feature: str | None = "On-demand Inference",
    unit: str = "1K tokens",
    region: str = "us-west-2",
    effective: str = "2026-11-01T00:00:00Z",
) -> str:
    """A product as the list has it: JSON in a string."""
    about = {"regionCode": region, "usagetype": usage_type, "inferenceType": inference_type, "provider": "Meta"}
    about |= {"servicecode": "AmazonBedrock", "model": model} | ({"feature": feature} if feature else {})
    dimension = {"unit": unit, "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": usd}}
    term = {"effectiveDate": effective, "priceDimensions": {"SKU.TERM.RATE": dimension}}
    product = {"productFamily": "Amazon Bedrock", "attributes": about, "sku": "SKU"}
    return json.dumps({"product": product, "serviceCode": "AmazonBedrock", "terms": {"OnDemand": {"SKU.TERM": term}}})


@dataclass
class PriceList:
    """What the server answers from, and what it was asked; `refusals` are given first, as (status, code)."""

    rows: list[str]
    refusals: list[tuple[int, str]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(request)
        if self.refusals:
            status, code = self.refusals.pop(0)
            return status, {"__type": code, "message": "no"}
        found = [text for text in self.rows if _passes(text, request["Filters"])]
        begin = int(request.get("NextToken", 0))
        more = {"NextToken": str(begin + PAGE)} if begin + PAGE < len(found) else {}
        return 200, {"FormatVersion": "aws_v1", "PriceList": found[begin : begin + PAGE], **more}


def _passes(text: str, filters: list[dict[str, str]]) -> bool:
    about = json.loads(text)["product"]["attributes"]
    assert {one["Type"] for one in filters} == {"TERM_MATCH"}
    return all(about.get(one["Field"], "").startswith(one["Value"]) for one in filters)  # as careless as may be


@contextmanager
def serving(rows: list[str]) -> Iterator[PriceList]:
    """The server while the context lasts."""
    prices = PriceList(rows)

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["X-Amz-Target"] == "AWSPriceListService.GetProducts"
            assert self.headers["Content-Type"] == "application/x-amz-json-1.1"
            status, body = prices.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing to be read."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    prices.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield prices
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

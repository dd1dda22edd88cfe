"""The endpoint's own routes, which Bedrock does not have: the fault plan in force, and the bill.

    PUT /control/faults      a plan as pipeline.local.fault_plan shows it; kept in <home>/faults.json
    GET /control/faults      the plan in force
    DELETE /control/faults   nothing goes wrong any more
    GET /control/bill        what everything so far would have cost, in records and tokens

Like every other request these name the stack's access key: `Authorization: AWS4-HMAC-SHA256 Credential=<key>/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from pipeline.errors import SettingsError
from pipeline.local.active_faults import ActiveFaults
from pipeline.local.fault_plan import FaultPlan
from pipeline.local.faults import invalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request

    from pipeline.local.bill import Bill

    Answer = Callable[[Request, bytes], Response]


def control_routes(faults: ActiveFaults, bill: Bill, plan_file: Path) -> list[tuple[str, str, Answer]]:
    """Path, method and answer of each control route."""

    def shown(_request: Request, _content: bytes) -> Response:
        return JSONResponse(faults.plan.model_dump(mode="json", exclude_defaults=True))

    def put(request: Request, content: bytes) -> Response:
        try:
            plan = FaultPlan.read(content)
        except SettingsError as error:
            raise invalid(str(error)) from error
        staged = plan_file.with_suffix(".new")
        staged.write_bytes(content)
        staged.replace(plan_file)
        faults.replace(plan)
        return shown(request, content)

    def delete(request: Request, content: bytes) -> Response:
        plan_file.unlink(missing_ok=True)
        faults.replace(FaultPlan())
        return shown(request, content)

    def billed(_request: Request, _content: bytes) -> Response:
        return JSONResponse(bill.as_json())

    where = "/control/faults"
    return [
        (where, "PUT", put),
        (where, "GET", shown),
        (where, "DELETE", delete),
        ("/control/bill", "GET", billed),
    ]


def load_faults(plan_file: Path, counters: Path) -> ActiveFaults:
    """The plan of `plan_file`, none where there is no such file. Raises SettingsError where it is wrong."""
    try:
        content = plan_file.read_bytes()
    except FileNotFoundError:
        return ActiveFaults(path=counters)
    try:
        return ActiveFaults(FaultPlan.read(content), counters)
    except SettingsError as error:
        raise SettingsError(f"{plan_file}: {error}") from error

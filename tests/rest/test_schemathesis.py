"""What OpenAPI promises, held against the service by schemathesis: made of the page itself, request by request.

Every operation gets requests that its description allows, and some that it forbids: no answer is a fault, each has the
status, type and schema that are described. A few of each by default; `make fuzz` has many. test_fuzzed.py sends what no
description would have thought of."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from flowjob_api.settings import Settings
from tests.rest.local_world import Local, document, in_local

pytestmark = pytest.mark.slow

EXAMPLES: Final = int(os.environ.get("FLOWJOB_FUZZ_EXAMPLES", "1"))
ENDLESS: Final = r"/events$"
"""Streams do not end."""


SERVICE: Final = Settings(writes_at_once=10**6, writes_per_minute=10**6)
CHECKS: Final = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
)
described = schemathesis.openapi.from_dict(document()).exclude(path_regex=ENDLESS)
described.config.phases.update(phases=["examples", "fuzzing"])


@described.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_service_does_as_it_says(case: Any) -> None:
    case.query = {n: v for n, v in (case.query or {}).items() if n != "follow"}
    sent = case.as_transport_kwargs(base_url="http://localhost")

    async def test(local: Local) -> None:
        answer = await local.http.request(
            sent["method"],
            sent["url"],
            params=sent.get("params"),
            headers={n: str(v).encode() for n, v in (sent.get("headers") or {}).items()},
            json=sent.get("json"),
            content=sent.get("data"),
        )
        answer.elapsed = timedelta()
        case.validate_response(answer, checks=CHECKS)

    in_local(test, settings=SERVICE)

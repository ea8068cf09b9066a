"""S3 servers, started once for all tests that ask for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3_servers import S3Server, moto, versitygw


@pytest.fixture(scope="session", params=["moto", pytest.param("versitygw", marks=pytest.mark.s3)])
def s3_server(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """Each test runs against both."""
    with (moto if request.param == "moto" else versitygw)() as server:
        yield server

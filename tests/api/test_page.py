from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from flowjob_api import page
from flowjob_api.app import create_app
from flowjob_api.settings import Settings
from tests.api import page_types


def test_the_pages_types_are_made_of_what_the_service_answers() -> None:
    assert page_types.FILE.read_text() == page_types.text(), "make ui-types writes them anew"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>flowjob</title>")
    (tmp_path / "icon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "index-abc.js").write_text("0")
    return tmp_path


def _served(built: Path) -> FastAPI:
    app = create_app(settings=Settings(page=False))
    assert page.install(app, built)
    return app


def _get(app: FastAPI, *paths: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def test_the_document_is_asked_for_anew_and_its_files_are_kept(built: Path) -> None:
    document, file, icon = _get(_served(built), "/", "/assets/index-abc.js", "/icon.svg")
    assert (document.status_code, document.headers["cache-control"]) == (200, "no-cache")
    assert "script-src 'self'" in document.headers["content-security-policy"]
    assert (file.status_code, file.headers["cache-control"]) == (200, page.FOR_EVER)
    assert icon.status_code == 200


@pytest.mark.parametrize("path", ["/assets/%2e%2e/index.html", "/assets/", "/assets/none.js", "/x"])
def test_nothing_else_is_served(built: Path, path: str) -> None:
    (answer,) = _get(_served(built), path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_without_the_page_the_service_is_served_all_the_same(tmp_path: Path) -> None:
    app = create_app(settings=Settings(page=False))
    assert not page.install(app, tmp_path)
    document, session = _get(app, "/", "/api/v1/session")
    assert (document.status_code, session.status_code) == (404, 200)

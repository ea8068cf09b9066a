"""Serves the web page, if it was built (`make ui`, from api/ui): its one document, and the files that this names.

Addresses in it are relative, so that it works below any path. Files whose names have a hash in them never change; the
document is asked for anew each time. Knows nothing of jobs: the page asks the API for all it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

BUILT: Final = Path(__file__).parent / "static"
DOCUMENT: Final = "index.html"
FOR_EVER: Final = "public, max-age=31536000, immutable"


class _Hashed(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        found = await super().get_response(path, scope)
        if found.status_code in (200, 304):
            found.headers["Cache-Control"] = FOR_EVER
        return found


def install(app: FastAPI, folder: Path = BUILT) -> bool:
    """False: the page was not built, and the API is served without it."""
    if not (folder / DOCUMENT).is_file():
        return False

    async def document(_: Request) -> Response:
        return FileResponse(folder / DOCUMENT, headers={"Cache-Control": "no-cache"})

    async def icon(_: Request) -> Response:
        return FileResponse(folder / "icon.svg")

    app.router.routes.append(Route("/", document, include_in_schema=False))
    app.router.routes.append(Route("/icon.svg", icon, include_in_schema=False))
    app.router.routes.append(Mount("/assets", _Hashed(directory=folder / "assets"), name="page"))
    return True

"""Who you are; login and logout of a browser.

The door makes and ends sessions; cookies are set here."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from flowjob_api.answering import Encoded, encoded_plainly
from flowjob_api.parts import PartsOf, problems
from flowjob_api.schemas.session import Login, Session

router = APIRouter(prefix="/session", tags=["session"])


@router.get("", responses=problems(), response_model=Session, summary="Who you are")
async def get_session(request: Request, parts: PartsOf) -> Encoded:
    """Also without a login: `loggedIn` says whether one is needed."""
    return encoded_plainly(await parts.door.session(request))


@router.post(
    "", responses=problems(400, 408, 409, 413, 415, 429), response_model=Session, summary="Logs in"
)
async def log_in(request: Request, parts: PartsOf, login: Login) -> Encoded:
    """Exchanges a token for a cookie. TLS is needed off this machine."""
    # Guessing tokens must not be cheap.
    parts.triggers.take(request.client.host if request.client else "")
    opened = await parts.door.log_in(request, login.token)
    answer = encoded_plainly(opened.session)
    answer.headers.append("Set-Cookie", opened.cookie)
    return answer


@router.delete(
    "", status_code=204, responses=problems(), summary="Logs out", response_class=Response
)
async def log_out(request: Request, parts: PartsOf) -> Response:
    """Forgets the session: its cookie is worth nothing any more."""
    return Response(status_code=204, headers={"Set-Cookie": await parts.door.log_out(request)})

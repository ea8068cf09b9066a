"""Who asks, as every other module sees them.

How that was found out is the business of local.py and kubernetes.py; what they may do is decided by the services."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Caller:
    """user   null: nobody in particular, where no login is needed
    groups, uid, extra  as Kubernetes has them
    token  to be forwarded with writes; never shown
    via    how they have shown who they are
    """

    user: str | None = None
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    token: str = field(default="", repr=False)
    via: Literal["nothing", "token", "cookie"] = "nothing"


NOBODY = Caller()

"""How an application is set up, whoever starts it: `flowjob run --web`, the Deployment, or a test.

Data only. Where values come from is the starter's business."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """root_path          sub-path under which a proxy serves this, such as /flowjob
    largest_body       bytes of a request's body
    body_within        seconds for a request's body to arrive
    writes_per_minute  per caller, in the long run
    writes_at_once     per caller
    followers          clients that follow at once
    followers_each     of one user
    page               whether the web page is served, if it was built
    """

    root_path: str = ""
    largest_body: int = 256 * 1024
    body_within: float = 10.0
    writes_per_minute: float = 60.0
    writes_at_once: int = 20
    followers: int = 500
    followers_each: int = 100
    page: bool = True

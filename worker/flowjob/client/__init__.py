"""The typed client of flowjob's service: what its web page can do, from a script (docs/client.md).

with connect("http://127.0.0.1:8081") as service:
    service.wait(service.job("flights").savepoint("before-upgrade"), timeout=600)"""

from __future__ import annotations

from flowjob.client.client import Client as Client
from flowjob.client.connecting import connect as connect
from flowjob.client.job_client import JobClient as JobClient
from flowjob.client.models import Job as Job
from flowjob.client.models import JobSummary as JobSummary
from flowjob.client.models import Operation as Operation
from flowjob.client.models import UpgradePlan as UpgradePlan
from flowjob.client.models import UpgradeWish as UpgradeWish

__all__ = [
    "Client",
    "Job",
    "JobClient",
    "JobSummary",
    "Operation",
    "UpgradePlan",
    "UpgradeWish",
    "connect",
]

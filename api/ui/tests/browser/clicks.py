"""A job without an end, for the page to be tried on: made-up clicks, looked at closely, and counted per user.

It fails once, so that there is an exception to look at; after that it finds the file that says so."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import flowjob as fj
from flowjob import values
from flowjob.connectors.datagen.source import datagen
from flowjob.connectors.discard import discard


class Args(fj.Args):
    failed: str
    fail_at: int = 600


class Click(fj.Schema):
    user: int
    page: str


def closely(failed: str, fail_at: int) -> Callable[[Click], Click]:
    seen = [0]

    def look(click: Click) -> Click:
        seen[0] += 1
        if seen[0] % 200 == 0:
            print(f"seen {seen[0]} clicks")  # noqa: T201 - users do
        if seen[0] == fail_at and not Path(failed).exists():
            Path(failed).touch()
            raise ZeroDivisionError("there is no such page")
        return Click(click.user, click.page)

    return look


def job(args: Args) -> fj.Job:
    job = fj.Job("clicks")
    pages = values.choice("home", "shop", weights=[9, 1])
    clicks = {"user": values.ints(1, 1000), "page": pages, "at": values.now()}
    read = job.read(datagen(clicks, rate=400, event_time="at")).named("read clicks")
    job.write(read.map(closely(args.failed, args.fail_at)).named("look closely"), discard())
    counted = read.key_by("user").window(fj.tumbling(timedelta(seconds=2))).agg(clicks=fj.count())
    job.write(counted.named("clicks per user"), discard())
    return job

"""Keyed state and timers: a large payment within a minute of a very small one on the same account.

State belongs to the account, lives for an hour at most, and is forgotten by a timer of event time.
`flowjob run examples/fraud.py`"""

from datetime import datetime, timedelta

import flowjob as fj


class Payment(fj.Schema):
    account: str
    amount: float
    at: datetime


class Alert(fj.Schema):
    account: str
    amount: float


class SmallThenLarge(fj.KeyedProcess[Payment, Alert]):
    small = fj.value_state(bool, default=False, ttl=timedelta(hours=1))
    alert_log = fj.side_output("alert_log", str)

    def on_row(self, row: Payment, ctx: fj.Context) -> None:
        if self.small.value and row.amount > 500:
            ctx.emit(Alert(row.account, row.amount))
            ctx.emit_to(self.alert_log, f"{row.account} {row.amount}")
        self.small.value = row.amount < 1
        if self.small.value:
            ctx.set_timer(row.at + timedelta(minutes=1))

    def on_timer(self, at: datetime, ctx: fj.Context) -> None:
        self.small.clear()


def fraud(payments: fj.Stream[Payment]) -> fj.Stream[Alert]:
    return payments.key_by("account").process(SmallThenLarge()).named("fraud")


START = datetime.fromisoformat("2024-03-01T12:00Z")
PAYMENTS = [
    Payment(account, amount, START + timedelta(seconds=second))
    for second, account, amount in [
        (0, "anna", 0.5),
        (10, "boris", 0.2),
        (20, "anna", 900.0),  # an alert: 20 s after a small one
        (75, "carla", 600.0),  # none: nothing small before
        (90, "boris", 700.0),  # none: the minute is over, and others' payments have told the time
    ]
]

job = fj.Job("fraud")
# A timer fires between two batches: here time is told after every row.
alerts = fraud(job.read(fj.from_rows(PAYMENTS, event_time="at", watermark_every=1)))
job.write(alerts, fj.show("alerts"))
job.write(alerts.side(SmallThenLarge.alert_log), fj.print_("log"))

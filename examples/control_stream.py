"""A control stream: rules that arrive while payments flow, and hold in every subtask from then on.

Rules are broadcast state: written by `on_broadcast` alone, the same everywhere.
`flowjob run examples/control_stream.py`"""

from datetime import datetime, timedelta

import flowjob as fj


class Payment(fj.Schema):
    account: str
    amount: float
    at: datetime


class Rule(fj.Schema):
    name: str
    at_least: float

    def matches(self, payment: Payment) -> bool:
        return payment.amount >= self.at_least


class Alert(fj.Schema):
    rule: str
    account: str
    amount: float


class ApplyRules(fj.BroadcastProcess[Payment, Rule, Alert]):
    rules = fj.map_state(str, Rule)

    def on_row(self, row: Payment, ctx: fj.Context) -> None:
        for rule in self.rules.values():
            if rule.matches(row):
                ctx.emit(Alert(rule.name, row.account, row.amount))

    def on_broadcast(self, rule: Rule, ctx: fj.Context) -> None:
        self.rules[rule.name] = rule


def controlled(payments: fj.Stream[Payment], rules: fj.Stream[Rule]) -> fj.Stream[Alert]:
    return payments.key_by("account").connect(rules.broadcast()).process(ApplyRules())


START = datetime.fromisoformat("2024-03-01T12:00Z")
RULES = [Rule("large", 500.0), Rule("huge", 5000.0)]
PAYMENTS = [
    Payment("anna", 900.0, START),
    Payment("boris", 20.0, START + timedelta(seconds=1)),
    Payment("carla", 7000.0, START + timedelta(seconds=2)),
]

job = fj.Job("control_stream")
payments = job.read(fj.from_rows(PAYMENTS, event_time="at"))
job.write(controlled(payments, job.read(fj.from_rows(RULES))), fj.show("alerts"))

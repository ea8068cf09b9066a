"""Row functions, union, broadcast rules and side outputs; objects are marked."""

import flowjob as fj
from tests.plan.jobs.rows import Flight, flights


class Rule(fj.Schema):
    name: str


class Tag(fj.BroadcastProcess[Flight, Rule, Flight]):
    rules = fj.map_state(str, Rule)
    rejected = fj.side_output("rejected", str)

    def on_row(self, row: Flight, ctx: fj.Context) -> None:
        ctx.emit(row)

    def on_broadcast(self, rule: Rule, ctx: fj.Context) -> None:
        self.rules[rule.name] = rule


job = fj.Job("rules")
first, second = flights(job).named("first"), flights(job).named("second")
rules = job.read(fj.collection([Rule("a")])).parallelism(1).named("rules")
tagged = first.union(second).connect(rules.broadcast()).process(Tag()).named("tag")
job.write(tagged.map(lambda f: f.origin).rebalance(), fj.print_())
job.write(tagged.side(Tag.rejected), fj.discard())

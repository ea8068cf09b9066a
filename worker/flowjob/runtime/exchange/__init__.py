"""How batches get from one task to another: partitioning, batching, TCP, credit. docs/exchange-protocol.md.

Tasks use an InputGate and EdgeWriters; slots make them with a SlotExchange. It must not know operators."""

from flowjob.runtime.exchange.exchange import Locations, SlotExchange
from flowjob.runtime.exchange.gate import InputChannel, InputGate
from flowjob.runtime.exchange.settings import ChannelSpec, ExchangeSettings, Identity, SlotAddress
from flowjob.runtime.exchange.writer import EdgeWriter

__all__ = [
    "ChannelSpec",
    "EdgeWriter",
    "ExchangeSettings",
    "Identity",
    "InputChannel",
    "InputGate",
    "Locations",
    "SlotAddress",
    "SlotExchange",
]

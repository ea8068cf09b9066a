"""What kstatus (kubectl, Flux, kpt) makes of an object with conditions: its rules, as its documentation states them.

A model to compare with: `Current` is done and well, `InProgress` is on its way, `Failed` needs somebody, `Terminating`
is being deleted."""

from __future__ import annotations

from typing import Any


def kstatus(wire: dict[str, Any]) -> str:
    """Of any object of the API."""
    metadata, status = wire["metadata"], wire.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return "InProgress"
    states = {c["type"]: c["status"] for c in status.get("conditions") or []}
    if states.get("Reconciling") == "True":
        return "InProgress"
    if states.get("Stalled") == "True":
        return "Failed"
    return "Current" if states.get("Ready", "True") == "True" else "InProgress"

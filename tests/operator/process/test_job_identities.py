"""Secrets with the identities of jobs: renewed when another authority signs, and never written over somebody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowjob.cluster.identity import JobId
from flowjob_operator.core.actions import EnsureIdentity, Outcome
from flowjob_operator.core.observed import IdentityFacts, Observed
from flowjob_operator.process.cluster import kinds
from flowjob_operator.process.cluster.api import ApiError
from flowjob_operator.rendering.secrets import IDENTITY_TYPE
from tests.operator.process.fake_api import FakeApi
from tests.operator.process.harness import Operator, Scripted, a_job, all_is_well, play

JOB = JobId("a", "flights", "uid-1")


async def begun(api: FakeApi) -> Operator:
    operator = Operator(api)
    await operator.parts.identities.load()
    return operator


def test_what_this_process_has_written_ends_when_another_authority_signs() -> None:
    async def scenario() -> None:
        operator = await begun(FakeApi())
        identities = operator.parts.identities
        written = await identities.write(JOB, known=False)
        assert identities.facts(None, written) == written
        other = replace(written, authority="of another one")
        facts = identities.facts(None, other)
        assert facts is not None
        assert facts.expires_at < operator.clock.now()

    play(scenario)


def test_a_secret_of_somebody_else_is_left_as_it_is_and_named() -> None:
    async def scenario() -> None:
        api = FakeApi()
        theirs = {
            "metadata": {"name": "flights-identity", "namespace": "a"},
            "type": "Opaque",
            "data": {"password": "eA=="},
        }
        api.put(kinds.SECRETS, theirs)
        operator = await begun(api)
        with pytest.raises(ApiError, match="there is a Secret flights-identity") as refused:
            await operator.parts.identities.write(JOB, known=False)
        assert refused.value.is_a_refusal
        assert api.of(kinds.SECRETS, "a", "flights-identity")["data"] == theirs["data"]

    play(scenario)


def test_one_from_before_ours_had_a_type_is_renewed() -> None:
    async def scenario() -> None:
        api = FakeApi()
        operator = await begun(api)
        old = await operator.parts.identities.write(JOB, known=False)
        made = api.of(kinds.SECRETS, "a", "flights-identity")
        assert made["type"] == IDENTITY_TYPE
        api.objects[("secrets", "a", "flights-identity")] = {**made, "type": "Opaque"}
        new = await operator.parts.identities.write(JOB, known=True)
        assert new.serial != old.serial
        assert api.of(kinds.SECRETS, "a", "flights-identity")["type"] == "Opaque"

    play(scenario)


def test_a_job_whose_secret_cannot_be_made_is_told_why() -> None:
    def ensuring(seen: Observed) -> Outcome:
        known: IdentityFacts | None = seen.identity
        return replace(all_is_well(seen), actions=(EnsureIdentity(),) if known is None else ())

    async def scenario() -> None:
        api, script = FakeApi(), Scripted(ensuring)
        there = {"metadata": {"name": "flights-identity", "namespace": "a"}, "type": "Opaque"}
        api.put(kinds.SECRETS, there)
        api.put(kinds.FLOWJOBS, a_job())
        async with Operator(api, script).living():
            await asyncio.sleep(30)
        assert "there is a Secret flights-identity" in script.seen[-1].refusal

    play(scenario)

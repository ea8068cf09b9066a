"""The installation's authority, kept in a Secret beside the operator, and what is made with it: its own papers, and
the Secrets of jobs.

Those are written and never read. Making them is pure and elsewhere (identity/); this is where they are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from flowjob.cluster.identity import OPERATOR, JobId
from flowjob_operator.core.observed import IdentityFacts
from flowjob_operator.identity.authority import (
    Authority,
    DamagedAuthority,
    maintained,
    new_authority,
    read_authority,
)
from flowjob_operator.identity.identities import job_identity, past_two_thirds, platform_leaf
from flowjob_operator.identity.randomness import Randomness
from flowjob_operator.process.asking.jobmanagers import Papers
from flowjob_operator.process.clock import Clock
from flowjob_operator.process.cluster.api import Api, ApiError, Object, Unreachable
from flowjob_operator.process.cluster.kinds import SECRETS
from flowjob_operator.process.papers.service_identity import ServiceIdentity
from flowjob_operator.process.permissions import AUTHORITY_SECRET
from flowjob_operator.rendering.naming import Names
from flowjob_operator.rendering.secrets import authority_secret, identity_secret
from flowjob_operator.resources.flowjob_status import Identity

log: Final = structlog.get_logger("flowjob_operator.identities")

MAINTENANCE_SECONDS: Final = 3600.0


class Identities:
    """`load()` once this replica leads, `maintain()` for ever after."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        namespace: str,
        randomness: Randomness,
        service: ServiceIdentity | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._randomness = randomness
        self._service = service
        self._authority: Authority | None = None
        self._papers: Papers | None = None
        self._papers_end = clock.now()

    @property
    def authority(self) -> Authority:
        if self._authority is None:
            raise RuntimeError("the authority has not been read")
        return self._authority

    def papers(self) -> Papers | None:
        """Of the operator, towards JobManagers."""
        return self._papers

    async def load(self) -> None:
        """Reads the authority, or makes it. Raises ApiError, Unreachable, DamagedAuthority."""
        found = await self._read()
        if found is None:
            made = new_authority(self._clock.now(), self._randomness)
            body = authority_secret(AUTHORITY_SECRET, self._namespace, made)
            try:
                found = await self._api.create(SECRETS, self._namespace, body)
                log.info("the authority was made", secret=AUTHORITY_SECRET)
            except ApiError as error:
                if not error.is_already_there:
                    raise
                found = await self._read()
        if found is None:
            raise DamagedAuthority(f"Secret {self._namespace}/{AUTHORITY_SECRET} comes and goes")
        await self._use(found)
        if self._service is not None:
            await self._service.keep(self.authority)

    async def maintain(self) -> None:
        """Every hour: what is due is replaced. Whatever fails is tried again then."""
        while True:
            await self._clock.sleep(MAINTENANCE_SECONDS)
            try:
                await self.load()
            except (ApiError, Unreachable, DamagedAuthority) as error:
                log.error("the authority could not be looked after", error=str(error))

    def facts(self, known: Identity | None, written: IdentityFacts | None) -> IdentityFacts | None:
        """What is known of a job's Secret: what this process has written, else what status says. Certificates of
        another authority count as ended, so that they are renewed."""
        facts = written or _of_status(known)
        if facts is None:
            return None
        other = facts.authority not in (None, self.authority.fingerprint)
        return self.ended(facts) if other else facts

    def ended(self, facts: IdentityFacts) -> IdentityFacts:
        """As if its time was over, so that it is made anew."""
        return replace(facts, expires_at=self._clock.now() - timedelta(seconds=1))

    async def is_missing(self, job: JobId) -> bool:
        """Whether a job's Secret is not there, found out without reading it: one of its name could be made. Raises
        ApiError, Unreachable."""
        name = Names(job).identity
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": job.namespace},
        }
        try:
            await self._api.create(SECRETS, job.namespace, body, dry_run=True)
        except ApiError as error:
            if error.is_already_there or error.is_a_refusal:
                return False
            raise
        return True

    async def write(self, job: JobId, *, known: bool) -> IdentityFacts:
        """The job's Secret, anew, whether or not there is one; `known`: it has been written before. Somebody else's of
        that name is left as it is: the server lets nobody change a Secret's type, and ours have one of their own.
        Raises ApiError, Unreachable."""
        made = job_identity(self.authority, job, self._clock.now(), self._randomness)
        body = identity_secret(job, made)
        try:
            await self._replace_or_create(job, body)
        except ApiError as error:
            if not error.is_of_the_request:
                raise
            if not known:
                raise _taken(error, job) from error
            # From before ours had a type.
            await self._replace_or_create(job, {**body, "type": "Opaque"})
        serial, expires_at = made.status.serial, made.status.expires_at
        if serial is None or expires_at is None:
            raise ValueError("an identity without serial or end")
        return IdentityFacts(
            serial=serial, expires_at=expires_at, authority=self.authority.fingerprint
        )

    async def _replace_or_create(self, job: JobId, body: Object) -> None:
        try:
            await self._api.replace(SECRETS, job.namespace, body)
        except ApiError as error:
            if not error.is_not_found:
                raise
            await self._api.create(SECRETS, job.namespace, body)

    async def _read(self) -> Object | None:
        try:
            return await self._api.get(SECRETS, self._namespace, AUTHORITY_SECRET)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    async def _use(self, found: Object) -> None:
        authority = read_authority(found.get("data") or {})
        kept = maintained(authority, self._clock.now(), self._randomness)
        if kept is not authority:
            body = authority_secret(AUTHORITY_SECRET, self._namespace, kept)
            about = {**body["metadata"], "resourceVersion": found["metadata"]["resourceVersion"]}
            await self._api.replace(SECRETS, self._namespace, {**body, "metadata": about})
            log.info("the authority was renewed", fingerprint=kept.fingerprint)
        changed = self._authority is None or self._authority.fingerprint != kept.fingerprint
        self._authority = kept
        now = self._clock.now()
        if changed or self._papers is None or past_two_thirds(self._papers_end, now):
            leaf = platform_leaf(kept, OPERATOR, (), now, self._randomness)
            self._papers = Papers(kept.trusted, leaf.certificate_pem, leaf.key_pem)
            self._papers_end = leaf.ends


def _of_status(known: Identity | None) -> IdentityFacts | None:
    if known is None or known.serial is None or known.expires_at is None:
        return None
    return IdentityFacts(
        serial=known.serial, expires_at=known.expires_at, authority=known.authority
    )


def _taken(error: ApiError, job: JobId) -> ApiError:
    name = Names(job).identity
    message = (
        f"there is a Secret {name} that is not this job's identity ({error.message}): delete it, or give the FlowJob "
        "another name"
    )
    return ApiError(error.status, {"reason": error.reason, "message": message})

"""What the processes of a job prove themselves with: who is let in, for how long, and when it is made anew."""

from __future__ import annotations

import base64
import dataclasses
import ssl
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from flowjob.cluster.identity import (
    CONTROL_CLIENTS,
    DATA_PEERS,
    FILES,
    JOBMANAGER,
    TASKMANAGER,
    JobId,
    identity_uri,
    refusal,
)
from flowjob.runtime.real.tls import TlsIdentity
from flowjob_operator.identity.authority import (
    LIFE as AUTHORITY_LIFE,
)
from flowjob_operator.identity.authority import (
    OVERLAP,
    Authority,
    maintained,
    new_authority,
)
from flowjob_operator.identity.certificates import new_leaf
from flowjob_operator.identity.identities import (
    LIFE,
    _subject,
    job_identity,
    past_two_thirds,
    platform_leaf,
    role_files,
)
from flowjob_operator.resources.flowjob_status import Identity
from tests.operator.identity.examples import (
    JOB,
    NOW,
    an_authority,
    counted_randomness,
    shake_hands,
    shake_hands_by,
)

DAY = timedelta(days=1)


def mounted(folder: Path, role: str, authority: Authority, job: JobId = JOB) -> Path:
    """The identity directory of a pod. Valid now, by the clock of this machine."""
    made = job_identity(authority, job, datetime.now(NOW.tzinfo), counted_randomness())
    folder = folder / f"{job.name}-{role}-{authority.fingerprint}"
    folder.mkdir()
    for key, file in role_files(role).items():
        (folder / file).write_bytes(base64.b64decode(made.data[key]))
    return folder


def an_authority_of_today() -> Authority:
    """TLS knows no other time."""
    return new_authority(datetime.now(NOW.tzinfo), counted_randomness())


def leaf(data: dict[str, str], role: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(data[f"{role}.crt"]))


def made(now: datetime = NOW, authority: Authority | None = None) -> dict[str, str]:
    return job_identity(authority or an_authority(), JOB, now, counted_randomness()).data


def test_jobmanager_and_taskmanager_know_each_other_by_their_uris(tmp_path: Path) -> None:
    authority = an_authority_of_today()
    manager = mounted(tmp_path, JOBMANAGER, authority)
    worker = mounted(tmp_path, TASKMANAGER, authority)
    of_worker, of_manager = shake_hands(client=worker, server=manager)
    assert refusal(of_worker, JOB, CONTROL_CLIENTS) is None
    assert refusal(of_manager, JOB, {JOBMANAGER}) is None
    assert refusal(of_worker, JOB, {JOBMANAGER}) is not None


def test_the_engine_takes_each_for_what_it_is(tmp_path: Path) -> None:
    authority = an_authority_of_today()
    manager, worker = (
        TlsIdentity(mounted(tmp_path, role, authority)) for role in (JOBMANAGER, TASKMANAGER)
    )
    manager.check(JOB, JOBMANAGER)
    worker.check(JOB, TASKMANAGER)
    assert worker.own.expires - datetime.now(NOW.tzinfo) > LIFE - DAY
    shake_hands_by(worker.client({JOBMANAGER}), manager.server(CONTROL_CLIENTS))
    shake_hands_by(worker.client(DATA_PEERS), worker.server(DATA_PEERS))
    with pytest.raises(ssl.SSLError, match="only jobmanager may be here"):
        shake_hands_by(worker.client({JOBMANAGER}), worker.server(CONTROL_CLIENTS))


def test_another_jobs_process_is_known_as_such(tmp_path: Path) -> None:
    authority = an_authority_of_today()
    other = JobId("air", "trains", "9")
    of_other, _ = shake_hands(
        client=mounted(tmp_path, TASKMANAGER, authority, other),
        server=mounted(tmp_path, JOBMANAGER, authority),
    )
    assert of_other == [identity_uri("air", "trains", "9", TASKMANAGER)]
    assert "is that of taskmanager of job air/trains/9" in str(
        refusal(of_other, JOB, CONTROL_CLIENTS)
    )


def test_an_installation_does_not_trust_another_one(tmp_path: Path) -> None:
    randomness = counted_randomness()
    randomness.key()
    elsewhere = new_authority(datetime.now(NOW.tzinfo), randomness)
    with pytest.raises(ssl.SSLError, match="VERIFY_FAILED"):
        shake_hands(
            client=mounted(tmp_path, TASKMANAGER, elsewhere),
            server=mounted(tmp_path, JOBMANAGER, an_authority_of_today()),
        )


def test_while_the_authority_is_replaced_pods_of_neighbouring_steps_trust_each_other(
    tmp_path: Path,
) -> None:
    today = datetime.now(NOW.tzinfo)
    first = an_authority_of_today()
    randomness = counted_randomness()
    randomness.key()
    asked = dataclasses.replace(first, asked=True)
    both = maintained(asked, today - OVERLAP, randomness)
    switched = maintained(both, today, randomness)
    assert switched.signing is both.upcoming
    for number, (old, new) in enumerate(((first, both), (both, switched))):
        folder = tmp_path / str(number)
        folder.mkdir()
        managers = [mounted(folder, JOBMANAGER, step) for step in (old, new)]
        workers = [mounted(folder, TASKMANAGER, step) for step in (old, new)]
        for worker, manager in zip(workers, reversed(managers), strict=True):
            shake_hands(client=worker, server=manager)


def test_the_platform_has_identities_too(tmp_path: Path) -> None:
    authority = an_authority_of_today()
    hosts = ("flowjob-service.flowjob.svc",)
    today = datetime.now(NOW.tzinfo)
    own = platform_leaf(authority, "operator", hosts, today, counted_randomness())
    folder = tmp_path / "operator"
    folder.mkdir()
    files = (authority.trusted, own.certificate_pem, own.key_pem)
    for name, content in zip(FILES, files, strict=True):
        (folder / name).write_bytes(content)
    seen, _ = shake_hands(client=folder, server=mounted(tmp_path, JOBMANAGER, authority))
    assert seen == ["flowjob://flowjob.dev/operator"]


def test_pods_get_the_files_that_the_engine_reads_and_none_of_the_other_role() -> None:
    data = made()
    for role in (JOBMANAGER, TASKMANAGER):
        files = role_files(role)
        assert set(files) <= set(data)
        assert set(files.values()) == {*FILES, "data.key"}
    assert set(role_files(JOBMANAGER)) & set(role_files(TASKMANAGER)) == {"ca.crt", "data.key"}


def test_a_leaf_names_its_process_and_the_services_it_is_reached_by() -> None:
    names = leaf(made(), TASKMANAGER).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [
        identity_uri(JOB.namespace, JOB.name, JOB.uid, TASKMANAGER)
    ]
    hosts = names.value.get_values_for_type(x509.DNSName)
    assert {"flights-tm.air.svc", "*.flights-tm.air.svc"} <= set(hosts)
    assert not any("-jm" in host for host in hosts)


def test_a_leaf_is_no_authority() -> None:
    extensions = leaf(made(), JOBMANAGER).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_leaves_live_a_year_and_no_longer_than_their_authority() -> None:
    assert leaf(made(), JOBMANAGER).not_valid_after_utc == NOW + LIFE
    late = NOW + AUTHORITY_LIFE - DAY
    assert leaf(made(late), JOBMANAGER).not_valid_after_utc == NOW + AUTHORITY_LIFE


def test_a_name_as_long_as_names_may_be_fits() -> None:
    job = JobId("n" * 63, "j" * 45, "u" * 36)
    assert new_leaf(
        an_authority().signing, _subject(job, TASKMANAGER), LIFE, NOW, counted_randomness()
    )


def test_renewing_keeps_the_data_plane_key_and_nothing_else() -> None:
    authority, randomness = an_authority(), counted_randomness()
    first = job_identity(authority, JOB, NOW, randomness)
    second = job_identity(authority, JOB, NOW + LIFE, randomness)
    kept = {key for key in first.data if first.data[key] == second.data[key]}
    assert kept == {"ca.crt", "data.key"}
    assert first.status.serial != second.status.serial


def test_each_job_has_a_data_plane_key_of_its_own() -> None:
    keys = {
        job_identity(an_authority(), job, NOW, counted_randomness()).data["data.key"]
        for job in (JOB, JobId("air", "flights", "another-uid"), JobId("air", "trains", JOB.uid))
    }
    assert len(keys) == 3
    assert all(len(base64.b64decode(key)) == 64 for key in keys)


@pytest.mark.parametrize(
    ("after", "due"),
    [(timedelta(), False), (LIFE * 2 / 3 - DAY, False), (LIFE * 2 / 3, True), (LIFE, True)],
)
def test_another_leaf_is_made_at_two_thirds_of_a_life(after: timedelta, due: bool) -> None:
    assert past_two_thirds(NOW + LIFE, NOW + after) is due


def test_status_says_all_that_is_remembered_of_a_secret_that_is_never_read() -> None:
    authority = an_authority()
    status = job_identity(authority, JOB, NOW, counted_randomness()).status
    assert Identity.of(status.wire()) == status
    assert status.expires_at == NOW + LIFE
    assert status.authority == authority.fingerprint
    serials = {f"{leaf(made(), role).serial_number:x}" for role in (JOBMANAGER, TASKMANAGER)}
    assert set((status.serial or "").split()) == serials

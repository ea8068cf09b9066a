"""The authority of an installation: made once, kept, and replaced so that nobody notices."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from flowjob_operator.identity.authority import (
    LIFE,
    OVERLAP,
    REPLACE,
    Authority,
    DamagedAuthority,
    maintained,
    read_authority,
    secret_data,
)
from flowjob_operator.identity.certificates import pem
from flowjob_operator.identity.randomness import system_randomness
from tests.operator.identity.examples import NOW, an_authority, counted_randomness

DAY = timedelta(days=1)
DUE = NOW + LIFE * 2 / 3


def step(authority: Authority, now: datetime) -> Authority:
    return maintained(authority, now, counted_randomness())


def test_it_signs_leaves_and_nothing_below_them() -> None:
    extensions = an_authority().signing.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.value, constraints.critical) == (x509.BasicConstraints(True, 0), True)
    assert usage.value.key_cert_sign
    assert not usage.value.digital_signature


def test_the_same_input_makes_the_same_authority() -> None:
    assert secret_data(an_authority()) == secret_data(an_authority())


def test_the_machines_randomness_makes_another_one_each_time() -> None:
    randomness = system_randomness()
    assert randomness.secret() != randomness.secret()
    assert randomness.serial() != randomness.serial()
    assert randomness.key().private_numbers() != randomness.key().private_numbers()


def test_it_is_the_same_after_it_was_kept_and_read() -> None:
    authority = step(an_authority(), DUE)
    for one in (an_authority(), authority, step(authority, DUE + OVERLAP)):
        again = read_authority(secret_data(one))
        assert secret_data(again) == secret_data(one)
        assert again.trusted == one.trusted
        assert again.fingerprint == one.fingerprint


def test_nothing_is_done_before_two_thirds_of_its_life() -> None:
    authority = an_authority()
    assert step(authority, DUE - DAY) is authority
    assert step(authority, DUE).upcoming is not None


def test_it_is_replaced_in_steps_each_of_which_trusts_the_one_before_and_after() -> None:
    first = an_authority()
    both = step(first, DUE)
    assert both.signing is first.signing
    assert step(both, DUE + OVERLAP - DAY) is both
    switched = step(both, DUE + OVERLAP)
    assert both.upcoming is not None
    assert switched.signing is both.upcoming
    assert switched.upcoming is None
    old, new = pem(first.signing.certificate), pem(switched.signing.certificate)
    assert [first.trusted, both.trusted, switched.trusted] == [old, old + new, new + old]
    assert step(switched, first.signing.ends - DAY) is switched
    alone = step(switched, first.signing.ends)
    assert alone.trusted == new


def test_each_step_has_all_identities_made_anew() -> None:
    first = an_authority()
    both = step(first, DUE)
    switched = step(both, DUE + OVERLAP)
    alone = step(switched, first.signing.ends)
    assert len({one.fingerprint for one in (first, both, switched, alone)}) == 4


def test_a_person_may_have_it_replaced_by_a_key_in_the_secret() -> None:
    asked = read_authority({**secret_data(an_authority()), REPLACE: "anything"})
    both = step(asked, NOW + DAY)
    assert both.upcoming is not None
    assert REPLACE not in secret_data(both)
    again = read_authority({**secret_data(both), REPLACE: ""})
    assert secret_data(step(again, NOW + 2 * DAY)) == secret_data(both)
    assert step(again, NOW + 2 * DAY) is not again
    assert step(again, NOW + DAY + OVERLAP).signing.certificate == both.upcoming.certificate


def test_data_plane_keys_outlive_the_certificates() -> None:
    first = an_authority()
    switched = step(step(first, DUE), DUE + OVERLAP)
    assert switched.derived("x") == first.derived("x") != first.derived("y")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ca.key": None}, "it has no ca.key"),
        ({"data.key": None}, "it has no data.key"),
        ({"ca.crt": "no base64"}, "it cannot be read"),
        ({"ca.crt": "bm8gY2VydGlmaWNhdGU="}, "it cannot be read"),
        ({"data.key": "bm8gaGV4"}, "it cannot be read"),
        ({"data.key": base64.b64encode(b"00").decode()}, "data.key has 1 bytes, not 32"),
        ({"next.crt": "AAAA"}, "it has no next.key"),
    ],
)
def test_a_damaged_one_is_refused_with_advice(change: dict[str, str | None], says: str) -> None:
    data = {**secret_data(an_authority()), **change}
    with pytest.raises(DamagedAuthority, match=says) as refused:
        read_authority({name: value for name, value in data.items() if value is not None})
    assert "restore the Secret, or delete it" in str(refused.value)


def test_a_key_of_another_certificate_is_refused() -> None:
    other = maintained(an_authority(), DUE, counted_randomness())
    data = secret_data(other)
    with pytest.raises(DamagedAuthority, match="do not belong to each other"):
        read_authority({**data, "ca.key": secret_data(another_authority())["ca.key"]})


def another_authority() -> Authority:
    randomness = counted_randomness()
    randomness.key()
    randomness.key()
    return Authority(
        signing=maintained(an_authority(), DUE, randomness).upcoming or an_authority().signing,
        master=b"x" * 32,
    )

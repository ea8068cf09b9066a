"""Secrets are taken out of texts, whatever stands around them, and nothing else is."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowjob.core.redacting import REDACTED, by_looks, is_secret_name, redactor, secrets_of

SECRET = "hunter2-Zq9"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"

WITHIN = [
    f"password={SECRET}",
    f"connect(host='db', password='{SECRET}')",
    f'{{"db_password": "{SECRET}", "user": "me"}}',
    f"{{'api_key': '{SECRET}'}}",
    f'"secret": "with \\"quotes\\" {SECRET}"',
    f"PASSWORD: {SECRET}",
    f"--token={SECRET}",
    f"sasl.password => {SECRET}",
    f"client-secret = {SECRET}",
    f"x?user=me&access_token={SECRET}&z=1",
    f"postgresql://me:{SECRET}@db:5432/flights",
    f"https://{SECRET}@example.com/x",
    f"s3://me:p@ss{SECRET}@bucket/x",
    f"Authorization: Bearer {SECRET}",
    f"authorization: basic {SECRET}",
    f"AWS_SECRET_ACCESS_KEY={SECRET}",
    f"aws_session_token = '{SECRET}'",
    f"passphrase=b'{SECRET}'",
    f"X-Amz-Signature={SECRET}&X-Amz-Date=1",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----{SECRET}",
    f"Cookie: {SECRET}",
    f"s3://b?secret_key={SECRET}&x=1",
    f"tokenValue={SECRET}",
]


@pytest.mark.parametrize("text", WITHIN)
def test_secrets_are_taken_out(text: str) -> None:
    found = by_looks(text)
    assert SECRET not in found
    assert REDACTED in found


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY_ID} is refused",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl was sent",
    ],
)
def test_what_has_the_form_of_a_credential_is_one(text: str) -> None:
    assert REDACTED in by_looks(text)
    assert KEY_ID not in by_looks(text)
    assert "eyJ" not in by_looks(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the job is running",
        "rows: 17, late: 3",
        "s3://bucket/jobs/flights",
        "https://example.com/a@b?x=1",
        "tokens are counted: 12 of them",
        "the password is wrong",
        "no secret here",
        "checkpoint 12 is complete after 0.1 s",
        "user@example.com wrote",
        "a basic question: which bearer token?",
        "monkey=banana; compass: north",
        "File 'x.py', line 3, in <module>",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert by_looks(text) == text


def test_what_stands_beside_a_secret_stays() -> None:
    said = by_looks(
        f"cannot connect to postgresql://me:{SECRET}@db:5432/flights as user=me, retry 3"
    )
    assert said == f"cannot connect to postgresql://{REDACTED}@db:5432/flights as user=me, retry 3"
    said = by_looks(f"a?token={SECRET}&page=2")
    assert said == f"a?token={REDACTED}&page=2"


def test_known_values_are_taken_out_wherever_they_stand_and_short_ones_are_not() -> None:
    redact = redactor(["correct horse", "abc", "line one of it\nline two of it"])
    assert redact("<correct horse> abc") == f"<{REDACTED}> abc"
    assert redact("line two of it") == REDACTED


def test_names_say_what_is_secret() -> None:
    environment = {
        "AWS_SECRET_ACCESS_KEY": "a",
        "AWS_REGION": "b",
        "DB_PASSWORD": "c",
        "HOME": "d",
        "FLOWJOB_TOKEN": "e",
        "AWS_ACCESS_KEY_ID": "f",
    }
    assert sorted(secrets_of(environment)) == ["a", "c", "e", "f"]
    assert is_secret_name("clientSecretValue")
    assert not is_secret_name("keyboard")
    assert not is_secret_name("compass")


LETTERS = string.ascii_letters + string.digits
WORD = st.text(LETTERS, min_size=8, max_size=40)
NAMES = st.sampled_from(["password", "db_password", "API_KEY", "clientSecret", "auth.token", "x-api-key"])  # fmt: skip
AROUND = st.text(max_size=60)


@given(AROUND, NAMES, st.sampled_from(["=", ": ", '="', "='", ' = "', ":"]), WORD, AROUND)
def test_named_secrets_do_not_survive_whatever_stands_around_them(
    before: str, name: str, between: str, secret: str, after: str
) -> None:
    assume(secret not in before + after + name + REDACTED)
    assume(not before or not (before[-1].isalnum() or before[-1] in "_.-"))
    quote = between[-1] if between[-1] in "\"'" else ""
    assert secret not in by_looks(f"{before}{name}{between}{secret}{quote} {after}")


@given(AROUND, st.lists(WORD, min_size=1, max_size=3), AROUND)
def test_known_secrets_do_not_survive_anywhere(before: str, secrets: list[str], after: str) -> None:
    assume(not any(secret in REDACTED for secret in secrets))
    redact = redactor(secrets)
    found = redact(before + secrets[0] + after)
    assert secrets[0] not in found.replace(REDACTED, "")


@given(st.text(max_size=200))
def test_any_text_can_be_given_and_twice_is_as_good_as_once(text: str) -> None:
    once = by_looks(text)
    assert by_looks(once) == once


@given(st.text(st.characters(categories=["L"]) | st.sampled_from(" .,\n"), max_size=200))
def test_prose_stays_as_it_is(text: str) -> None:
    assume(not any(word in text.lower() for word in ("begin", "bearer", "basic", "eyj", "akia")))
    assert by_looks(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 20_000, "password" * 2_500, "x=" * 10_000, "://" * 7_000, '"' * 20_000),
        *("token: " * 3_000, "-----BEGIN PRIVATE KEY-----" * 700, "a_" * 10_000, "pass.-" * 3_000),
    ],
)
def test_long_lines_take_no_time(text: str) -> None:
    began = time.process_time()
    by_looks(text)
    assert time.process_time() - began < 2.0  # of CPU; a line of this length takes some ms

"""What of a job's configuration is shown, and what never is."""

from __future__ import annotations

import pytest

from flowjob.runtime.observing.configuration import REDACTED, redacted, without_secrets


@pytest.mark.parametrize(
    "key",
    ["password", "db_password", "dbPassword", "PASSWD", "secret", "clientSecret", "api_key", "apikey", "token",
     "aws_secret_access_key", "sasl.jaas.config", "private_key", "credentials"],
)  # fmt: skip
def test_what_sounds_like_a_secret_is_hidden(key: str) -> None:
    assert redacted(key, "hunter2") == REDACTED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("keys", "a,b"),
        ("parallelism", 4),
        ("drain", True),
        ("rate", 0.5),
        ("none", None),
        ("token", ""),
    ],
)
def test_everything_else_is_shown_as_it_is(key: str, value: object) -> None:
    assert redacted(key, value) == value


@pytest.mark.parametrize(
    "text",
    ["postgres://joe:hunter2@db:5432/shop", "host=db password=hunter2 dbname=shop", "s3://b?secret_key=hunter2&x=1",
     "token: hunter2", "https://hunter2@host/x"],
)  # fmt: skip
def test_secrets_inside_of_texts_are_hidden_and_the_rest_is_not(text: str) -> None:
    shown = without_secrets(text)
    assert "hunter2" not in shown
    assert REDACTED in shown


def test_a_text_without_secrets_stays_as_it_is() -> None:
    assert without_secrets("s3://bucket/jobs at 10:00") == "s3://bucket/jobs at 10:00"

"""From where code may be fetched: tables of places, of redirects and of addresses."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.cluster.artifact_rules import (
    ArtifactRules,
    check_address,
    redirected,
    rules_of,
    source_of,
)
from flowjob.errors import BadArtifact

DEFAULT = ArtifactRules()
ONE_HOST = ArtifactRules(hosts=("code.example.com", "*.cdn.example.com"))
INSIDE = ArtifactRules(
    schemes=("https", "http"), hosts=("artifacts.svc", "10.1.0.0/16", "fd00::/8")
)


@pytest.mark.parametrize(
    ("url", "scheme", "host", "name"),
    [
        ("s3://bucket/a/flights-1.0.zip", "s3", "bucket", "flights-1.0.zip"),
        ("https://code.example.com/a/b.whl?sig=x", "https", "code.example.com", "b.whl"),
        ("https://CODE.example.com:8443/b%2B1.py", "https", "code.example.com", "b+1.py"),
        ("/opt/jobs/flights.py", "file", "", "flights.py"),
        ("file:///opt/jobs/flights.py", "file", "", "flights.py"),
    ],
)
def test_a_place_is_taken_apart(url: str, scheme: str, host: str, name: str) -> None:
    source = source_of(url, DEFAULT)
    assert (source.scheme, source.host, source.name) == (scheme, host, name)


@pytest.mark.parametrize(
    ("url", "rules", "reason"),
    [
        ("http://code.example.com/a.py", DEFAULT, "by s3, https, file, not by http"),
        ("ftp://code.example.com/a.py", DEFAULT, "not by ftp"),
        ("https://user:secret@code.example.com/a.py", DEFAULT, "holds credentials"),
        ("https://code.example.com/a.tar.gz", DEFAULT, "not the URL of a .py, .zip or .whl"),
        ("https://code.example.com/.zip", DEFAULT, "not the URL of"),
        ("https://code.example.com/..%2Fa.zip", DEFAULT, None),
        ("https://code.example.com/a%00.zip", DEFAULT, "make its name"),
        ("https://code.example.com/a b.zip", DEFAULT, "make its name"),
        ("https:///a.zip", DEFAULT, "names no host"),
        ("https://code.example.com:99999/a.zip", DEFAULT, "is no URL"),
        ("https://other.example.com/a.zip", ONE_HOST, "other.example.com is not among the hosts"),
        ("https://cdn.example.com/a.zip", ONE_HOST, "not among the hosts"),
        ("https://evilcdn.example.com/a.zip", ONE_HOST, "not among the hosts"),
        ("https://code.example.com.evil.org/a.zip", ONE_HOST, "not among the hosts"),
        ("https://a.cdn.example.com/a.zip", ONE_HOST, None),
        ("https://169.254.169.254/a.zip", DEFAULT, "is link-local"),
        ("https://[fe80::1]/a.zip", DEFAULT, "is link-local"),
        ("https://127.0.0.1/a.zip", DEFAULT, "is not public"),
        ("https://93.184.216.34/a.zip", ONE_HOST, "in none of the networks"),
        ("https://10.1.2.3/a.zip", INSIDE, None),
        ("https://10.2.2.3/a.zip", INSIDE, "in none of the networks"),
    ],
)  # fmt: skip
def test_places_that_may_not_be_asked_are_refused_with_a_sentence(
    url: str, rules: ArtifactRules, reason: str | None
) -> None:
    if reason is None:
        source_of(url, rules)
        return
    with pytest.raises(BadArtifact) as refused:
        source_of(url, rules)
    assert reason in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "sig=" not in str(refused.value)


@pytest.mark.parametrize(
    ("location", "rules", "reason"),
    [
        ("/other/place", DEFAULT, None),
        ("https://elsewhere.example.com/x", DEFAULT, None),
        ("//elsewhere.example.com/x", DEFAULT, None),
        ("https://elsewhere.example.com/x", ONE_HOST, "code.example.com redirects: elsewhere.example.com is not"),
        ("http://code.example.com/x", DEFAULT, "may not be asked"),
        ("file:///etc/passwd", DEFAULT, "may not be asked"),
        ("s3://bucket/x", DEFAULT, "may not be asked"),
        ("https://169.254.169.254/latest/meta-data", DEFAULT, "is link-local"),
        ("https://[::ffff:169.254.169.254]/", DEFAULT, "is link-local"),
        ("https://10.0.0.1/", DEFAULT, "is not public"),
        ("http://artifacts.svc/x", ArtifactRules(schemes=("https", "http")), "redirects from https to http"),
        ("", DEFAULT, None),
    ],
)  # fmt: skip
def test_a_redirect_is_judged_like_the_first_place(
    location: str, rules: ArtifactRules, reason: str | None
) -> None:
    source = source_of("https://code.example.com/a.zip", rules)
    if reason is None:
        assert redirected(source, location, rules).name == "a.zip"
        return
    with pytest.raises(BadArtifact) as refused:
        redirected(source, location, rules)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "192.0.2.1", "2001:db8::1",
    ],
)  # fmt: skip
def test_a_public_name_that_leads_inside_is_refused(address: str) -> None:
    with pytest.raises(
        BadArtifact, match=r"^code\.example\.com leads to .* not fetched from inside"
    ):
        check_address("code.example.com", ipaddress.ip_address(address), DEFAULT)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_public_addresses_may_be_asked(address: str) -> None:
    check_address("code.example.com", ipaddress.ip_address(address), DEFAULT)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.1.9.9", True),
        ("10.2.0.1", False),
        ("fd00::7", True),
        ("::ffff:10.1.0.1", True),
        ("127.0.0.1", False),
    ],
)
def test_networks_inside_may_be_asked_when_they_are_listed(address: str, may: bool) -> None:
    found = ipaddress.ip_address(address)
    if may:
        check_address("artifacts.svc", found, INSIDE)
    else:
        with pytest.raises(BadArtifact, match="unless that network is listed"):
            check_address("artifacts.svc", found, INSIDE)


@given(st.ip_addresses())
def test_no_address_that_is_not_public_is_ever_asked(address: object) -> None:
    assert isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address)
    try:
        check_address("code.example.com", address, DEFAULT)
    except BadArtifact:
        return
    assert address.is_global


@given(st.text(max_size=60))
def test_any_text_is_a_source_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://code.example.com/{text}.zip"):
        try:
            source = source_of(url, DEFAULT)
        except BadArtifact:
            continue
        assert "/" not in source.name
        assert source.name not in ("", ".", "..")


def test_rules_come_from_the_config() -> None:
    given = {"schemes": "https, s3", "hosts": "a.b, 10.0.0.0/8", "maxBytes": 5, "timeout": "3s"}
    rules = rules_of({"x": 1} | {f"artifacts.{name}": value for name, value in given.items()})
    assert rules == ArtifactRules(("https", "s3"), ("a.b", "10.0.0.0/8"), 5, 3.0)
    assert rules.names == ("a.b",)
    assert rules_of({}) == DEFAULT


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"artifacts.host": "a"}, "there is no such setting; there are artifacts.hosts"),
        ({"artifacts.maxBytes": "many"}, "config artifacts"),
        ({"artifacts.timeout": "soon"}, "config artifacts"),
    ],
)
def test_settings_that_cannot_be_are_refused(config: dict[str, str], reason: str) -> None:
    with pytest.raises(BadArtifact, match=reason):
        rules_of(config)

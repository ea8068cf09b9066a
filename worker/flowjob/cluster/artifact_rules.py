"""From where a job's code may be fetched: schemes, hosts, addresses, size and time. Judged before every request, again
after each redirect, and for the address that a name has led to.

Pure. It keeps a pre-flight pod from being used to reach what only the cluster reaches; it is not what makes code
trustworthy: that is its digest. Fetching is runtime/real/downloading.py's."""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, fields
from urllib.parse import unquote, urljoin, urlsplit

from flowjob.args import parse_duration
from flowjob.errors import BadArtifact

KINDS = (".py", ".zip", ".whl")
MOST_REDIRECTS = 5

PREFIX = "artifacts."
"""Of the settings in `config` that make the rules."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ArtifactRules:
    """In a FlowJob's `config`: `artifacts.schemes` and so on, lists separated by commas.

    schemes   of s3, https, http and file
    hosts     names that may be asked, `*.example.com` for all below; or addresses and networks (10.1.0.0/16), which
              then may be reached though they are not public. Empty: all names that lead to public addresses
    max_bytes of the artifact
    timeout   seconds for all of the fetching
    """

    schemes: tuple[str, ...] = ("s3", "https", "file")
    hosts: tuple[str, ...] = ()
    max_bytes: int = 512 << 20
    timeout: float = 120.0

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(found for host in self.hosts if (found := _network(host)) is not None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(host.lower() for host in self.hosts if _network(host) is None)


@dataclass(frozen=True, slots=True)
class Source:
    """Where an artifact lies. `host` is empty for files; `name` is that of its last segment, and safe for a file."""

    url: str
    scheme: str
    host: str
    port: int | None
    path: str
    name: str


def rules_of(config: Mapping[str, str | int]) -> ArtifactRules:
    """Raises BadArtifact for a setting that cannot be."""
    given = {k[len(PREFIX) :]: v for k, v in config.items() if k.startswith(PREFIX)}
    known = {"schemes", "hosts", "maxBytes", "timeout"}
    if wrong := sorted(given.keys() - known):
        raise BadArtifact(
            f"config {PREFIX}{wrong[0]}: there is no such setting; there are "
            + ", ".join(PREFIX + name for name in sorted(known))
        )
    rules = ArtifactRules()
    values = {field.name: getattr(rules, field.name) for field in fields(rules)}
    try:
        if "schemes" in given:
            values["schemes"] = _list(given["schemes"])
        if "hosts" in given:
            values["hosts"] = _list(given["hosts"])
        if "maxBytes" in given:
            values["max_bytes"] = int(given["maxBytes"])
        if "timeout" in given:
            values["timeout"] = parse_duration(str(given["timeout"])).total_seconds()
    except ValueError as error:
        raise BadArtifact(f"config {PREFIX}…: {error}") from None
    return ArtifactRules(**values)


def source_of(url: str, rules: ArtifactRules) -> Source:
    """Raises BadArtifact where nothing may be fetched from, or nothing that could be an artifact."""
    text = url if "://" in url else f"file://{url}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadArtifact(f"`{url}` is no URL of an artifact") from None
    if parts.username or parts.password:
        raise BadArtifact(
            f"the URL of the artifact at {parts.hostname} holds credentials: for S3 put them into the Secret; a signed "
            "URL is better for https"
        )
    if parts.scheme not in rules.schemes:
        raise BadArtifact(
            f"artifacts may be fetched by {', '.join(rules.schemes)}, not by {parts.scheme} ({_shown(url)}); the "
            f"setting is {PREFIX}schemes"
        )
    path = parts.path if parts.scheme in ("http", "https") else unquote(parts.path)
    name = posixpath.basename(unquote(parts.path))
    if not name.endswith(KINDS) or name.startswith((".", "-")) or name in KINDS:
        raise BadArtifact(f"{_shown(url)} is not the URL of a .py, .zip or .whl file")
    if not _is_file_name(name):
        raise BadArtifact(
            f"{_shown(url)}: letters, digits, `_`, `.`, `+`, `!` and `-` make its name"
        )
    source = Source(text, parts.scheme, (parts.hostname or "").lower(), port, path, name)
    if source.scheme in ("http", "https"):
        check_host(source.host, rules)
    return source


def redirected(source: Source, location: str, rules: ArtifactRules) -> Source:
    """Where a redirect leads, judged like the first URL; the name stays. Raises BadArtifact."""
    url = urljoin(source.url, location)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadArtifact(f"{source.host} redirects to what is no URL") from None
    if parts.scheme not in ("http", "https") or parts.scheme not in rules.schemes:
        raise BadArtifact(f"{source.host} redirects to {parts.scheme}:…, which may not be asked")
    if source.scheme == "https" and parts.scheme != "https":
        raise BadArtifact(f"{source.host} redirects from https to {parts.scheme}")
    host = (parts.hostname or "").lower()
    try:
        check_host(host, rules)
    except BadArtifact as error:
        raise BadArtifact(f"{source.host} redirects: {error}") from None
    return Source(url, parts.scheme, host, port, parts.path, source.name)


def check_host(host: str, rules: ArtifactRules) -> None:
    """Before its address is looked up. Raises BadArtifact."""
    if not host:
        raise BadArtifact("the URL of the artifact names no host")
    if (address := _address(host)) is not None:
        check_address(host, address, rules)
        return
    if rules.names and not any(_matches(host, name) for name in rules.names):
        raise BadArtifact(
            f"{host} is not among the hosts that artifacts may be fetched from ({', '.join(rules.hosts)}); the setting "
            f"is {PREFIX}hosts"
        )


def check_address(host: str, address: Address, rules: ArtifactRules) -> None:
    """The address that a connection is about to be made to. Raises BadArtifact."""
    seen = _as_v4(address)
    if any(seen.version == n.version and seen in n for n in rules.networks):
        return
    if _address(host) is not None and rules.hosts:
        raise BadArtifact(f"{host} is in none of the networks in {PREFIX}hosts")
    if not seen.is_global or seen.is_multicast:
        kind = "link-local" if seen.is_link_local else "not public"
        raise BadArtifact(
            f"{host} leads to {seen}, which is {kind}: an artifact is not fetched from inside of the cluster unless "
            f"that network is listed ({PREFIX}hosts)"
        )


def _as_v4(address: Address) -> Address:
    """The IPv4 address that is written as an IPv6 one: it leads to the same machine."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and address in _NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return embedded or address
    return address


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _matches(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_file_name(name: str) -> bool:
    return all(c.isascii() and (c.isalnum() or c in "_.+!-") for c in name)


def _list(value: str | int) -> tuple[str, ...]:
    return tuple(word for part in str(value).split(",") if (word := part.strip()))


def _shown(url: str) -> str:
    """Without what may be a signature."""
    return url.partition("?")[0]

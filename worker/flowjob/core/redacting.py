"""Takes secrets out of texts that people and log stores read: by what they look like, and by what they are.

Pure. `known` are values that are secret wherever they stand: of credential files, of environment variables whose names
say so. Looks cost one pass per line. It must not know where texts come from or go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

REDACTED = "[redacted]"

SHORTEST = 8
"""Characters of a known value: shorter ones would be found in half of all words."""

_NAME = (
    r"(?:pass(?:word|wd|phrase|code)|(?<![A-Za-z])pass|pwd|secret|token|credentials?|api[-_]?key|access[-_]?key(?:[-_]?id)?|private[-_]?key"
    r"|client[-_]?secret|signature|sasl[-_.]?(?:jaas[-_.]?config|password)|authorization|cookie|session[-_]?id)"
)
_KEY = re.compile(_NAME + r"|^aws_", re.IGNORECASE)
_HARMLESS = re.compile(r"^(aws_(default_)?region|aws_endpoint_url\w*|aws_profile)$", re.IGNORECASE)

_QUOTED = r"\"(?:[^\"\\\n]|\\.)*(?:\"|$)|'(?:[^'\\\n]|\\.)*(?:'|$)"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # -----BEGIN … PRIVATE KEY----- to its end, on one line or many
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    # scheme://user:password@host
    (re.compile(r"(?<=://)[^/?#\s\"'<>]+@"), f"{REDACTED}@"),
    # Authorization: Bearer …, and the scheme by itself
    (re.compile(r"(?i)\b(bearer|basic|digest|negotiate)(\s+)(?=\S*[\d._~+/=-])[\w.~+/=-]{8,}"), rf"\1\2{REDACTED}"),
    # JSON web tokens
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?"), REDACTED),
    # AWS: ids of keys
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}\b"), REDACTED),
    # password=…, "secret": "…", token: …; the value up to its quote, or to where a word ends
    (
        re.compile(
            rf"(?i)((?<![A-Za-z0-9])[\w.-]{{0,60}}?{_NAME}(?:[-_]?(?:key|value|string|id|hash))?[\"']?\s{{0,3}}(?:=>|[=:])\s{{0,3}}(?:b(?=[\"']))?)"
            rf"({_QUOTED}|[^\s&;,\"'()<>\[\]{{}}]+)"
        ),
        rf"\1{REDACTED}",
    ),
)  # fmt: skip


def is_secret_name(name: str) -> bool:
    """Whether a setting, a variable or a file of that name holds a secret."""
    return bool(_KEY.search(name)) and not _HARMLESS.match(name)


def secrets_of(values: Mapping[str, str]) -> list[str]:
    """Values whose names say that they are secret: of an environment."""
    return [value for name, value in values.items() if is_secret_name(name)]


def redactor(known: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that takes secrets out of a text; done twice it changes nothing more. `known` that are shorter than
    SHORTEST are left aside."""
    lines = {part.strip() for value in known for part in (value, *value.splitlines())}
    words = sorted((w for w in lines if len(w) >= SHORTEST), key=len, reverse=True)
    if not words:
        return by_looks
    exactly = re.compile("|".join(re.escape(word) for word in words))

    def redact(text: str) -> str:
        return by_looks(exactly.sub(REDACTED, text))

    return redact


def by_looks(text: str) -> str:
    """Without known values."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text

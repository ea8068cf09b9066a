"""What S3 servers and botocore say when something goes wrong: whether trying again helps, and what a person should do.

Works on names of errors, not on botocore's classes, so that nothing is imported before it is needed. Messages name
bucket, key and operation, never credentials."""

from __future__ import annotations

from typing import Any

from flowjob.errors import StorageError

PASSING_CODES = frozenset(
    {
        "ConditionalRequestConflict",
        "ExistingObjectIsDirectory",  # versitygw, while it removes the directory of what was deleted beside
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)
"""Codes of errors that pass, besides the statuses 500, 502, 503, 504 and 429."""

PASSING_CLASSES = frozenset(
    {
        "ConnectionError",
        "ConnectionClosedError",
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
    }
)

_ABSENT = frozenset({"NoSuchKey", "NotFound", "404"})

_REMEDIES = {
    "AccessDenied": "these credentials may not do this; docs/storage.md lists the permissions that are needed",
    "AuthorizationHeaderMalformed": "the region is probably wrong; set AWS_REGION to the bucket's",
    "ExpiredToken": "the credentials have expired; renew them",
    "IllegalLocationConstraintException": "the region is wrong; set AWS_REGION to the bucket's",
    "InvalidAccessKeyId": "the access key is unknown there; check AWS_ACCESS_KEY_ID and the endpoint",
    "InvalidToken": "the session token is not valid there; check AWS_SESSION_TOKEN",
    "NoSuchBucket": "there is no such bucket there; create it, or correct the location or the endpoint",
    "NotImplemented": "the server cannot do this; docs/storage.md says which servers can hold checkpoints",
    "ObjectParentIsFile": "another object has the name of its directory; use a prefix of its own for flowjob",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION to that",
    "QuotaExceeded": "the store is full; free some space",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "SignatureDoesNotMatch": "the secret key does not fit the access key; check AWS_SECRET_ACCESS_KEY",
    "XMinioStorageFull": "the store is full; free some space",
    "401": "the credentials are not accepted; check them and the endpoint",
    "403": "these credentials may not do this; docs/storage.md lists the permissions that are needed",
    "301": "the bucket is in another region; set AWS_REGION to that",
    "400": "the server does not take the request; check the region, the endpoint and whether the credentials expired",
}

_CLASS_REMEDIES = {
    "NoCredentialsError": "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile",
    "PartialCredentialsError": "the credentials are incomplete; set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "there is no such profile; check AWS_PROFILE",
    "EndpointConnectionError": "nothing answers there; check the endpoint, and that the server runs",
    "ConnectTimeoutError": "nothing answers there; check the endpoint and the network",
    "SSLError": "the server's certificate is not accepted; check the endpoint, or set AWS_CA_BUNDLE",
    "ResponseParserError": "what answers there is no S3 server; check the endpoint",
}


_ABOUT_CREDENTIALS = frozenset(
    {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"}
)


def code_of(error: Exception) -> str:
    """The server's code (`NoSuchKey`, or a bare status where there is no body); empty for other exceptions."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """The HTTP status of the server's answer; 0 where there is none."""
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_from_s3(error: Exception) -> bool:
    """Whether it comes from botocore: everything else is a defect or another system's."""
    return any(c.__module__.partition(".")[0] in ("botocore", "boto3") for c in type(error).__mro__)


def passes(error: Exception) -> bool:
    """Whether the same request may well succeed a little later."""
    names = {c.__name__ for c in type(error).__mro__}
    if names & {"SSLError", "InvalidProxiesConfigError"}:
        return False
    if code_of(error) in PASSING_CODES or status_of(error) in (429, 500, 502, 503, 504):
        return True
    return bool(names & PASSING_CLASSES)


def is_absent(error: Exception) -> bool:
    """Whether the server says that there is no such object."""
    return code_of(error) in _ABSENT


def told(
    error: Exception, operation: str, place: str, credentials: str | None = None
) -> StorageError:
    """`error` for people. `place`: `s3://bucket/key`; `credentials`: the directory that they were read from."""
    code, status = code_of(error), status_of(error)
    if code:
        said = _response(error).get("Error", {}).get("Message") or "no further message"
        label = code if code == str(status) or not status else f"{code}, status {status}"
        remedy = _REMEDIES.get(code) or _REMEDIES.get(str(status), "")
        text = f"{said} ({label})"
    else:
        text = f"{error}"
        remedy = next(
            (
                _CLASS_REMEDIES[c.__name__]
                for c in type(error).__mro__
                if c.__name__ in _CLASS_REMEDIES
            ),
            "",
        )
    text = text.strip().rstrip(".")
    if credentials is not None and (status in (401, 403) or code in _ABOUT_CREDENTIALS):
        remedy += f". They are those in {credentials}, which the Secret fills that the job names (secretRef)"
    return StorageError(f"cannot {operation} {place}: {text}{': ' if remedy else ''}{remedy}")


def _response(error: Exception) -> dict[str, Any]:
    found = getattr(error, "response", None)
    return found if isinstance(found, dict) else {}

"""Sessions of botocore that share what it has read of S3's interface: parsing that is most of what a client costs.

A client is made for every store that is opened, several of them before a JobManager leads. It must not know what is
asked of S3, and imports botocore only when a session is made."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowjob.runtime.storage.s3_credentials import FileProvider


def session_with(directory: str | None) -> Any:
    """With the credentials in `directory`, or None: found by botocore's usual ways."""
    import botocore.session

    session = botocore.session.get_session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    if directory is not None:
        providers = session.get_component("credential_provider").providers
        providers.insert(0, FileProvider(Path(directory)))
    return session


def read_interface() -> None:
    """Has S3's interface read before a client is made: by a fork server, for all slots. Nothing is asked of anybody."""
    loader = session_with(None).get_component("data_loader")
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", kind)
    for name in ("partitions", "endpoints", "sdk-default-configuration"):
        loader.load_data(name)


@functools.lru_cache
def _loader(data_path: str | None) -> Any:
    """It remembers what it has read; what a place has does not change while we live."""
    from botocore.loaders import create_loader

    loader = create_loader(data_path)
    # It would look into the four hundred folders of all services, only to find that there is S3 among them.
    loader.list_available_services = lambda _: _folders(loader.search_paths)
    return loader


def _folders(places: Iterable[str]) -> list[str]:
    """What services there may be descriptions of: what a folder has is found out when it is read."""
    return [name for place in places if os.path.isdir(place) for name in os.listdir(place)]

"""The definitions of a real cluster, through the `kubernetes` package: a Cluster as applying.py wants it.

In a pod by its ServiceAccount, else by KUBECONFIG. The one module of this package that makes requests."""

from __future__ import annotations

import json
import os
from typing import Any, Final

from kubernetes import client, config

from flowjob_operator.crds.applying import FIELD_MANAGER, Object

TIMEOUT_SECONDS: Final = 30.0


class RealCluster:
    """A Cluster. Raises kubernetes.client.ApiException, and urllib3's errors when there is no answer."""

    def __init__(self, api_client: Any) -> None:
        self._api = client.ApiextensionsV1Api(api_client)

    def get(self, name: str) -> Object | None:
        try:
            # As it is on the wire: the package's models of schemas are not whole.
            answer = self._api.read_custom_resource_definition(
                name, _preload_content=False, _request_timeout=TIMEOUT_SECONDS
            )
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        return _decoded(answer)

    def apply(self, definition: Object, *, dry_run: bool) -> Object:
        answer = self._api.patch_custom_resource_definition(
            definition["metadata"]["name"],
            definition,
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type="application/apply-patch+yaml",
            _preload_content=False,
            _request_timeout=TIMEOUT_SECONDS,
            dry_run="All" if dry_run else None,
        )
        return _decoded(answer)


def _decoded(answer: Any) -> Object:
    made: Object = json.loads(answer.data)
    return made


def connected() -> RealCluster:
    """Raises kubernetes.config.ConfigException when neither a ServiceAccount nor a kubeconfig is there."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config()
    else:
        config.load_kube_config()
    return RealCluster(client.ApiClient())

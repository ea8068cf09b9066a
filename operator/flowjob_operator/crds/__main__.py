"""`python -m flowjob_operator.crds apply`: what the chart's hook runs. `print` shows what would be applied.

Exit status 1: refused, and trying again will not help; 2: the API server did not answer or did not allow it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import urllib3
import yaml
from kubernetes import client, config

from flowjob_operator.crds.applying import Refused, Waiting, apply
from flowjob_operator.crds.cluster import connected
from flowjob_operator.resources.crd import definition
from flowjob_operator.resources.kinds import KINDS

USAGE = "usage: python -m flowjob_operator.crds apply | print\n"


def main(arguments: Sequence[str]) -> int:
    definitions = [definition(kind) for kind in KINDS]
    if list(arguments) == ["print"]:
        sys.stdout.write(yaml.safe_dump_all(definitions, sort_keys=False, allow_unicode=True))
        return 0
    if list(arguments) != ["apply"]:
        sys.stderr.write(USAGE)
        return 64
    try:
        lines = apply(connected(), definitions, Waiting(time.monotonic, time.sleep))
    except Refused as refused:
        sys.stderr.write("nothing was changed:\n")
        sys.stderr.writelines(f"- {reason}\n" for reason in refused.reasons)
        return 1
    except client.ApiException as error:
        sys.stderr.write(f"the API server said {error.status} {error.reason}: {error.body}\n")
        return 2
    except (urllib3.exceptions.HTTPError, TimeoutError, config.ConfigException) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

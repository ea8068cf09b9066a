"""`python -m flowjob_api`: the service of a cluster, as the chart's Deployment starts it.

Settings come from the environment, for the chart to give: docs/rest.md has them. What is served is app.py's."""

from __future__ import annotations

import sys

from flowjob_api.running import main

if __name__ == "__main__":
    sys.exit(main())

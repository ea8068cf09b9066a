"""`python -m flowjob_operator`: what the operator's pod runs.

See flowjob_operator.process.main; nothing else is here."""

import os
import sys

from flowjob_operator.process.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

"""`python -m flowjob`: the `flowjob` command, for where its script is not on the path.

Only the way in; what the command does is cli/main.py's."""

from flowjob.cli.main import main

if __name__ == "__main__":
    main()

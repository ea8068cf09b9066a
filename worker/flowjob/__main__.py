"""`python -m flowjob`: the `flowjob` command, for where its script is not on the path."""

from flowjob.cli.main import main

if __name__ == "__main__":
    main()

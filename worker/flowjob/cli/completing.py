"""`flowjob completion SHELL`: the program that completes commands and options, for a shell that is not there now.

Imported for every command: it must import nothing but typer."""

from __future__ import annotations

from typing import Annotated

import typer

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")

Shell = Annotated[str, typer.Argument(metavar="SHELL", help="One of bash, zsh, fish, powershell.")]


def completion(shell: Shell) -> None:
    """Print the program that makes a shell complete commands and options."""
    if shell not in SHELLS:
        raise typer.BadParameter(f"`{shell}` is none of {', '.join(SHELLS)}", param_hint="SHELL")
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    script = get_completion_script(
        prog_name="flowjob", complete_var="_FLOWJOB_COMPLETE", shell=shell
    )
    typer.echo(script)

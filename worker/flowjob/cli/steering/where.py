"""Whom a command asks: the options that all commands about running jobs share, added to each by one decorator.

Imported for every command: it must import nothing but typer."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

_PANEL = "Where"


@dataclass(frozen=True, slots=True)
class Where:
    """What was said about it. `json`: the answer is for a program."""

    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Of the service. Else FLOWJOB_SERVER; else http://127.0.0.1:8081.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    token_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="With the token that the service wants. Else FLOWJOB_TOKEN.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Certificates to trust besides the system's. Else FLOWJOB_CA_FILE.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    service: Annotated[
        str | None,
        typer.Option(
            metavar="NAMESPACE/NAME",
            help="Of the cluster of the kubeconfig: through a port that kubectl forwards.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of the kubeconfig: asks that cluster, by kubectl.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Instead of that of kubectl.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NAME",
            help="Of the job. Without --server: in the cluster of the kubeconfig.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None
    json: Annotated[
        bool, typer.Option("--json", help="Answer in JSON.", rich_help_panel=_PANEL)
    ] = False

    @property
    def is_said(self) -> bool:
        """Whether a service or cluster was named, on the command line or in the environment."""
        import os

        from flowjob.cli.steering.plugin import is_plugin

        said = (self.server, self.service, self.context, self.kubeconfig, self.namespace)
        return any(said) or bool(os.environ.get("FLOWJOB_SERVER")) or is_plugin()


_OPTIONS = tuple(f.name for f in fields(Where))

_ADDED = [
    inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hint)
    for f, hint in zip(
        fields(Where), typing.get_type_hints(Where, include_extras=True).values(), strict=True
    )
]


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of Where, which it gets as its parameter `where`."""
    hints = typing.get_type_hints(command, include_extras=True)
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "where"]

    def asked(**given: Any) -> None:
        where = Where(**{name: given.pop(name) for name in _OPTIONS})
        command(where=where, **given)

    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
    functools.update_wrapper(asked, command)
    described: Any = asked
    described.__signature__ = inspect.Signature([*named, *_ADDED])
    asked.__annotations__ = {p.name: p.annotation for p in (*named, *_ADDED)}
    del described.__wrapped__
    return asked

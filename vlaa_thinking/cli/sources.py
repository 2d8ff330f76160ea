"""The commands `sources` and `sources show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlaa_thinking.cli.room import told

sources_app = typer.Typer(
    help="""List the sources of a project: licence, size, answer types, and whether they can be reached.

    Example: vlaa-thinking sources --project my-project --offline
    """,
    invoke_without_command=True,
    rich_markup_mode=None,
)
Of = Annotated[
    Path | None,
    typer.Option("--project", metavar="DIR", help="The project's folder; without it, the built-in one."),
]


@sources_app.callback()
def sources(
    ctx: typer.Context,
    project: Of = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nobody whether sets can be reached.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the Hub has to answer.")] = 10.0,
) -> None:
    """List the sources of a project: licence, size, answer types, and whether they can be reached."""
    if ctx.invoked_subcommand is not None:
        return
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, list_sources  # noqa: PLC0415
    from vlaa_thinking.catalogue.display import tell_sources  # noqa: PLC0415

    with told():
        chosen = Project.open(project) if project else Project.default()
        tell_sources(list_sources(chosen, offline=offline, timeout=timeout), Console())


@sources_app.command("show")
def show_rows(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source of generators/1_collect.toml.")],
    n: Annotated[int, typer.Option("--n", min=1, help="So many rows.")] = 5,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to draw their images; NAME.png without it.")
    ] = None,
    project: Of = None,
) -> None:
    """Print the first rows of a source, and draw their images side by side.

    Example: vlaa-thinking sources show counting --n 5
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, show_source  # noqa: PLC0415
    from vlaa_thinking.catalogue.display import tell_sample  # noqa: PLC0415

    with told():
        named = project or (ctx.parent and ctx.parent.params["project"])  # before "show", or after it
        chosen = Project.open(named) if named else Project.default()
        tell_sample(show_source(chosen, name, n=n, sheet=sheet or Path(f"{name}.png")), Console())

"""The command `vlaa-thinking`: each command is one call of the SDK, imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from vlaa_thinking.cli import building, looking, releasing
from vlaa_thinking.cli.cache import cache_app
from vlaa_thinking.cli.sources import sources_app

app = typer.Typer(
    help="Image questions in, a verified reasoning dataset out: the six steps of VLAA-Thinking.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from vlaa_thinking import __version__  # noqa: PLC0415 - as everywhere here: help must be quick

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Image questions in, a verified reasoning dataset out: the six steps of VLAA-Thinking."""


# In the order in which `--help` lists them.
app.command()(building.build)
app.command()(building.merge)
app.command()(building.plan)
app.command()(building.status)
app.command()(building.init)
app.command("import")(building.import_)
app.command()(looking.show)
app.command()(looking.difficulty)
app.command()(looking.score)
app.add_typer(sources_app, name="sources")
app.command()(releasing.audit)
app.command()(releasing.rebuild)
app.command()(releasing.diff)
app.command()(releasing.publish)
app.command()(looking.preview)
app.command()(looking.schema)
app.add_typer(cache_app, name="cache")

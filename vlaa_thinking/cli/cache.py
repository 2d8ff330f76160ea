"""The commands of `cache`: stats, explain, gc."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlaa_thinking.cli.room import Out, told

cache_app = typer.Typer(
    help="""Look into the stored answers: count them, compare two calls, clear out what nobody asks.

    Example: vlaa-thinking cache stats
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
Stored = Annotated[
    Path | None, typer.Option("--cache", metavar="PATH", help="The cache file, in place of OUT.work's.")
]


@cache_app.command()
def stats(out: Out = Path("vlaa-dataset"), cache: Stored = None) -> None:
    """Count the stored answers by model, step and state.

    Example: vlaa-thinking cache stats --out my-dataset
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import cache_stats  # noqa: PLC0415
    from vlaa_thinking.ledger.display import tell_stats  # noqa: PLC0415

    with told():
        tell_stats(cache_stats(out=out, cache=cache), Console())


@cache_app.command()
def explain(
    a: Annotated[
        str, typer.Argument(metavar="A", help="A key's beginning, as `show` prints it, or ROW:STEP.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other call.")],
    out: Out = Path("vlaa-dataset"),
    cache: Stored = None,
) -> None:
    """Say why two calls are not the same one.

    Example: vlaa-thinking cache explain counting/0003:distill counting/0004:distill
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import explain as compare  # noqa: PLC0415
    from vlaa_thinking.ledger.display import tell_differences  # noqa: PLC0415

    with told():
        tell_differences(compare(a, b, out=out, cache=cache), Console())


@cache_app.command()
def gc(
    projects: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR", help="The projects that use the cache; without any, OUT's own."),
    ] = None,
    out: Out = Path("vlaa-dataset"),
    cache: Stored = None,
    profile: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Look at this profile alone; may be given again.")
    ] = None,
    preset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="And at this preset alone.")
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(metavar="N", help="A seed that was built with, too.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False,
) -> None:
    """List the answers that projects no longer ask for; with --yes, delete them.

    A row that meets a call not stored yet keeps every answer to the prompts of that step and the later ones.

    Example: vlaa-thinking cache gc my-project other-project --yes
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, cache_gc  # noqa: PLC0415
    from vlaa_thinking.ledger.display import tell_garbage  # noqa: PLC0415

    with told():
        named = [Project.open(folder) for folder in projects or ()]
        found = cache_gc(
            named,
            out=out,
            cache=cache,
            profiles=profile or (),
            presets=preset or (),
            seeds=seed or (),
            delete=yes,
        )
        tell_garbage(found, Console())

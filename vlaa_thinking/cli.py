"""The command `vlaa-thinking`: each command is one call of the SDK, imported when it runs."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(
    help="Image questions in, a verified reasoning dataset out: the six steps of VLAA-Thinking.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Folder = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="The project's folder; without it, the built-in demo.")
]
Out = Annotated[
    Path, typer.Option(metavar="OUT", help="The dataset folder; OUT.work beside it holds answers and images.")
]


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Image questions in, a verified reasoning dataset out: the six steps of VLAA-Thinking."""
    if version:
        from vlaa_thinking import __version__  # noqa: PLC0415 - as everywhere here: help must be quick

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def build(
    project: Folder = None,
    out: Out = Path("vlaa-dataset"),
    profile: Annotated[str | None, typer.Option(help="A profile of generators/models.toml.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="A preset of the rule files, in the profile's place.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Take so many input rows, in turn from each source.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The seed, in place of the project's.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="An answer cache to use, in place of OUT.work's.")
    ] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="US dollars that this run may spend.")] = None,
    again: Annotated[
        str, typer.Option(help="Ask anew for replies stored as truncated, refused, filtered or empty: a,b.")
    ] = "",
    log: Annotated[
        Path | None, typer.Option(help="A file that gets a line of JSON for each call and each row.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move an OUT away that `build` did not make.")
    ] = False,
) -> None:
    """Run the six steps and write a dataset folder.

    Example: vlaa-thinking build my-project --profile paper --limit 20
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, Run  # noqa: PLC0415
    from vlaa_thinking import build as run_build  # noqa: PLC0415
    from vlaa_thinking.display import Progress, report  # noqa: PLC0415

    with _told(), Progress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else Project.default()
        states = tuple(state.strip() for state in again.split(",") if state.strip())
        run = Run(
            preset=preset, replace=replace, cache=cache, budget=budget, again=states, log=log, watch=watch
        )
        result = run_build(chosen, out=out, profile=profile, limit=limit, seed=seed, run=run)
    report(result, Console())
    raise typer.Exit(result.exit_code)


@app.command()
def plan(
    project: Folder = None,
    out: Out = Path("vlaa-dataset"),
    profile: Annotated[str | None, typer.Option(help="A profile of generators/models.toml.")] = None,
    preset: Annotated[str | None, typer.Option(help="A preset of the rule files.")] = None,
    limit: Annotated[int | None, typer.Option(help="Take so many input rows.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed, in place of the project's.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Really run so many rows first, to know better.")] = 0,
    cache: Annotated[Path | None, typer.Option(help="An answer cache, in place of OUT.work's.")] = None,
) -> None:
    """Say how many calls and dollars a build will take, before it takes them.

    Example: vlaa-thinking plan my-project --profile paper --sample 50
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, Run  # noqa: PLC0415
    from vlaa_thinking import plan as make_plan  # noqa: PLC0415
    from vlaa_thinking.display import foretell  # noqa: PLC0415

    with _told():
        chosen = Project.open(project) if project else Project.default()
        run = Run(preset=preset, cache=cache)
        made = make_plan(chosen, out=out, profile=profile, limit=limit, seed=seed, sample=sample, run=run)
    foretell(made, Console())


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it; made if need be.")],
) -> None:
    """Copy the built-in project, to be changed into your own.

    Example: vlaa-thinking init my-project
    """
    from vlaa_thinking import Project  # noqa: PLC0415

    with _told():
        Project.default().copy(folder)
    typer.echo(
        f"Wrote a project to {folder}: start with generators/README.md, then `vlaa-thinking build {folder}`."
    )


@app.command()
def show(
    row: Annotated[str, typer.Argument(metavar="ID", help="A row's id, as in the column `id`.")],
    out: Out = Path("vlaa-dataset"),
) -> None:
    """Show one row's whole way: rendered prompts, raw replies, verdicts, why.

    Example: vlaa-thinking show counting/0007
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import show as trace  # noqa: PLC0415
    from vlaa_thinking.display import tell  # noqa: PLC0415

    with _told():
        for found in trace(row, out=out):
            tell(found, Console())


cache_app = typer.Typer(
    help="""Look into the stored answers: count them, compare two calls, clear out what nobody asks.

    Example: vlaa-thinking cache stats
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cache_app, name="cache")

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

    with _told():
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

    with _told():
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

    with _told():
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


@contextmanager
def _told() -> Iterator[None]:
    """Turn an error of ours into one sentence and its exit code."""
    from vlaa_thinking.errors import BudgetReached, Interrupted, VlaaError  # noqa: PLC0415

    try:
        yield
    except BudgetReached as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(4) from None
    except Interrupted as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(130) from None
    except VlaaError as exc:
        typer.echo(f"error: {exc}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("stopped; every answer so far is kept: run the same command again to go on", err=True)
        raise typer.Exit(130) from None

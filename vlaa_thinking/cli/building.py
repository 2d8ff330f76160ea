"""Commands that make a dataset: build, merge, plan, status, init, import."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from vlaa_thinking.cli.room import Folder, Out, told


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
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Build this part of the rows alone, for `merge`: 1/4.")
    ] = None,
    work: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Storage that a shard's answers are carried to as they come: s3://..."
        ),
    ] = None,
    engine: Annotated[
        Literal["here", "ray"], typer.Option(help="Who builds: this process, or a Ray cluster, with --work.")
    ] = "here",
    shards: Annotated[int, typer.Option(min=1, help="With --engine ray: into how many parts.")] = 8,
) -> None:
    """Run the six steps and write a dataset folder.

    Example: vlaa-thinking build my-project --profile paper --limit 20
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, Run, Shard, build_on_ray  # noqa: PLC0415
    from vlaa_thinking import build as run_build  # noqa: PLC0415
    from vlaa_thinking.display import Progress, report  # noqa: PLC0415

    with told(), Progress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else Project.default()
        states = tuple(state.strip() for state in again.split(",") if state.strip())
        part = Shard.read(shard) if shard else None
        run = Run(
            preset=preset,
            replace=replace,
            cache=cache,
            budget=budget,
            again=states,
            shard=part,
            work=work,
            log=log,
            watch=watch,
        )
        begin = partial(build_on_ray, shards=shards) if engine == "ray" else run_build
        result = begin(chosen, out=out, profile=profile, limit=limit, seed=seed, run=run)
    report(result, Console())
    raise typer.Exit(result.exit_code)


def merge(
    shards: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SHARD", help="Every shard's folder; by default, those beside OUT."),
    ] = None,
    out: Out = Path("vlaa-dataset"),
    project: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The project's folder; by default, the one the shards were built from."
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where all answers go, in place of OUT.work's cache.")
    ] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="US dollars that this run may spend.")] = None,
    work: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Storage that finished shards are fetched from, to OUT's side."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move an OUT away that this program did not make.")
    ] = False,
) -> None:
    """Make a dataset folder of all the shards of one build: the same bytes as without shards.

    Example: vlaa-thinking merge --out vlaa-dataset
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, Run  # noqa: PLC0415
    from vlaa_thinking import merge as run_merge  # noqa: PLC0415
    from vlaa_thinking.display import AFTER_MERGE, Progress, report  # noqa: PLC0415

    with told(), Progress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else None
        run = Run(cache=cache, budget=budget, work=work, replace=replace, watch=watch)
        result = run_merge(shards or (), out=out, project=chosen, run=run)
    report(result, Console(), again=AFTER_MERGE)
    raise typer.Exit(result.exit_code)


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

    with told():
        chosen = Project.open(project) if project else Project.default()
        run = Run(preset=preset, cache=cache)
        made = make_plan(chosen, out=out, profile=profile, limit=limit, seed=seed, sample=sample, run=run)
    foretell(made, Console())


def status(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The dataset folder that is being built.")
    ] = Path("vlaa-dataset"),
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no provider: as the last build saw it.")
    ] = False,
) -> None:
    """Say how far a build's batches are, and what to do next.

    Example: vlaa-thinking status my-dataset
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import status as ask_status  # noqa: PLC0415
    from vlaa_thinking.batches.display import tell_status  # noqa: PLC0415

    with told():
        found = ask_status(out, offline=offline)
    tell_status(found, Console())


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it; made if need be.")],
) -> None:
    """Copy the built-in project, to be changed into your own.

    Example: vlaa-thinking init my-project
    """
    from vlaa_thinking import Project  # noqa: PLC0415

    with told():
        Project.default().copy(folder)
    typer.echo(
        f"Wrote a project to {folder}: start with generators/README.md, then `vlaa-thinking build {folder}`."
    )


def import_(
    release: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The folder with the released .json files, and images/ beside them."
        ),
    ],
    out: Out = Path("vlaa-dataset"),
    project: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The project that words the prompts; without it, the built-in one."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is in the files and what is wrong; write nothing.")
    ] = False,
    no_images: Annotated[
        bool,
        typer.Option(
            "--no-images", help="Leave the images out, and list in fetch.jsonl where each is to be had."
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move an OUT away that this program did not make.")
    ] = False,
) -> None:
    """Turn the authors' released files into a dataset folder, and name what is wrong with their rows.

    Example: vlaa-thinking import VLAA-Thinking --out vlaa-dataset
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, import_release  # noqa: PLC0415
    from vlaa_thinking.release.display import ImportProgress, tell_import  # noqa: PLC0415

    with told(), ImportProgress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else None
        result = import_release(
            release, out=out, project=chosen, embed=not no_images, check=check, replace=replace, watch=watch
        )
    tell_import(result, Console(), check=check)

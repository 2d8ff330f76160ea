"""The command `vlaa-thinking`: each command is one call of the SDK, imported when it runs."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
Dataset = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A finished dataset folder, or org/name@v1.0.0 on the Hub.")
]


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

    with _told(), Progress(Console(stderr=True)) as watch:
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


@app.command()
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

    with _told(), Progress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else None
        run = Run(cache=cache, budget=budget, work=work, replace=replace, watch=watch)
        result = run_merge(shards or (), out=out, project=chosen, run=run)
    report(result, Console(), again=AFTER_MERGE)
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

    with _told():
        found = ask_status(out, offline=offline)
    tell_status(found, Console())


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


@app.command("import")
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

    with _told(), ImportProgress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else None
        result = import_release(
            release, out=out, project=chosen, embed=not no_images, check=check, replace=replace, watch=watch
        )
    tell_import(result, Console(), check=check)


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


@app.command()
def difficulty(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A finished dataset folder.")],
    project: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The project whose policy is asked; by default, the folder's own."),
    ] = None,
    profile: Annotated[str | None, typer.Option(help="A profile of generators/models.toml.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take so many rows of each split, a random sample.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="An answer cache, in place of the one beside FOLDER.")
    ] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="US dollars that this run may spend.")] = None,
) -> None:
    """Say how hard the rows of a finished folder are for the model that you mean to train.

    It is asked as the profile's `policy`; the pass rates go to FOLDER.work/difficulty.jsonl. A later build with that
    policy fills in the column, and asks nothing again.

    Example: vlaa-thinking difficulty my-dataset --project my-project --limit 200
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project, Run  # noqa: PLC0415
    from vlaa_thinking import difficulty as measure  # noqa: PLC0415
    from vlaa_thinking.display import Progress, tell_difficulty  # noqa: PLC0415

    with _told(), Progress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else None
        run = Run(cache=cache, budget=budget, watch=watch)
        found = measure(folder, chosen, profile=profile, limit=limit, run=run)
    tell_difficulty(found, Console())
    raise typer.Exit(found.exit_code)


@app.command()
def score(
    predictions: Annotated[
        Path,
        typer.Argument(metavar="PREDICTIONS", help="JSON Lines: id, and completion, response or prediction."),
    ],
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The dataset folder that the ids are rows of.")
    ],
    project: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The project whose checks score, if not the built-in one."),
    ] = None,
    frame: Annotated[
        Literal["unit", "thousand", "pixels"], typer.Option(help="What the numbers of predicted boxes are.")
    ] = "unit",
    json: Annotated[
        bool, typer.Option("--json", help="Print the figures and every line's verdict as JSON.")
    ] = False,
) -> None:
    """Score any model's answers by the checks that kept the dataset's rows.

    Example: vlaa-thinking score answers.jsonl --data vlaa-dataset
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project  # noqa: PLC0415
    from vlaa_thinking import score as run_score  # noqa: PLC0415
    from vlaa_thinking.scoring.display import as_json, tell_scores  # noqa: PLC0415

    with _told():
        chosen = Project.open(project) if project else None
        report = run_score(predictions, data=data, project=chosen, frame=frame)
    if json:
        typer.echo(as_json(report))
    else:
        tell_scores(report, Console())


sources_app = typer.Typer(
    help="""List the sources of a project: licence, size, answer types, and whether they can be reached.

    Example: vlaa-thinking sources --project my-project --offline
    """,
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(sources_app, name="sources")

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

    with _told():
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

    with _told():
        named = project or (ctx.parent and ctx.parent.params["project"])  # before "show", or after it
        chosen = Project.open(named) if named else Project.default()
        tell_sample(show_source(chosen, name, n=n, sheet=sheet or Path(f"{name}.png")), Console())


@app.command()
def audit(
    folder: Dataset,
    project: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The project that has the checks, where they are its own."),
    ] = None,
) -> None:
    """Check a finished dataset against its manifest, its schema and its own rules; no key is needed.

    Example: vlaa-thinking audit vlaa-dataset
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project  # noqa: PLC0415
    from vlaa_thinking import audit as run_audit  # noqa: PLC0415
    from vlaa_thinking.auditing.display import tell_audit  # noqa: PLC0415

    with _told():
        found = run_audit(folder, project=Project.open(project) if project else None)
    tell_audit(found, Console())
    raise typer.Exit(found.exit_code)


@app.command()
def rebuild(
    folder: Dataset,
    project: Annotated[
        Path | None,
        typer.Argument(
            metavar="PROJECT", help="Its project's folder; by default, the one it was built from."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Where to make it again; FOLDER.rebuilt without.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="The answer cache, in place of the one it was built with.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move an OUT away that this program did not make.")
    ] = False,
) -> None:
    """Make a finished dataset again from its stored answers, without a call, and compare the two.

    Example: vlaa-thinking rebuild vlaa-dataset
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import Project  # noqa: PLC0415
    from vlaa_thinking import rebuild as make_again  # noqa: PLC0415
    from vlaa_thinking.rebuilding.display import tell_rebuild  # noqa: PLC0415

    with _told():
        chosen = Project.open(project) if project else None
        found = make_again(folder, chosen, out=out, cache=cache, replace=replace)
    tell_rebuild(found, Console())
    raise typer.Exit(found.exit_code)


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="The earlier dataset's folder, or org/name@v1.0.0.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The later one's.")],
    last: Annotated[
        str | None, typer.Option(metavar="VERSION", help="A's version, to say which one follows: 1.0.0.")
    ] = None,
) -> None:
    """Say what is different in another state of a dataset, and which version it should get.

    Example: vlaa-thinking diff org/name@v1.0.0 vlaa-dataset --last 1.0.0
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import diff as run_diff  # noqa: PLC0415
    from vlaa_thinking.differing.display import tell_diff  # noqa: PLC0415

    with _told():
        tell_diff(run_diff(a, b), Console(), last=last)


@app.command()
def publish(
    name: Annotated[str, typer.Argument(metavar="ORG/NAME", help="The dataset on the Hub.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A finished dataset folder.")],
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="The version that it becomes, above the last one: 1.1.0.")
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Make a new dataset public; it is private otherwise.")
    ] = False,
    onto: Annotated[
        str | None,
        typer.Option(metavar="COMMIT", help="Accept main at this commit, which is no version's."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is different from the last version.")
    ] = False,
) -> None:
    """Publish a finished dataset on the Hub as a version: one commit, then its tag.

    After a cut, run the same command again: it goes on where it was. The token is that of HF_TOKEN, or of `hf auth login`.

    Example: vlaa-thinking publish my-org/my-dataset my-dataset --version 1.1.0 --dry-run
    """
    from rich.console import Console  # noqa: PLC0415

    from vlaa_thinking import publish as run_publish  # noqa: PLC0415
    from vlaa_thinking.publishing.display import tell_publication  # noqa: PLC0415

    with _told():
        made = run_publish(
            name,
            folder,
            version=version,
            public=public,
            onto=onto,
            dry_run=dry_run,
            watch=lambda line: typer.echo(line, err=True),
        )
    tell_publication(made, Console())


@app.command()
def preview(
    folder: Dataset,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; FOLDER.html without.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Show at most so many rows.")] = 500,
) -> None:
    """Write one HTML page with a dataset's numbers and a sample of its rows; it opens from disk.

    Example: vlaa-thinking preview vlaa-dataset
    """
    from vlaa_thinking import preview as write_preview  # noqa: PLC0415

    with _told():
        made = write_preview(folder, out=out, rows=rows)
    typer.echo(f"Wrote {made.file}: {made.rows:,} of {made.of:,} rows, {made.bytes / 1e6:.1f} MB.")


@app.command()
def schema(
    config: Annotated[Literal["sft", "rl", "rejected"], typer.Option(help="Whose rows.")] = "sft",
) -> None:
    """Print the JSON Schema of a dataset's rows, column by column.

    Example: vlaa-thinking schema --config rl
    """
    import json  # noqa: PLC0415

    from vlaa_thinking import schema as schema_of  # noqa: PLC0415

    typer.echo(json.dumps(schema_of(config), indent=2))


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
    from vlaa_thinking.errors import BudgetReached, Interrupted, Unfinished, VlaaError  # noqa: PLC0415

    try:
        yield
    except BudgetReached as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(4) from None
    except Interrupted as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(130) from None
    except Unfinished as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(3) from None
    except VlaaError as exc:
        typer.echo(f"error: {exc}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("stopped; every answer so far is kept: run the same command again to go on", err=True)
        raise typer.Exit(130) from None

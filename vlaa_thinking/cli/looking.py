"""Commands that look into a dataset, or hold a model against it: show, difficulty, score, preview, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from vlaa_thinking.cli.room import Dataset, Out, told


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

    with told():
        for found in trace(row, out=out):
            tell(found, Console())


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

    with told(), Progress(Console(stderr=True)) as watch:
        chosen = Project.open(project) if project else None
        run = Run(cache=cache, budget=budget, watch=watch)
        found = measure(folder, chosen, profile=profile, limit=limit, run=run)
    tell_difficulty(found, Console())
    raise typer.Exit(found.exit_code)


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

    with told():
        chosen = Project.open(project) if project else None
        report = run_score(predictions, data=data, project=chosen, frame=frame)
    if json:
        typer.echo(as_json(report))
    else:
        tell_scores(report, Console())


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

    with told():
        made = write_preview(folder, out=out, rows=rows)
    typer.echo(f"Wrote {made.file}: {made.rows:,} of {made.of:,} rows, {made.bytes / 1e6:.1f} MB.")


def schema(
    config: Annotated[Literal["sft", "rl", "rejected"], typer.Option(help="Whose rows.")] = "sft",
) -> None:
    """Print the JSON Schema of a dataset's rows, column by column.

    Example: vlaa-thinking schema --config rl
    """
    import json  # noqa: PLC0415

    from vlaa_thinking import schema as schema_of  # noqa: PLC0415

    typer.echo(json.dumps(schema_of(config), indent=2))

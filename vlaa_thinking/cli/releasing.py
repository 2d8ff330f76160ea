"""Commands around a release: audit, rebuild, diff, publish."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from vlaa_thinking.cli.room import Dataset, told


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

    with told():
        found = run_audit(folder, project=Project.open(project) if project else None)
    tell_audit(found, Console())
    raise typer.Exit(found.exit_code)


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

    with told():
        chosen = Project.open(project) if project else None
        found = make_again(folder, chosen, out=out, cache=cache, replace=replace)
    tell_rebuild(found, Console())
    raise typer.Exit(found.exit_code)


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

    with told():
        tell_diff(run_diff(a, b), Console(), last=last)


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

    with told():
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

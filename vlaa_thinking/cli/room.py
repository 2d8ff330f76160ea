"""What all commands share: arguments that many take, and how an error is told."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

Folder = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="The project's folder; without it, the built-in demo.")
]
Out = Annotated[
    Path, typer.Option(metavar="OUT", help="The dataset folder; OUT.work beside it holds answers and images.")
]
Dataset = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="A finished dataset folder, or org/name@v1.0.0 on the Hub.")
]


@contextmanager
def told() -> Iterator[None]:
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

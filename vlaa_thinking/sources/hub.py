"""Sets on the Hub that `datasets` can read: streamed row by row, images as their original bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError
from vlaa_thinking.sources.archive import MAX_IMAGE_BYTES, TOO_LARGE
from vlaa_thinking.sources.place import on_the_hub, unreachable
from vlaa_thinking.sources.tabular import names
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vlaa_thinking.record import Fault


class Stream:
    """One split of one config of a set, read as it comes over the network."""

    def __init__(
        self,
        hf: str,
        *,
        config: str | None,
        split: str,
        revision: str | None,
        source: str,
        streaming: bool = True,
    ) -> None:
        """Open the stream; raises `SetupError` for a set, config or split that there is not.

        Without `streaming`, the whole split is downloaded first, into the cache of `datasets`.
        """
        import datasets  # noqa: PLC0415 - heavy

        self._hf, self._source = hf, source
        commit = on_the_hub(hf, revision, source).sha
        try:
            found: Any = datasets.load_dataset(hf, config, streaming=streaming, revision=commit)
        except ValueError as exc:  # a config that there is not; its text names those there are
            raise SetupError(f'source "{source}": {hf}: {" ".join(str(exc).split())}') from exc
        except Exception as exc:
            raise unreachable(hf, source, exc) from exc
        if split not in found:
            known = nearest(split, found)
            raise SetupError(f'source "{source}": {hf} has no split "{split}"{known}')
        rows = found[split] if streaming else found[split].to_iterable_dataset()
        self._rows = rows.decode(False)
        splits = found[split].info.splits or {}
        self.count: int = splits[split].num_examples or 0 if split in splits else 0
        """Rows of the split, as its card says; 0: it does not."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns; those in structs with dots."""
        features = self._rows.features
        return list(names(next(iter(self._rows), {}) if features is None else features))

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Give the rows."""
        try:
            yield from self._rows
        except Exception as exc:
            raise unreachable(self._hf, self._source, exc) from exc


def image_bytes(cell: Mapping[str, Any]) -> bytes | Fault | None:
    """Return the bytes of an undecoded image cell, fetched where the cell only says where they are."""
    data, path = cell.get("bytes"), cell.get("path")
    if isinstance(data, bytes):
        return data
    if not isinstance(path, str) or "://" not in path:
        return None
    import fsspec  # noqa: PLC0415 - heavy

    opened: Any = fsspec.open(path, "rb")
    with opened as file:
        found: bytes = file.read(MAX_IMAGE_BYTES + 1)
    return found if len(found) <= MAX_IMAGE_BYTES else TOO_LARGE

"""A finished dataset to train on: its rows, by its folder or its name on the Hub, and which state of it they are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError
from vlaa_thinking.places import MANIFEST, hash_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datasets import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which rows of which state of which dataset."""

    name: str
    """As the Hub knows it, or the last part of the folder's path."""
    on_hub: bool
    config: str
    split: str
    rows: int
    revision: str | None
    """The branch, tag or commit that was asked for; None: the newest, or a folder."""
    commit: str | None
    """On the Hub."""
    manifest: str | None
    """SHA-256 of manifest.json, which holds the hash of every other file; None: there is none."""


def model_card(path: Path, how: str, base: str, origin: Origin, facts: Mapping[str, object]) -> None:
    """Write the card of a model that was trained on `origin`, with its dataset's state; `path` is the file README.md.

    `how` says by what ("SFT", "GRPO"), `base` from which model; `facts` are further lines, those without a value are
    left out. Of a folder only the name is told, never the path.
    """
    from huggingface_hub import ModelCardData  # noqa: PLC0415 - heavy

    on_hub = not Path(base).is_dir()
    named = base if on_hub else Path(base).resolve().name
    head = ModelCardData(
        base_model=base if on_hub else None,
        datasets=[origin.name] if origin.on_hub else None,
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=["trl", how.lower(), "vlaa-thinking"],
    )
    lines = {
        "base model": f"[{named}](https://huggingface.co/{named})" if on_hub else named,
        "dataset": f"[{origin.name}](https://huggingface.co/datasets/{origin.name})"
        if origin.on_hub
        else origin.name,
        "revision": origin.revision,
        "commit": origin.commit,
        "SHA-256 of the dataset's manifest.json": origin.manifest,
        "config and split": f"{origin.config}, {origin.split}: {origin.rows:,} rows",
        **facts,
        "libraries": ", ".join(
            f"{name} {version(name)}" for name in ("trl", "transformers", "torch", "datasets")
        ),
    }
    listed = "\n".join(f"- {name}: {value}" for name, value in lines.items() if value is not None)
    title = path.resolve().parent.name
    path.write_text(
        f"---\n{head.to_yaml()}\n---\n\n# {title}\n\nTrained by {how} with "
        f"[TRL](https://github.com/huggingface/trl).\n\n{listed}\n",
        encoding="utf-8",
    )


def load_rows(
    name: str, config: str, split: str = "train", revision: str | None = None
) -> tuple[Dataset, Origin]:
    """Load a split of a dataset: `name` is a folder, or else org/name on the Hub, there at `revision`.

    Raises `SetupError` where there is none of it.
    """
    from datasets import load_dataset  # noqa: PLC0415 - heavy

    folder = Path(name)
    on_hub = not folder.is_dir()
    if on_hub and (folder.is_absolute() or name.count("/") != 1):
        raise SetupError(f"{name} is neither a folder nor a dataset's name on the Hub (org/name)")
    if revision and not on_hub:
        raise SetupError(f"{name} is a folder, which has one state: leave out the revision {revision}")
    commit = _commit(name, revision) if on_hub else None
    try:
        rows = load_dataset(name, config, split=split, revision=commit or revision)
    except (OSError, ValueError) as exc:
        raise SetupError(f"{name} has no {config}/{split} that loads: {str(exc).splitlines()[0]}") from exc
    origin = Origin(
        name=name if on_hub else folder.resolve().name,
        on_hub=on_hub,
        config=config,
        split=split,
        rows=len(rows),
        revision=revision,
        commit=commit,
        manifest=_manifest_hash(name, commit or revision) if on_hub else _hash(folder / MANIFEST),
    )
    return rows, origin


def load_processor(name: str, **options: Any) -> Any:  # noqa: ANN401 - transformers is untyped
    """Load the processor of a vision-language model; raises `SetupError` for what is none, or lacks a library."""
    from transformers import AutoProcessor  # noqa: PLC0415 - heavy

    try:
        processor: Any = AutoProcessor.from_pretrained(name, **options)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, ImportError) as exc:
        raise SetupError(
            f"the processor of {name} does not load: {' '.join(str(exc).split())[:300]}"
        ) from exc
    if not hasattr(processor, "image_processor"):
        raise SetupError(f"{name} takes no images: name a vision-language model")
    return processor


def checkpoint_of(asked: str | None, out: Path | str) -> str | None:
    """Return the checkpoint folder to go on from: `asked`, or with "last" the newest below `out`; None for none.

    Raises `SetupError` where there is no such folder.
    """
    if asked not in ("last", "true", "True"):
        if asked and not Path(asked).is_dir():
            raise SetupError(f'there is no checkpoint {asked}: name its folder, or say "last"')
        return asked
    found = {int(path.name.rpartition("-")[2]): path for path in Path(out).glob("checkpoint-[0-9]*")}
    if not found:
        raise SetupError(f"{out} holds no checkpoint to go on from: leave out --resume_from_checkpoint")
    return str(found[max(found)])


class Resumable:
    """To stand before a trainer of transformers: it reads a checkpoint's weights as `from_pretrained` does.

    A checkpoint is written under the names of the weights that the Hub knows, which for many vision-language models
    are not those of the model in memory. The trainer of transformers 5.23 takes such weights for missing ones, warns,
    and goes on with the base model's.
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ANN401
        from transformers import PreTrainedModel  # noqa: PLC0415 - heavy

        trainer: Any = super()
        mine: Any = self
        model = mine.model if model is None else model
        if mine.is_fsdp_enabled or not isinstance(
            model, PreTrainedModel
        ):  # in a form of their own; PEFT's adapters
            trainer._load_from_checkpoint(resume_from_checkpoint, model)  # noqa: SLF001 - what is overridden
            return
        saved = type(model).from_pretrained(resume_from_checkpoint, dtype=model.dtype)
        model.load_state_dict(saved.state_dict())

    def _load_best_model(self) -> None:
        mine: Any = self
        if mine.is_deepspeed_enabled:
            trainer: Any = super()
            trainer._load_best_model()  # noqa: SLF001 - what is overridden
        else:
            self._load_from_checkpoint(mine.state.best_model_checkpoint)


def _commit(name: str, revision: str | None) -> str | None:
    """Ask the Hub which commit a revision is; None without a network, where only the local copy can be used."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - heavy
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled  # noqa: PLC0415

    try:
        return HfApi().dataset_info(name, revision=revision).sha
    except HfHubHTTPError as exc:
        at = f" at {revision}" if revision else ""
        raise SetupError(f"the Hub gives no dataset {name}{at}: {str(exc).splitlines()[0]}") from exc
    except (OfflineModeIsEnabled, ConnectionError):
        return None


def _manifest_hash(name: str, revision: str | None) -> str | None:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - heavy
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return _hash(Path(hf_hub_download(name, MANIFEST, repo_type="dataset", revision=revision)))
    except (EntryNotFoundError, LocalEntryNotFoundError):
        return None


def _hash(manifest: Path) -> str | None:
    return hash_file(manifest) if manifest.is_file() else None

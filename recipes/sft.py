# /// script
# requires-python = ">=3.11"
# dependencies = ["vlaa-thinking", "torch>=2.13", "trl>=1.16", "accelerate>=1.15", "peft>=0.21"]
# ///
r"""Supervised fine-tuning of a vision-language model on a dataset's config `sft`, with TRL's SFTTrainer.

    python recipes/sft.py --config recipes/sft.yaml --dataset_name vlaa-dataset \
        --model_name_or_path Qwen/Qwen2.5-VL-3B-Instruct --output_dir vlaa-sft

The dataset is a folder or org/name on the Hub, there at `--dataset_revision`. Every option of TRL's SFTConfig and
ModelConfig works, on the command line or in the file. Beside those:

    --use_peft true                  LoRA on every linear layer (without it: all weights)
    --hardest 25000                  train on the rows of highest perplexity under the base model, as the paper does
    --freeze_vision false            train the vision encoder, too
    --max_length 4096                leave out longer rows, and say how many; nothing is ever cut
    --max_pixels 262144              let the processor shrink images to so many pixels (Qwen's family)
    --box_frame unit                 boxes in another frame than the base model's own (unit, thousand, pixels)
    --resume_from_checkpoint last    go on after a stop

The loss is on the completion alone. On several GPUs: `accelerate launch recipes/sft.py ...`.
"""

# TRL's own types:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from transformers import AutoConfig, PreTrainedModel
from trl import (
    ModelConfig,
    ScriptArguments,
    SFTConfig,
    SFTTrainer,
    TrlParser,
    get_peft_config,
    get_quantization_config,
)

from vlaa_thinking.errors import SetupError, VlaaError
from vlaa_thinking.frames import frame_of, in_frame, seen_by
from vlaa_thinking.loading import (
    Origin,
    Resumable,
    checkpoint_of,
    load_processor,
    load_rows,
    model_card,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset


@dataclass
class Options(ScriptArguments):
    """What TRL's own arguments lack."""

    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit on the Hub."})
    freeze_vision: bool = field(default=True, metadata={"help": "Leave the vision encoder as it is."})
    hardest: int | None = field(
        default=None,
        metadata={"help": "Train on so many rows, those of highest perplexity under the base model."},
    )
    max_pixels: int | None = field(
        default=None, metadata={"help": "The processor's limit on an image's pixels."}
    )
    box_frame: str | None = field(
        default=None,
        metadata={"help": "By default the base model's own.", "choices": ["unit", "thousand", "pixels"]},
    )


class Trainer(Resumable, SFTTrainer):
    """TRL's, whose model card says which state of which dataset it was trained on."""

    base: str
    origin: Origin
    facts: dict[str, object]

    def create_model_card(self, *_: object, **__: object) -> None:
        """Write the card, also beside each checkpoint."""
        if self.is_world_process_zero():
            model_card(Path(self.args.output_dir) / "README.md", "SFT", self.base, self.origin, self.facts)


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Train, and save the model with its card; returns the trainer."""
    parser = TrlParser((Options, SFTConfig, ModelConfig))
    try:
        options, args, base = parser.parse_args_and_config(argv)
    except (OSError, ValueError) as exc:  # the file, or what its values come to
        raise SetupError(str(exc)) from exc
    if not options.dataset_name or not base.model_name_or_path:
        raise SetupError("name a dataset (--dataset_name) and a base model (--model_name_or_path)")
    resume = checkpoint_of(args.resume_from_checkpoint, args.output_dir)
    limits = {"max_pixels": options.max_pixels} if options.max_pixels else {}
    where = {"revision": base.model_revision, "trust_remote_code": args.trust_remote_code}
    processor = load_processor(base.model_name_or_path, **where, **limits)
    frame = options.box_frame or frame_of(
        AutoConfig.from_pretrained(base.model_name_or_path, **where).model_type
    )

    def rows_of(split: str) -> tuple[Dataset, Origin]:
        config = options.dataset_config or "sft"
        rows, origin = load_rows(options.dataset_name, config, split, options.dataset_revision)
        return in_frame(rows, frame, seen_by(processor.image_processor)), origin

    rows, origin = rows_of(options.dataset_train_split)
    longest, args.max_length = args.max_length, None  # TRL would cut where we leave out
    args.model_init_kwargs = {
        "attn_implementation": base.attn_implementation,
        "dtype": base.dtype,
        **where,
        **(args.model_init_kwargs or {}),
    }
    if base.use_peft and base.lora_target_modules is None:
        base.lora_target_modules = "all-linear"
    trainer = Trainer(
        model=base.model_name_or_path,
        args=args,
        train_dataset=rows,
        eval_dataset=rows_of(options.dataset_test_split)[0] if args.eval_strategy != "no" else None,
        processing_class=processor,
        quantization_config=get_quantization_config(base),
        peft_config=get_peft_config(base),
    )
    frozen = freeze_vision(trainer.model) if options.freeze_vision else 0
    rows, too_long = short_enough(trainer, rows, longest) if longest else (rows, 0)
    if options.hardest:
        rows = hardest(trainer, rows, options.hardest, use_known=bool(resume))
    trainer.train_dataset = rows
    trainer.base, trainer.origin = base.model_name_or_path, origin
    trainer.facts = {
        "rows left out as longer than max_length": too_long if longest else None,
        "rows of highest perplexity under the base model": options.hardest and len(rows),
        "boxes": frame,
        "vision encoder": "frozen" if frozen else "trained",
    }
    trainer.accelerator.print(
        f"{len(rows):,} of {origin.rows:,} rows; {too_long:,} were too long; boxes: {frame}"
    )
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_model(args.output_dir)
    trainer.create_model_card()
    if args.push_to_hub:
        trainer.push_to_hub()
    return trainer


def freeze_vision(model: Any) -> int:  # noqa: ANN401 - a model, or PEFT's around it
    """Freeze the vision encoder, adapters in it included; returns how many parameters that are."""
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and part.config is getattr(model.config, "vision_config", None):
            part.requires_grad_(requires_grad=False)
            return sum(parameter.numel() for parameter in part.parameters())
    raise SetupError("no part of the model is its vision encoder: say --freeze_vision false")


def short_enough(trainer: Trainer, rows: Dataset, longest: int) -> tuple[Dataset, int]:
    """Leave out rows of more than `longest` tokens, those of the image included; returns how many these are."""

    def fits(place: int) -> bool:
        return trainer.data_collator([rows[place]])["input_ids"].shape[1] <= longest

    kept = [place for place, fit in each(trainer, rows, fits) if fit]
    if not kept:
        raise SetupError(f"every row is longer than {longest} tokens: raise --max_length")
    return rows.select(kept), len(rows) - len(kept)


def hardest(trainer: Trainer, rows: Dataset, count: int, *, use_known: bool) -> Dataset:
    """Keep the rows whose completion the untrained model finds least likely, in their order.

    The perplexities are written to hardest.json in the output folder; a resumed run reads them there.
    """
    file = Path(trainer.args.output_dir) / "hardest.json"
    if use_known and file.is_file():
        known = json.loads(file.read_text(encoding="utf-8"))
    else:
        model = trainer.model.eval()

        def perplexity(place: int) -> float:
            batch = {
                name: value.to(model.device) for name, value in trainer.data_collator([rows[place]]).items()
            }
            with torch.inference_mode(), trainer.accelerator.autocast():
                return math.exp(min(model(**batch).loss.item(), 700.0))

        known = {rows[place]["id"]: found for place, found in each(trainer, rows, perplexity)}
        model.train()
        if trainer.is_world_process_zero():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(known, indent=1), encoding="utf-8")
    ids = rows["id"][:]
    first = sorted(range(len(ids)), key=lambda place: (-known[ids[place]], ids[place]))[:count]
    return rows.select(sorted(first))


def each(trainer: Trainer, rows: Dataset, work: Any) -> list[tuple[int, Any]]:  # noqa: ANN401 - whatever work gives
    """Do `work` for every row's place, each process its share; returns places and results in order."""
    with trainer.accelerator.split_between_processes(list(range(len(rows)))) as mine:
        done = [(place, work(place)) for place in mine]
    return sorted(gather_object(done))


if __name__ == "__main__":
    try:
        main()
    except VlaaError as exc:
        print(f"sft.py: {exc}", file=sys.stderr)
        sys.exit(2)

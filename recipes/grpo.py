# /// script
# requires-python = ">=3.11"
# dependencies = ["vlaa-thinking", "torch>=2.13", "trl>=1.16", "accelerate>=1.15", "peft>=0.21"]
# ///
r"""GRPO of a vision-language model on a dataset's config `rl`, with TRL's GRPOTrainer and the mixed reward.

    python recipes/grpo.py --config recipes/grpo.yaml --dataset_name vlaa-dataset \
        --model_name_or_path Qwen/Qwen2.5-VL-3B-Instruct --output_dir vlaa-grpo

The dataset is a folder or org/name on the Hub, there at `--dataset_revision`. Every option of TRL's GRPOConfig and
ModelConfig works, on the command line or in the file. Beside those:

    --use_peft true                  LoRA on every linear layer (without it: all weights)
    --use_vllm true                  generate with vLLM, which is installed apart (TRL's extra `vllm`)
    --format_weight 0.1              a share of the reward for the form alone
    --open_scorer org/reward-model   score free answers by a reward model, weighed with --open_beta
    --reward_funcs a.module.reward   further rewards, or others; vlaa_thinking.rewards.mixed_reward is ours
    --max_pixels 262144              let the processor shrink images to so many pixels (Qwen's family)
    --box_frame unit                 boxes in another frame than the base model's own (unit, thousand, pixels)
    --resume_from_checkpoint last    go on after a stop

Logged beside TRL's own curves: mixed_reward/TYPE (mean reward of each answer type), mixed_reward/readable, and what
could not be read, parted into replies cut at the limit (mixed_reward/unreadable_truncated) and replies that ended
by themselves (mixed_reward/unreadable_ended): a score that falls by truncation is no lost skill.
"""

# TRL's own types:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import trl.rewards
from transformers import AutoConfig
from trl import GRPOConfig, GRPOTrainer, ModelConfig, TrlParser, get_peft_config, get_quantization_config
from trl.scripts.grpo import GRPOScriptArguments

from vlaa_thinking.checks.answer import Found
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
from vlaa_thinking.marking import text_of
from vlaa_thinking.rewards import MixedReward, RewardModel, mixed_reward
from vlaa_thinking.rewards.form import read_tagged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datasets import Dataset


@dataclass
class Options(GRPOScriptArguments):
    """What TRL's own arguments lack."""

    dataset_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit on the Hub."})
    format_weight: float = field(
        default=0.0, metadata={"help": "The share of the reward for the form alone."}
    )
    open_scorer: str | None = field(default=None, metadata={"help": "A reward model for free answers."})
    open_beta: float = field(
        default=0.2, metadata={"help": "Its beta: 1 - exp(-beta * (S(answer) - S(gold)))."}
    )
    max_pixels: int | None = field(
        default=None, metadata={"help": "The processor's limit on an image's pixels."}
    )
    box_frame: str | None = field(
        default=None,
        metadata={"help": "By default the base model's own.", "choices": ["unit", "thousand", "pixels"]},
    )


class Reward(MixedReward):
    """The mixed reward, which also tells replies that were cut from replies that went wrong."""

    def __init__(self, *, limit: int, end: set[int], **settings: Any) -> None:  # noqa: ANN401 - MixedReward's
        """Take replies of `limit` tokens whose last is not in `end` for cut."""
        super().__init__(**settings)
        self._limit = limit
        self._end = end

    async def __call__(
        self,
        completions: Sequence[object],
        *,
        completion_ids: Sequence[Sequence[int]],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,  # noqa: ANN401 - the dataset's
    ) -> list[float | None]:
        """Return the rewards, and log how replies ended."""
        if log_metric:
            cut = [len(ids) >= self._limit and ids[-1] not in self._end for ids in completion_ids]
            lost = [not isinstance(read_tagged(text_of(completion)), Found) for completion in completions]
            pairs = list(zip(cut, lost, strict=True))
            log_metric("mixed_reward/unreadable_truncated", fmean(c and u for c, u in pairs))
            log_metric("mixed_reward/unreadable_ended", fmean(u and not c for c, u in pairs))
        return await super().__call__(completions, log_metric=log_metric, **columns)


class Trainer(Resumable, GRPOTrainer):
    """TRL's, whose model card says which state of which dataset it was trained on."""

    base: str
    origin: Origin
    facts: dict[str, object]

    def create_model_card(self, *_: object, **__: object) -> None:
        """Write the card, also beside each checkpoint."""
        if self.is_world_process_zero():
            model_card(Path(self.args.output_dir) / "README.md", "GRPO", self.base, self.origin, self.facts)


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Train, and save the model with its card; returns the trainer."""
    parser = TrlParser((Options, GRPOConfig, ModelConfig))
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
    resized = seen_by(processor.image_processor)

    def rows_of(split: str) -> tuple[Dataset, Origin]:
        config = options.dataset_config or "rl"
        rows, origin = load_rows(options.dataset_name, config, split, options.dataset_revision)
        return in_frame(rows, frame), origin

    ours = partial(
        Reward,
        limit=args.max_completion_length,
        end={processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id},
        frame=frame,
        resized=resized,
        format_weight=options.format_weight,
        scorer=RewardModel.load(options.open_scorer) if options.open_scorer else None,
        beta=options.open_beta,
    )
    rows, origin = rows_of(options.dataset_train_split)
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
        reward_funcs=[
            reward_of(name, ours) for name in options.reward_funcs or ["vlaa_thinking.rewards.mixed_reward"]
        ],
        args=args,
        train_dataset=rows,
        eval_dataset=rows_of(options.dataset_test_split)[0] if args.eval_strategy != "no" else None,
        processing_class=processor,
        quantization_config=get_quantization_config(base),
        peft_config=get_peft_config(base),
    )
    trainer.base, trainer.origin = base.model_name_or_path, origin
    trainer.facts = {
        "rewards": ", ".join(trainer.reward_func_names),
        "weight of the form": options.format_weight or None,
        "scorer of free answers": options.open_scorer,
        "boxes": frame,
    }
    trainer.accelerator.print(f"{origin.rows:,} rows; boxes: {frame}")
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_model(args.output_dir)
    trainer.create_model_card()
    if args.push_to_hub:
        trainer.push_to_hub()
    return trainer


def reward_of(name: str, ours: Callable[[], Reward]) -> Any:  # noqa: ANN401 - any callable that TRL takes
    """Find a reward by its dotted name, or a name of trl.rewards; the mixed reward is made as the options say."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module) if module else trl.rewards, attribute)
    except (ImportError, AttributeError) as exc:
        raise SetupError(
            f'there is no reward "{name}": give module.function, or a name of trl.rewards'
        ) from exc
    return ours() if found is mixed_reward else found


if __name__ == "__main__":
    try:
        main()
    except VlaaError as exc:
        print(f"grpo.py: {exc}", file=sys.stderr)
        sys.exit(2)

# /// script
# requires-python = ">=3.11"
# dependencies = ["vlaa-thinking", "torch>=2.13", "trl>=1.16", "accelerate>=1.15", "peft>=0.21"]
# ///
r"""Accuracy of a vision-language model on a split of a dataset, by answer type and source, with the dataset's own checks.

    python recipes/evaluate.py vlaa-grpo --dataset_name vlaa-dataset --out replies.jsonl
    python recipes/evaluate.py my-model --server http://localhost:8000/v1 --dataset_name org/name --revision v1.0.0

The model is a folder or a name for transformers, or what an OpenAI-compatible server calls it. Each row is asked by its
own prompt, with the image before the question, and answered greedily, or drawn at `--temperature`. `--out` gets a line of JSON a row (id and
completion), which `vlaa-thinking score` reads, too; a server's replies are kept beside it, so that a second run pays
for none of them again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from datasets import Image
from rich.console import Console

from vlaa_thinking import Project
from vlaa_thinking.errors import NoReply, SetupError, VlaaError
from vlaa_thinking.frames import frame_of, in_frame, seen_by
from vlaa_thinking.llm import Image as Sent
from vlaa_thinking.llm import Message, Request
from vlaa_thinking.loading import load_processor, load_rows
from vlaa_thinking.marking import Rules
from vlaa_thinking.record import Fault
from vlaa_thinking.scoring import score_lines
from vlaa_thinking.scoring.display import tell_scores
from vlaa_thinking.scoring.files import COLUMNS, Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datasets import Dataset

    from vlaa_thinking.images import ImageStore
    from vlaa_thinking.scoring import ScoreReport

Reply = tuple[str, str, bool]
"""A row's id, the reply to it, and whether it was cut at --max_new_tokens."""


def main(argv: Sequence[str] | None = None) -> tuple[ScoreReport, float]:
    """Ask the model, print its accuracy; returns the figures, and the share of replies that were cut."""
    options = read_options(argv)
    rows, origin = load_rows(options.dataset_name, options.dataset_config, options.split, options.revision)
    rows = rows.select(range(min(options.limit or len(rows), len(rows))))
    if options.server:
        frame, resized = options.box_frame or "unit", None
        replies = asyncio.run(by_server(in_frame(rows, frame), options))
    else:
        import torch  # noqa: PLC0415 - a server needs neither
        from transformers import AutoModelForImageTextToText  # noqa: PLC0415

        processor = load_processor(options.model)
        device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        loaded: Any = AutoModelForImageTextToText.from_pretrained(options.model, dtype="auto")
        model = loaded.to(device)
        frame = options.box_frame or frame_of(model.config.model_type)
        resized = seen_by(processor.image_processor)
        replies = list(by_transformers(in_frame(rows, frame), model, processor, options))
    if options.out:
        texts = (
            json.dumps({"id": name, "completion": text}, ensure_ascii=False) for name, text, _ in replies
        )
        options.out.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")

    known = {}
    for row in each(rows):
        size = row["image"].size if frame == "pixels" else None
        seen = resized(*size) if resized and size else size
        known[row["id"]] = {name: row[name] for name in COLUMNS if name in row} | {"size": seen}
    lines = [Line(id=name, reply=text, may_be_bare=False) for name, text, _ in replies]
    rules = Rules.of(Project.open(options.project) if options.project else None)
    report = score_lines(lines, known, rules, frame)
    cut = sum(reply[2] for reply in replies) / max(1, len(replies))
    console = Console()
    console.print(
        f"{origin.name}, {origin.config}/{origin.split}, manifest {(origin.manifest or 'none')[:16]}"
    )
    tell_scores(report, console)
    console.print(f"{cut:.1%} of the replies were cut at {options.max_new_tokens} tokens.")
    return report, cut


def each(rows: Dataset) -> Iterable[dict[str, Any]]:
    """Return the rows, which their own annotations take for lists."""
    return cast(Iterable[dict[str, Any]], rows)


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a folder, a name on the Hub, or the server's name for it")
    parser.add_argument("--dataset_name", required=True, help="a dataset folder, or org/name on the Hub")
    parser.add_argument("--revision", help="of the dataset: a branch, tag or commit on the Hub")
    parser.add_argument("--dataset_config", default="rl")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--limit", type=int, help="ask about the first so many rows")
    parser.add_argument("--server", help="the base URL of an OpenAI-compatible server")
    parser.add_argument("--api_key_env", help="the environment variable that holds the server's key")
    parser.add_argument("--device", help="for transformers; cuda where there is one")
    parser.add_argument("--batch", type=int, default=8, help="rows at once")
    parser.add_argument("--max_new_tokens", type=int, default=800, help="the paper's limit in evaluation")
    parser.add_argument("--temperature", type=float, default=0.0, help="draw replies at it; 0: greedily")
    parser.add_argument("--seed", type=int, default=0, help="of the draws by transformers")
    parser.add_argument(
        "--box_frame", choices=("unit", "thousand", "pixels"), help="by default the model's own"
    )
    parser.add_argument("--project", help="the project whose checks decide; the built-in one without")
    parser.add_argument("--out", type=Path, help="a file for the replies")
    return parser.parse_args(argv)


def by_transformers(
    rows: Dataset,
    model: Any,  # noqa: ANN401 - untyped
    processor: Any,  # noqa: ANN401
    options: argparse.Namespace,
) -> Iterator[Reply]:
    """Let transformers generate, some rows at once."""
    import torch  # noqa: PLC0415 - a server needs none

    torch.manual_seed(options.seed)
    how = {"temperature": options.temperature, "top_k": 0, "top_p": 1.0} if options.temperature else {}
    model.eval()
    for start in range(0, len(rows), options.batch):
        some = rows.select(range(start, min(start + options.batch, len(rows))))
        texts = [
            processor.apply_chat_template(shown(prompt), add_generation_prompt=True, tokenize=False)
            for prompt in some["prompt"]
        ]
        inputs = processor(
            text=texts,
            images=[[image.convert("RGB")] for image in some["image"]],
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,  # the template has written them
        ).to(model.device)
        with torch.inference_mode():
            ids = model.generate(**inputs, do_sample=bool(how), max_new_tokens=options.max_new_tokens, **how)
        ids = ids[:, inputs["input_ids"].shape[1] :]
        replies = processor.batch_decode(ids, skip_special_tokens=True)
        ends = model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        whole = [bool(ends & set(row)) for row in ids.tolist()]
        for name, text, ended in zip(some["id"], replies, whole, strict=True):
            yield name, text, not ended


def shown(prompt: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Put the image before the question, as in training."""
    turns = [
        {"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in prompt
    ]
    turns[-1]["content"].insert(0, {"type": "image"})
    return turns


async def by_server(rows: Dataset, options: argparse.Namespace) -> list[Reply]:
    """Ask a server about all rows, as many at once as it bears; a row that gets no reply is left out, and counted."""
    from vlaa_thinking.cache import Cache  # noqa: PLC0415 - transformers needs none of these
    from vlaa_thinking.counts import Counts  # noqa: PLC0415
    from vlaa_thinking.images import ImageStore  # noqa: PLC0415
    from vlaa_thinking.players import Table, players  # noqa: PLC0415
    from vlaa_thinking.settings import Model  # noqa: PLC0415

    model = Model(api="openai", model=options.model, base_url=options.server, api_key_env=options.api_key_env)
    settings = replace(Project.default().settings(), roles={"policy": "server"}, models={"server": model})
    beside = options.out or Path("replies.jsonl")
    async with AsyncExitStack() as stack:
        cache = stack.enter_context(closing(Cache(beside.with_suffix(".answers.sqlite"))))
        images = ImageStore(beside.with_suffix(".images"), cache)
        table = Table(cache=cache, counts=Counts(), budget=None, stack=stack)
        llm = players(settings, None, table)["policy"].llm

        async def ask(row: dict[str, Any]) -> Reply | None:
            try:
                completion = await llm(request_of(row, images, options))
            except NoReply as exc:
                print(f"{row['id']}: {exc}", file=sys.stderr)
                return None
            thought = f"<think>{completion.reasoning}</think>\n" if completion.reasoning else ""
            return row["id"], thought + completion.text, completion.state == "truncated"

        few = rows.select_columns(["id", "prompt", "image"]).cast_column("image", Image(decode=False))
        replies = await asyncio.gather(*(ask(row) for row in each(few)))
    found = [reply for reply in replies if reply is not None]
    if not found:
        raise SetupError(f"{options.server} gave no reply to any row")
    if len(found) < len(replies):
        print(
            f"{len(replies) - len(found)} rows got no reply: run again, the others are kept", file=sys.stderr
        )
    return found


def request_of(row: dict[str, Any], images: ImageStore, options: argparse.Namespace) -> Request:
    """Ask a row's own prompt about its image, greedily."""
    picture = images.add(row["image"]["bytes"])
    if isinstance(picture, Fault):
        raise SetupError(f"the row {row['id']} cannot be shown: {picture.reason}")
    sent = Sent(
        sha256=picture.sha256,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        length=picture.bytes,
        path=images.path(picture.sha256),
        turned=picture.turned,
    )
    turns = [Message(role=turn["role"], text=turn["content"]) for turn in row["prompt"]]
    turns[-1] = replace(turns[-1], images=(sent,))
    params = {
        "model": options.model,
        "max_tokens": options.max_new_tokens,
        "temperature": options.temperature,
    }
    return Request(messages=tuple(turns), params=params, role="policy", step="evaluate")


if __name__ == "__main__":
    try:
        main()
    except VlaaError as exc:
        print(f"evaluate.py: {exc}", file=sys.stderr)
        sys.exit(2)

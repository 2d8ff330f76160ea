"""The four calls of a row through a distilabel pipeline: a task a step, each in a process of its own.

A batch is as large as the calls that may be in flight. All four tasks have a batch under way at once, so at a long
latency more calls are in flight than that; the table tells how many. Requests and raw replies are not kept in the rows.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ |= {"TELEMETRY_ENABLED": "false", "DISTILABEL_LOG_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.modules.setdefault("requests", ModuleType("requests"))  # imported, but not declared, and not used here

from clients import Clock, Others, Spec, picture, thought_and_answer, turns  # noqa: E402

CLOCK = Clock()

import datasets  # noqa: E402
from distilabel.models import OpenAILLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps import LoadDataFromDicts  # noqa: E402
from distilabel.steps.tasks import Task  # noqa: E402

Row = dict[str, Any]

COLUMNS = {
    "caption": ["id", "image", "notes"],
    "distill": ["caption", "question"],
    "rewrite": ["text"],
    "verify": ["question", "gold", "prediction"],
}
"""What each step reads of a row; `id` is named where nothing else would be missed."""


class Ask(Task):
    """One chat call: the prompt filled in from a row, the reply in a column of the step's name."""

    step: str
    prompts: dict[str, Any]
    data: str

    @property
    def inputs(self) -> list[str]:
        """The columns that are read."""
        return COLUMNS[self.step]

    @property
    def outputs(self) -> list[str]:
        """The columns that are written."""
        more = {"distill": ["text", "prediction"], "verify": ["done_at"]}
        return [self.step, *more.get(self.step, []), "model_name"]

    def format_input(self, input: Row) -> list[Row]:  # noqa: A002 - distilabel's name
        """Put the turns together."""
        values = {name: str(input[name]) for name in self.inputs}
        shown = picture(self.data, input["image"]) if self.step == "caption" else None
        return turns(self.prompts[self.step], values, shown)

    def format_output(self, output: str | None, input: Row | None = None) -> Row:  # noqa: A002
        """Keep the reply."""
        del input
        row: Row = {self.step: output}
        if self.step == "distill":
            row["text"], row["prediction"] = thought_and_answer(output or "")
        elif self.step == "verify":
            row["done_at"] = time.monotonic()
        return row


def main() -> None:
    """Put the pipeline together, and run it."""
    spec = Spec.read(sys.argv[1])
    os.environ["DISTILABEL_CACHE_DIR"] = f"{spec.out}/cache"
    datasets.disable_progress_bars()
    others = Others(spec)
    with Pipeline(name="bench") as pipeline:
        rows = [row | {"gold": row["answer"]} for row in others.rows]
        last: Any = LoadDataFromDicts(name="load", data=rows, batch_size=spec.in_flight)
        for step, prompt in others.prompts.items():
            params = prompt["params"]
            llm = OpenAILLM(
                model="bench",
                base_url=spec.url,
                api_key="none",
                timeout=int(spec.timeout),
                generation_kwargs={
                    "max_new_tokens": params["max_tokens"],
                    "temperature": params["temperature"],
                },
            )
            last = last >> Ask(
                name=step,
                llm=llm,
                step=step,
                prompts=others.prompts,
                data=spec.data,
                input_batch_size=spec.in_flight,
                add_raw_input=False,
                add_raw_output=False,
            )
    for row in pipeline.run(use_cache=False)["default"]["train"]:
        said = [row[step] for step in others.prompts]
        if all(said):
            others.end(row["id"], *said, at=row["done_at"])
    print(json.dumps(others.figures(CLOCK)))


if __name__ == "__main__":
    main()

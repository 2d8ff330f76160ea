"""The four calls of a row through bespokelabs-curator: one `LLM` a step, each over the whole set."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ |= {"TELEMETRY_ENABLED": "false", "CURATOR_VIEWER": "0", "OPENAI_API_KEY": "none"}
sys.path.insert(0, str(Path(__file__).parents[1]))

from clients import Clock, Others, Spec, filled, thought_and_answer
from words import count_words

Row = dict[str, Any]


def main() -> None:
    """Run the steps one after the other."""
    spec = Spec.read(sys.argv[1])
    os.environ["CURATOR_CACHE_DIR"] = spec.out
    clock = Clock()
    count_words()
    from bespokelabs import curator  # noqa: PLC0415

    others = Others(spec)
    images = Path(spec.data).resolve() / "images"

    class Step(curator.LLM):
        """Ask one question a row, and keep the reply in a column of the step's name."""

        step: str

        def prompt(self, row: Row) -> Any:
            prompt = others.prompts[self.step]
            text = filled(prompt["user"], row)
            if self.step == "caption":  # beside an image it takes no system prompt
                text = f"{prompt['system']}\n\n{text}"
                return text, curator.types.Image(url=str(images / row["image"]))
            return text

        def parse(self, row: Row, response: str) -> Row:
            more: Row = {self.step: response}
            if self.step == "distill":
                more["text"], more["prediction"] = thought_and_answer(response)
            return row | more

    rows: Any = [row | {"gold": row["answer"]} for row in others.rows]
    for step, prompt in others.prompts.items():
        llm = Step(
            model_name="bench",
            backend="openai",
            system_prompt=None if step == "caption" else prompt["system"],
            generation_params={k: v for k, v in prompt["params"].items() if k != "model"},
            backend_params={
                "base_url": spec.url,
                "max_requests_per_minute": 1_000_000,
                "max_tokens_per_minute": 1_000_000_000,
                "max_concurrent_requests": spec.in_flight,
            },
        )
        llm.step = step
        rows = llm(rows).dataset
    for row in rows:
        others.end(row["id"], *(row[step] for step in others.prompts))
    print(json.dumps(others.figures(clock)))


if __name__ == "__main__":
    main()

"""The four calls of a row through data-designer: a column each, over the rows as a seed dataset."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "HF_HUB_OFFLINE": "1"}
sys.path.insert(0, str(Path(__file__).parents[1]))

from clients import Clock, Others, Spec, picture, thought_and_answer
from words import count_words


def main() -> None:
    """Describe the columns, and have them filled."""
    spec = Spec.read(sys.argv[1])
    os.environ["DATA_DESIGNER_HOME"] = f"{spec.out}/home"
    clock = Clock()
    count_words()
    import data_designer.config as dd  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415
    from data_designer.interface import DataDesigner  # noqa: PLC0415

    others = Others(spec)
    seed = pd.DataFrame([row | {"picture": picture(spec.data, row["image"])} for row in others.rows])

    def model(step: str) -> Any:
        params = {k: v for k, v in others.prompts[step]["params"].items() if k != "model"}
        return dd.ModelConfig(
            alias=step,
            model="bench",
            provider="loopback",
            skip_health_check=True,
            inference_parameters=dd.ChatCompletionInferenceParams(
                max_parallel_requests=spec.in_flight, timeout=int(spec.timeout), **params
            ),
        )

    builder = dd.DataDesignerConfigBuilder(model_configs=[model(step) for step in others.prompts])
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=seed), sampling_strategy=dd.SamplingStrategy.ORDERED)

    def add(step: str, **columns: str) -> None:
        shown = dd.ImageContext(
            column_name="picture", data_type=dd.ModalityDataType.BASE64, image_format=dd.ImageFormat.PNG
        )
        builder.add_column(
            dd.LLMTextColumnConfig(
                name=step,
                model_alias=step,
                system_prompt=others.prompts[step]["system"],
                prompt=_jinja(others.prompts[step]["user"], columns),
                multi_modal_context=[shown] if step == "caption" else None,
            )
        )

    @dd.custom_column_generator(required_columns=["distill"], side_effect_columns=["prediction"])
    async def thought(row: dict[str, Any]) -> dict[str, Any]:
        row["thought"], row["prediction"] = thought_and_answer(row["distill"])
        return row

    add("caption", notes="notes")
    add("distill", caption="caption", question="question")
    builder.add_column(dd.CustomColumnConfig(name="thought", generator_function=thought))
    add("rewrite", text="thought")
    add("verify", question="question", gold="answer", prediction="prediction")

    provider = dd.ModelProvider(name="loopback", endpoint=spec.url, provider_type="openai", api_key="none")
    designer = DataDesigner(artifact_path=f"{spec.out}/artifacts", model_providers=[provider])
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None))

    def written(_: object) -> None:
        others.first_done = others.first_done or time.monotonic()

    made = designer.create(
        builder, num_records=len(others.rows), dataset_name="bench", on_batch_complete=written
    )
    figures = clock.read()
    for row in made.load_dataset().to_dict("records"):
        others.end(row["id"], *(row[step] for step in others.prompts), at=others.first_done)
    print(json.dumps(others.figures(clock) | figures))


def _jinja(text: str, columns: dict[str, str]) -> str:
    """Refer to columns; what names none goes out as it stands."""

    def put(found: re.Match[str]) -> str:
        name = columns.get(found[1])
        return f"{{{{ {name} }}}}" if name else f"{{% raw %}}{found[0]}{{% endraw %}}"

    return re.sub(r"\{\{(\w+)\}\}", put, text)


if __name__ == "__main__":
    main()

"""The four calls of a row through datatrove's inference runner.

The runner's own socket client for plain HTTP on localhost waits for a connection to be closed that the server keeps
open. So the server is named in another way, and datatrove goes the way that it goes to every other host: through
`openai`. Nothing is to be waited for until the server is ready.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["OPENAI_API_KEY"] = "none"
sys.path.insert(0, str(Path(__file__).parents[1]))

from clients import Clock, Others, Spec

if TYPE_CHECKING:
    from collections.abc import Callable


async def _ready(*_: object, **__: object) -> None:
    return


def main() -> None:
    """Run one document a row, with a rollout that walks it through its calls."""
    spec = Spec.read(sys.argv[1])
    clock = Clock()
    from datatrove.data import Document  # noqa: PLC0415
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner  # noqa: PLC0415
    from datatrove.pipeline.inference.servers.endpoint_server import EndpointServer  # noqa: PLC0415
    from datatrove.pipeline.writers import JsonlWriter  # noqa: PLC0415

    EndpointServer._wait_until_ready = _ready
    others = Others(spec)

    async def rollout(document: Any, generate: Callable[..., Any]) -> str:
        async def call(body: dict[str, Any]) -> str:
            text: str = (await generate(body)).text
            return text

        await others.walk(document.metadata["row"], call)
        return "done"

    config = InferenceConfig(
        server_type="endpoint",
        model_name_or_path="bench",
        endpoint_url=spec.url.replace("127.0.0.1", "127.1"),
        max_concurrent_generations=spec.in_flight,
        max_concurrent_documents=spec.in_flight,
        request_timeout=spec.timeout,
        server_ready_delay_sec=0.1,
    )
    rows = (Document(text=row["question"], id=row["id"], metadata={"row": row}) for row in others.rows)
    InferenceRunner(rollout, config, JsonlWriter(spec.out)).run(rows, 0, 1)
    print(json.dumps(others.figures(clock)))


if __name__ == "__main__":
    main()

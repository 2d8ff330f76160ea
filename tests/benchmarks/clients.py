"""The clients that are measured, each in a process of its own: `python clients.py NAME '{"url": ...}'`.

    project     this package: `build`, everything counted
    aiohttp     the limit: bodies built for each call, nothing checked, nothing kept
    openai      what is written first: `chat.completions.create`, a semaphore, `gather`
    writer      no calls: the plain pyarrow writer over the rows of a finished dataset, and its answers read once

The last line on stdout is a JSON object of figures.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from server import STEPS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vlaa_thinking.counts import Counts

REPO = Path(__file__).parents[2]

POLL = 0.01
"""Seconds between two looks for the first finished row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What one client is to do."""

    rows: int
    in_flight: int
    data: str
    """The folder of rows.jsonl and images/."""
    project: str
    """The project's folder; prompts.json lies in it."""
    out: str
    url: str = ""
    timeout: float = 60.0
    core: int | None = None
    """The core to stay on."""
    warm: bool = False
    """Whether to build three rows first, so that imports are not in the figures."""
    profile: str | None = None
    """Where to write a cProfile of the build."""

    @classmethod
    def read(cls, given: str) -> Self:
        """Read it from the command line, and go to its core."""
        spec = cls(**json.loads(given))
        if spec.core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {spec.core})
        return spec

    def given(self) -> list[dict[str, str]]:
        """Read the rows."""
        with (Path(self.data) / "rows.jsonl").open() as lines:
            return [json.loads(line) for line, _ in zip(lines, range(self.rows), strict=False)]

    def prompts(self) -> dict[str, dict[str, Any]]:
        """Read the prompts of the four steps, in their order, as the project sends them."""
        said: dict[str, dict[str, Any]] = json.loads((Path(self.project) / "prompts.json").read_text())
        return {step: said[step] for step in STEPS}


class Clock:
    """Processor and wall time between its making and `read`."""

    def __init__(self) -> None:
        """Start."""
        self.wall = time.monotonic()
        self._cpu = cpu_seconds()

    def read(self) -> dict[str, float]:
        """Tell seconds since, the processor time of this process from its start, and its peak memory."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "wall": time.monotonic() - self.wall,
            "cpu": cpu_seconds() - self._cpu,
            "cpu_all": cpu_seconds(),
            "peak_mb": peak / (1e6 if sys.platform == "darwin" else 1e3),
        }


def cpu_seconds() -> float:
    """Sum up the processor time of this process and of those it waited for."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(s.ru_utime + s.ru_stime for s in spent)


# --- this project ---------------------------------------------------------------------------------


def project(spec: Spec) -> dict[str, Any]:
    """Build the dataset through the public SDK; CPU is everything, from the first import to the last file."""
    from vlaa_thinking import Project, Run, build  # noqa: PLC0415

    opened = Project.open(spec.project)
    decoded = _count_decoding() if spec.warm else [0]
    if spec.warm:
        out = Path(spec.out)
        cache = out.with_name(out.name + ".work") / "answers.sqlite"
        build(opened, out=out.with_name("warm"), limit=3, run=Run(cache=cache))
    watch = _FirstRow()
    decoded[0] = 0
    clock = Clock()
    if spec.profile:
        import cProfile  # noqa: PLC0415

        profiler = cProfile.Profile()
        profiler.enable()
        result = build(opened, out=spec.out, limit=spec.rows, run=Run(watch=watch))
        profiler.disable()
        profiler.dump_stats(spec.profile)
    else:
        result = build(opened, out=spec.out, limit=spec.rows, run=Run(watch=watch))
    return clock.read() | {
        "first_done": watch.at,
        "kept": result.kept,
        "dropped": result.funnel.dropped,
        "failed": result.funnel.failed,
        "calls": result.calls,
        "spared": result.spared,
        "changed": result.changed,
        "decoded": decoded[0],
    }


class _FirstRow:
    """Note when the first row's way through the models is over."""

    def __init__(self) -> None:
        self.at: float | None = None
        self._counts: Counts | None = None

    def __call__(self, counts: Counts) -> None:
        """Look ten times a second, as `build` calls; the first time, begin to look more often."""
        if self._counts is None:
            self._counts = counts
            self._look()

    def _look(self) -> None:
        if self._counts is not None and self._counts.rows_ended:
            self.at = time.monotonic()
        else:
            with suppress(RuntimeError):  # no loop: the build is over
                asyncio.get_running_loop().call_later(POLL, self._look)


def _count_decoding() -> list[int]:
    """Count from now on how many images Pillow decodes."""
    from PIL import ImageFile  # noqa: PLC0415

    count = [0]
    load = ImageFile.ImageFile.load

    def counted(self: ImageFile.ImageFile) -> Any:
        count[0] += 1
        return load(self)

    cast(Any, ImageFile.ImageFile).load = counted
    return count


# --- the others -----------------------------------------------------------------------------------


def filled(text: str, values: dict[str, str]) -> str:
    """Put values into a prompt."""
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    return text


def picture(data: str, image: str) -> str:
    """Read an image file of the rows in `data`, as base64."""
    return base64.b64encode((Path(data) / "images" / image).read_bytes()).decode()


def turns(prompt: dict[str, Any], values: dict[str, str], image: str | None = None) -> list[dict[str, Any]]:
    """Put the turns of a call together, with the base64 of an image or without one."""
    content: Any = filled(prompt["user"], values)
    if image is not None:
        url = f"data:image/png;base64,{image}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": content}]
    return [{"role": "system", "content": prompt["system"]}, {"role": "user", "content": content}]


def thought_and_answer(said: str) -> tuple[str, str]:
    """Take a distilled reply apart."""
    found = re.fullmatch(r"<think>(.*)</think>.*<answer>(.*)</answer>", said, re.DOTALL)
    return (found[1], found[2]) if found else ("", said)


class Others:
    """The four dependent calls of a row, as a script would make them."""

    def __init__(self, spec: Spec) -> None:
        """Begin with no row done."""
        self.spec = spec
        self.prompts = spec.prompts()
        self.rows = spec.given()
        self.first_done: float | None = None
        self.done = 0
        self.wrong = 0

    async def walk(self, row: dict[str, str], call: Callable[[dict[str, Any]], Awaitable[str]]) -> None:
        """Make the four calls of one row, each by `call`."""

        def ask(step: str, values: dict[str, str], image: str | None = None) -> Awaitable[str]:
            prompt = self.prompts[step]
            return call({**prompt["params"], "messages": turns(prompt, values, image)})

        caption = await ask("caption", {"notes": row["notes"]}, picture(self.spec.data, row["image"]))
        said = await ask("distill", {"caption": caption, "question": row["question"]})
        thought, answer = thought_and_answer(said)
        text = await ask("rewrite", {"text": thought})
        verdict = await ask(
            "verify", {"question": row["question"], "gold": row["answer"], "prediction": answer}
        )
        self.end(row["id"], caption, thought, text, verdict)

    def end(self, row: str, *said: str, at: float | None = None) -> None:
        """Note that a row has all its replies, at the time `at`, by default now."""
        self.wrong += not all(row in text for text in said)
        self.done += 1
        at = time.monotonic() if at is None else at
        if self.first_done is None or at < self.first_done:
            self.first_done = at

    def figures(self, clock: Clock) -> dict[str, Any]:
        """Tell what came of it."""
        return clock.read() | {
            "first_done": self.first_done,
            "kept": self.done,
            "failed": self.spec.rows - self.done,
            "wrong": self.wrong,
        }


async def raw_aiohttp(spec: Spec) -> dict[str, Any]:
    """Let `in_flight` workers take row after row."""
    import aiohttp  # noqa: PLC0415

    clock = Clock()
    url = f"{spec.url}/chat/completions"
    headers = {"Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=spec.timeout)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def call(body: dict[str, Any]) -> str:
            async with session.post(url, data=json.dumps(body).encode(), headers=headers) as response:
                said = json.loads(await response.read())
            text: str = said["choices"][0]["message"]["content"]
            return text

        others = Others(spec)
        rows = iter(others.rows)

        async def worker() -> None:
            for row in rows:
                await others.walk(row, call)

        await asyncio.gather(*(worker() for _ in range(spec.in_flight)))
    return others.figures(clock)


async def plain_openai(spec: Spec) -> dict[str, Any]:
    """Gather all rows at once behind a semaphore, with the client's own retries."""
    import openai  # noqa: PLC0415

    clock = Clock()
    free = asyncio.Semaphore(spec.in_flight)
    async with openai.AsyncOpenAI(base_url=spec.url, api_key="none", timeout=spec.timeout) as client:
        create = cast(Any, client.chat.completions.create)

        async def call(body: dict[str, Any]) -> str:
            async with free:
                said = await create(**body)
            return said.choices[0].message.content or ""

        others = Others(spec)
        await asyncio.gather(*(others.walk(row, call) for row in others.rows), return_exceptions=True)
        return others.figures(clock)


# --- what a cached build is held against ----------------------------------------------------------


def writer(spec: Spec) -> dict[str, Any]:
    """Write the rows of the finished dataset with pyarrow alone, then read every cached answer once."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    from vlaa_thinking.cache import Cache, key_of  # noqa: PLC0415

    rows: list[dict[str, Any]] = []
    schema = None
    for path in sorted(Path(spec.out).rglob("*.parquet")):
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        names = [field.name for field in schema if field.name != "image"]
        rows += file.read(columns=names).to_pylist()
    images = Path(spec.data) / "images"
    target = Path(spec.out).with_name("plain.parquet")
    clock = Clock()
    with pq.ParquetWriter(target, schema) as out:
        for at in range(0, len(rows), 100):
            batch = [
                row | {"image": {"bytes": (images / file).read_bytes(), "path": file}}
                for row in rows[at : at + 100]
                for file in (f"{row['source_id']}.png",)
            ]
            out.write_table(pa.Table.from_pylist(batch, schema=schema))
    written = clock.read()
    target.unlink()

    cache = Cache(Path(spec.out).with_name(Path(spec.out).name + ".work") / "answers.sqlite")
    asked = asked_of(cache)
    clock = Clock()
    for question in asked:
        if cache.get(key_of(question)) is None:
            raise AssertionError("an answer is not found by its own key")
    read = clock.read()
    cache.close()
    return {"rows": len(rows), "answers": len(asked), "write": written["wall"], "read": read["wall"]}


def asked_of(cache: Any) -> list[bytes]:
    """List the canonical requests of all answers in a cache."""
    import zlib  # noqa: PLC0415

    return [zlib.decompress(asked) for (asked,) in cache._db.execute("SELECT asked FROM answers")]


def main() -> None:
    """Be the client that the command line names."""
    name, given = sys.argv[1:]
    spec = Spec.read(given)
    sys.path.insert(0, str(REPO))
    match name:
        case "project":
            figures = project(spec)
        case "aiohttp":
            figures = asyncio.run(raw_aiohttp(spec))
        case "openai":
            figures = asyncio.run(plain_openai(spec))
        case "writer":
            figures = writer(spec)
        case _:
            raise SystemExit(f"no such client: {name}")
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()

"""The README's code blocks, run in order in one empty folder, as a newcomer would.

What a block is follows from the words after its fence:

- `python`, `sh`, `bash`, `console` are run; in `console`, the lines that begin with `$ `;
- `file=NAME` writes the block to NAME instead, whatever its language; `csv`, `toml` and `jsonl` always say so;
- `install` marks a block that sets up an environment: `.ci/run` runs those;
- `text` and `mermaid` are only read.

http://localhost:8000/v1 stands for the reader's own OpenAI-compatible server: here, a small one is in its place, and
OPENAI_BASE_URL names it.
"""

import csv
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RUN = ("python", "sh", "bash", "console")
WRITTEN = ("csv", "toml", "jsonl")
READ = ("text", "mermaid")
READERS_SERVER = "http://localhost:8000/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced code block."""

    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def file(self) -> str | None:
        """The name that the block is written to, if it says one."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)


def fenced(text: str) -> Iterator[Block]:
    """Find the fenced code blocks, also those that are indented within a list."""
    fence = re.compile(
        r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)``` *$", re.MULTILINE | re.DOTALL
    )
    for found in fence.finditer(text):
        language, *words = found["info"].split() or [""]
        body = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        yield Block(
            line=text.count("\n", 0, found.start()) + 1, language=language, words=tuple(words), text=body
        )


def readme() -> list[Block]:
    assert README.is_file(), "there is no README.md"
    return list(fenced(README.read_text(encoding="utf-8")))


# --- what stands behind http://localhost:8000/v1 ---------------------------------------------------


def systems() -> dict[str, str]:
    """Read what each step's prompt tells its model, by the step's name."""
    files = [*ROOT.glob("generators/[0-9]_*.md"), *ROOT.glob("verifiers/[0-9]_*.md")]
    section = re.compile(r"^# System\n(.*?)^# User$", re.MULTILINE | re.DOTALL)
    found = {path.stem.partition("_")[2]: section.search(path.read_text(encoding="utf-8")) for path in files}
    return {step: " ".join(match[1].split()) for step, match in found.items() if match}


def answers(blocks: list[Block]) -> dict[str, str]:
    """Read the questions of the README's own CSV files, with their answers."""
    tables = [csv.DictReader(block.text.splitlines()) for block in blocks if block.language == "csv"]
    return {
        row["question"]: row["answer"]
        for table in tables
        for row in table
        if {"question", "answer"} <= row.keys()
    }


class Models:
    """Four able models at one address: which one is asked shows in the prompt."""

    def __init__(self, blocks: list[Block]) -> None:
        self.systems = systems()
        self.answers = answers(blocks)

    def __call__(self, request: dict[str, Any], /) -> Reply:
        """Answer as the model of the step that asks."""
        told = texts(request, "system")
        asked = texts(request, "user")
        step = next((name for name, system in self.systems.items() if system in " ".join(told.split())), None)
        match step:
            case "caption":
                return "A plain picture. Everything that the question asks for can be seen."
            case "distill":
                answer = next(
                    (answer for question, answer in self.answers.items() if question in asked), "unknown"
                )
                thought = f"The image shows everything that is needed. I look at each part in turn and find {answer}."
                return {
                    "content": f"It can be seen.\n<answer>{answer}</answer>",
                    "reasoning_content": thought,
                }
            case "rewrite":
                return asked.replace("caption", "image").replace("description", "image")
            case "verify":
                return '{"reason": "It says the same.", "verdict": "yes"}'
            case _:
                return "Hello."  # for instance a trial call


def texts(request: dict[str, Any], role: str) -> str:
    """Join the texts of a request's messages of one role."""
    parts: list[str] = []
    for message in request["messages"]:
        content = message["content"]
        if message["role"] == role:
            parts += [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return "\n".join(parts)


# --- the tests ------------------------------------------------------------------------------------


def test_every_block_is_run_or_written_or_marked_as_text() -> None:
    for block in readme():
        where = f"README.md:{block.line}"
        assert block.language in {*RUN, *WRITTEN, *READ}, (
            f"{where}: mark it as one of {(*RUN, *WRITTEN, *READ)}"
        )
        assert block.language not in WRITTEN or block.file, (
            f"{where}: a {block.language} block says file=NAME"
        )


def test_there_is_one_line_to_install_and_build_and_one_to_test() -> None:
    marked = [block for block in readme() if "install" in block.words]
    tests = [block for block in marked if "test" in block.words]
    first = [block for block in marked if "test" not in block.words]
    assert len(tests) == 1, "README.md needs exactly one block ```sh install test"
    assert len(tests[0].text.strip().splitlines()) == 1, "the command that runs the tests is one line"
    assert first, "README.md needs a block ```sh install"
    told = [block for block in readme() if block.language not in READ]
    assert told[0] == first[0], "what to type first comes first in README.md"


def test_the_blocks_work_in_order(tmp_path: Path) -> None:
    blocks = [block for block in readme() if "install" not in block.words and block.language not in READ]
    assert [block for block in blocks if block.language == "python"], (
        "README.md has no ```python block to run"
    )
    assert [block for block in blocks if block.language in {"sh", "bash", "console"}], (
        "README.md has no ```sh block to run"
    )
    with ChatServer(Models(blocks)) as server:
        environment = {
            **os.environ,
            "OPENAI_API_KEY": "unused",
            "OPENAI_BASE_URL": server.url,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        for block in blocks:
            text = block.text.replace(READERS_SERVER, server.url)
            if block.file:
                assert not Path(block.file).is_absolute()
                (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / block.file).write_text(text, encoding="utf-8")
            else:
                work(block, text, tmp_path, environment)


def work(block: Block, text: str, folder: Path, environment: dict[str, str]) -> None:
    """Run a block that must succeed."""
    if block.language == "console":
        text = "\n".join(line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))
    python = block.language == "python"
    script = (
        folder / f".readme_line_{block.line}.{'py' if python else 'sh'}"
    )  # a file, as a reader would have one
    script.write_text(text, encoding="utf-8")
    command = [sys.executable, script.name] if python else ["bash", "-euo", "pipefail", script.name]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (
        f"README.md:{block.line} ended with {done.returncode}:\n{block.text}\n{done.stdout}"
    )


def test_toml_blocks_can_be_read() -> None:
    for block in readme():
        if block.language == "toml":
            assert tomllib.loads(block.text), f"README.md:{block.line}"


def test_the_prompts_tell_the_steps_apart() -> None:
    assert systems().keys() == {"caption", "distill", "rewrite", "verify"}


@pytest.mark.parametrize("indent", ["", "   "])
def test_blocks_are_found_with_their_words(indent: str) -> None:
    lines = [
        "Text.",
        "",
        "```csv file=a.csv",
        "x,y",
        "",
        "1,2",
        "```",
        "",
        "```sh install test",
        "true",
        "```",
        "",
    ]
    one, other = fenced("\n".join(f"{indent}{line}" if line else line for line in lines))
    assert (one.line, one.language, one.file, one.text) == (3, "csv", "a.csv", "x,y\n\n1,2\n")
    assert (other.line, other.words, other.file, other.text) == (9, ("install", "test"), None, "true\n")

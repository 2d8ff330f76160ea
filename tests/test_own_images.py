"""Somebody's own images and questions, from `vlaa-thinking init` to `load_dataset`, by the command line alone."""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
from chat_server import ChatServer, Reply
from datasets import load_dataset
from PIL import Image
from sums_project import picture, said_to

import vlaa_thinking

QUESTIONS = [
    ("shelf.PNG", "How many books lie on the shelf?", "4", ""),
    ("shelf.PNG", "Which colour has the lowest book?", "B", "red|green|blue"),
    ("my photos/desk 1.jpg", "What is the price of the lamp?", "$12.50", ""),
    ("my photos/desk 1.jpg", 'What does the note say, "exactly"?', "buy milk, bread", ""),
    ("scan.tif", "How many lines has the page?", "31", ""),
]
SAID = {
    "How many books": "4",
    "Which colour": "B) green",
    "What is the price": "12.50 dollars",
    "What does the note": "Buy milk, bread",
    "How many lines": "31",
}


def answer(body: dict[str, Any]) -> Reply:
    """Play a model of the kind that thinks in a field of its own."""
    text = said_to(body)
    system = body["messages"][0]["content"]
    if "describe images" in system:
        return "A room with things in it."
    for question, said in SAID.items():
        if question in text:
            doubt = "Wait. " if "lines" in question else ""
            thought = f"{doubt}I look at the thing and see what it is."
            return {"content": f"So:\n<answer>{said}</answer>", "reasoning_content": thought}
    raise LookupError(text)


def command(*words: object, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    environment["MY_KEY"] = "sk-mine-and-nobody-elses"
    done = subprocess.run(
        [sys.executable, "-m", "vlaa_thinking", *map(str, words)],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def draw(folder: Path) -> dict[str, bytes]:
    tif = io.BytesIO()
    Image.new("L", (30, 40), 200).save(tif, "TIFF")
    drawn = {
        "shelf.PNG": picture(1, mode="RGBA"),
        "my photos/desk 1.jpg": picture(2, form="JPEG"),
        "scan.tif": tif.getvalue(),
    }
    for name, data in drawn.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return drawn


def rows_in(folder: Path, config: str) -> list[dict[str, Any]]:
    """Load a split as a user does; its images stay as they are stored."""
    split: Any = load_dataset(str(folder), config, split="train")
    return list(split.cast_column("image", datasets.Image(decode=False)))


def test_own_images_become_a_dataset(tmp_path: Path) -> None:
    images = draw(tmp_path / "pictures")
    with (tmp_path / "questions.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "what", "right", "options"])
        table.writerows(QUESTIONS)
    assert "Wrote a project" in command("init", "my project", cwd=tmp_path)
    project = tmp_path / "my project"
    collect = project / "generators/1_collect.toml"
    collect.write_text(
        collect.read_text(encoding="utf-8")
        + """
[source.mine]
reader = "table"
license = "CC-BY-4.0"
path = "../questions.csv"
image_root = "../pictures"
image = "file"
question = "what"
answer = "right"
choices = "options"
""",
        encoding="utf-8",
    )
    models = project / "generators/models.toml"
    with ChatServer(answer) as server:
        models.write_text(
            models.read_text(encoding="utf-8")
            + f"""
[profile.mine]
captioner = "local"
reasoner = "local"
rewriter = "local"
judge = "local"
sources = ["mine"]

[model.local]
api = "openai"
base_url = "{server.url}"
api_key_env = "MY_KEY"
model = "local-vlm"
""",
            encoding="utf-8",
        )
        said = command("build", project, "--profile", "mine", "--out", "set", cwd=tmp_path)
        assert re.search(r"5 rows in = 5 kept \+ 0 dropped \+ 0 failed", said), said
        assert 'load_dataset("' in said
        assert server.calls == 3 + 5
        again = command("build", project, "--profile", "mine", "--out", "set", cwd=tmp_path)
        assert "0 calls made" in again
        assert server.calls == 3 + 5
        assert {headers["authorization"] for headers in server.headers} == {"Bearer sk-mine-and-nobody-elses"}

    loaded = {config: rows_in(tmp_path / "set", config) for config in ("sft", "rl")}
    rows = [row for config in loaded.values() for row in config]
    assert {row["question"]: (row["answer_type"], row["answer"]) for row in rows} == {
        "How many books lie on the shelf?": ("digit", "4"),
        "Which colour has the lowest book?": ("choice", "B"),
        "What is the price of the lamp?": ("math", "$12.50"),
        'What does the note say, "exactly"?': ("open", "buy milk, bread"),
        "How many lines has the page?": ("digit", "31"),
    }
    (doubted,) = loaded["rl"]
    assert doubted["question"] == "How many lines has the page?"
    assert {row["image"]["bytes"] for row in rows} == set(images.values())
    assert {row["source_license"] for row in rows} == {"CC-BY-4.0"}
    assert {row["completion"][0]["role"] for row in loaded["sft"]} == {"assistant"}
    default: Any = load_dataset(str(tmp_path / "set"), split="train")
    assert len(default) == 4
    assert {row["image"].size for row in default} == {(24, 16)}  # decoded
    shown = command("show", doubted["id"], "--out", "set", cwd=tmp_path)
    assert "Wait. I look at the thing" in shown
    assert "distill: reasoner local" in shown

"""A project of sums on drawn images, and a server's hook that plays its four models, each by its own name."""

import hashlib
import io
import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chat_server import Reply
from PIL import Image, ImageDraw

from vlaa_thinking import Project

ROLES = {"captioner": "eye", "reasoner": "mind", "rewriter": "pen", "judge": "ear"}
"""Who plays which role, as the server hears it."""

QUICK = {"tries": 2, "timeout": 20, "max_concurrency": 8}
"""How every model is treated, unless a test says otherwise."""


def picture(number: int, *, form: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (24, 16)) -> bytes:
    """Draw an image that no other number gives, and none that could be taken for another: six columns of colours."""
    image = Image.new(mode, size)
    draw = ImageDraw.Draw(image)
    rng = random.Random(number)
    for column in range(6):
        colour = tuple(rng.randrange(40, 240) for _ in image.getbands())
        left, width = size[0] * column // 6, size[0] // 6
        draw.rectangle((left, rng.randrange(size[1] // 2), left + width, size[1] - 2), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def toml(values: Mapping[str, Any]) -> str:
    """Write a flat TOML table; tables in it are written inline."""
    return "\n".join(f"{key} = {_toml(value)}" for key, value in values.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def sum_row(number: int, *, image: int) -> dict[str, str]:
    """Ask one sum; what the reasoner does with it depends on its number (see `reason`)."""
    a, b = number, number + 7
    row = {"id": f"{number:04d}", "image": f"{image}.png", "question": f"What is {a} plus {b}?"}
    if number % 12 == 6:
        return row | {"question": f"{row['question']} Is that odd or even?", "answer": "it is an odd one"}
    return row | {"answer": str(a + b)}


def sums_project(
    folder: Path,
    url: str,
    *,
    count: int = 12,
    per_image: int = 3,
    **treatment: Any,
) -> Project:
    """Make a project of `count` sums on `count / per_image` images, whose models are on the server at `url`."""
    project = Project.default().copy(folder)
    (folder / "images").mkdir()
    for number in range(-(-count // per_image)):
        (folder / "images" / f"{number}.png").write_bytes(picture(number))
    write_rows(folder, [sum_row(n, image=n // per_image) for n in range(count)])
    source = {
        "reader": "table",
        "license": "CC0-1.0",
        "path": "rows.jsonl",
        "id": "id",
        "image_root": "images",
    }
    (folder / "generators/1_collect.toml").write_text(f"[source.sums]\n{toml(source)}\n")
    write_models(folder, url, **treatment)
    return project


def write_rows(folder: Path, rows: list[dict[str, str]]) -> None:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_models(folder: Path, url: str, *, sources: tuple[str, ...] = ("sums",), **treatment: Any) -> None:
    """Write models.toml: one profile, one model for each role."""
    parts = [f'default = "mine"\n[profile.mine]\n{toml({**ROLES, "sources": list(sources)})}']
    for name in ROLES.values():
        model = {"api": "openai", "base_url": url, "model": name, **QUICK, **treatment}
        parts.append(f"[model.{name}]\n{toml(model)}")
    (folder / "generators/models.toml").write_text("\n\n".join(parts) + "\n")


def set_key(project: Project, file: str, key: str, value: Any) -> None:
    """Change the first line of a project's file that sets a key."""
    path = project.root / file
    text, count = re.subn(
        rf"(?m)^{key} = .*$", lambda _: f"{key} = {_toml(value)}", path.read_text(), count=1
    )
    assert count, f"{file} sets no {key}"
    path.write_text(text)


def said_to(body: Mapping[str, Any]) -> str:
    """Put together the text that a request sends as its last turn."""
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def image_urls(body: Mapping[str, Any]) -> list[str]:
    """List the images that a request sends, as data URLs."""
    contents = [m["content"] for m in body["messages"] if not isinstance(m["content"], str)]
    return [part["image_url"]["url"] for parts in contents for part in parts if part["type"] == "image_url"]


def number_in(body: Mapping[str, Any]) -> int:
    """Tell which sum a request is about."""
    found = re.search(r"What is (\d+) plus", said_to(body))
    assert found, said_to(body)
    return int(found[1])


def solve(body: dict[str, Any]) -> Reply:
    """Play all four models."""
    match body["model"]:
        case "eye":
            (url,) = image_urls(body)
            return f"A box, and a mark that reads {hashlib.sha256(url.encode()).hexdigest()[:12]}."
        case "mind":
            return reason(number_in(body), str(body.get("max_tokens")))
        case "pen":
            text = said_to(body).replace("The caption tells me so. ", "")
            return text.replace("By the caption, ", "Clearly it is so, and so on, and on. " * 3)
        case _:
            return json.dumps({"reason": "It says the same.", "verdict": "yes"})


def reason(a: int, max_tokens: str) -> Reply:
    """Reason by the number: in each twelve there is doubt, caption talk, a wrong, a cut and a free answer."""
    b = a + 7
    thought, said = f"{a} and {b} make {a + b}.", str(a + b)
    match a % 12:
        case 1:
            thought = f"Wait, is it {a} and {b}? {thought}"
        case 2:
            thought = f"The caption tells me so. {thought}"
        case 3:
            said = str(a + b + 1)
        case 4:
            thought = f"By the caption, {thought}"
        case 5:
            return {"content": f"<think>{a} and, at {max_tokens} tokens,", "finish_reason": "length"}
        case 6:
            said = "The sum is odd."
    return f"<think>{thought}</think>\nSo it is.\n<answer>{said}</answer>"


def files(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, by its name."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def rows_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the rows of every split, images as their bytes, straight from the Parquet files."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    splits: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(out.rglob("*.parquet")):
        name = f"{path.parent.name}/{path.name.partition('-')[0]}"
        splits.setdefault(name, []).extend(pq.ParquetFile(path).read().to_pylist())
    return splits

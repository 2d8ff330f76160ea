"""The work that is measured: rows with a picture each, and the project that builds a dataset of them."""

from __future__ import annotations

import json
import random
import struct
import zlib
from typing import TYPE_CHECKING, Any

from server import GOLD, STEPS

from vlaa_thinking import Project

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 256
"""Pixels from left to right of every picture; its height follows from how many bytes it is to have."""

PROMPTS = {
    "caption": "generators/2_caption.md",
    "distill": "generators/3_distill.md",
    "rewrite": "generators/4_rewrite.md",
    "verify": "verifiers/5_verify.md",
}


def name(number: int) -> str:
    """Write a row's number as it stands in questions, replies and file names."""
    return f"{number:06d}"


def png(number: int, size: int) -> bytes:
    """Draw an RGB picture of about `size` bytes that no other number gives: two bits of noise in each channel.

    Some four bytes to decode for each byte of the file, as in a photograph with calm areas or a drawing.
    """
    draw = random.Random(number)
    stride = 3 * WIDTH
    height = max(8, 7 * size // (2 * stride))
    length = height * stride
    mask = int.from_bytes(b"\x03" * length)
    shade = int.from_bytes(bytes((4 * draw.randrange(64),)) * length)
    pixels = (int.from_bytes(draw.randbytes(length)) & mask | shade).to_bytes(length)
    lines = b"".join(b"\0" + pixels[at : at + stride] for at in range(0, length, stride))
    packer = zlib.compressobj(level=1, strategy=zlib.Z_HUFFMAN_ONLY)
    packed = packer.compress(lines) + packer.flush()
    head = struct.pack(">IIBBBBB", WIDTH, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_rows(folder: Path, count: int, *, least: int = 20_000, most: int = 60_000) -> Path:
    """Write `count` rows, each with a picture of its own; what is there already is used again."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        file = images / f"{name(number)}.png"
        if not file.exists():
            size = random.Random(-1 - number).randint(least, most)
            file.write_bytes(png(number, size))
        lines.append(json.dumps(row(number)))
    (folder / "rows.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


def row(number: int) -> dict[str, str]:
    """Ask one question; the notes carry the row's number into the captioner's prompt."""
    return {
        "id": name(number),
        "image": f"{name(number)}.png",
        "question": f"Question on row {name(number)}: what stands on the stove?",
        "answer": GOLD,
        "notes": f"A kitchen; row {name(number)} of a collection.",
    }


def make_project(folder: Path, data: Path, url: str, **treatment: Any) -> Path:
    """Copy the default project, point it at `data` and the server, and let each prompt name its step.

    One model plays all roles, so that its `max_concurrency` is what is in flight in all. Beside the project lies
    `prompts.json`, for clients that are not this project.
    """
    project = Project.default().copy(folder)
    for step in STEPS:
        file = folder / PROMPTS[step]
        file.write_text(file.read_text().replace("# System\n", f"# System\nThis is bench-{step}.\n", 1))
    source = {
        "reader": "table",
        "license": "CC0-1.0",
        "path": str(data / "rows.jsonl"),
        "image_root": str(data / "images"),
        "id": "id",
        "notes": "notes",
        "answer_type": "open",
    }
    (folder / "generators/1_collect.toml").write_text(f"[source.bench]\n{_toml(source)}")
    roles = dict.fromkeys(("captioner", "reasoner", "rewriter", "judge"), "bench")
    model = {"api": "openai", "base_url": url, "model": "bench", "identity": "bench", **treatment}
    (folder / "generators/models.toml").write_text(
        f'default = "bench"\n[profile.bench]\n{_toml({**roles, "sources": ["bench"]})}\n[model.bench]\n{_toml(model)}'
    )
    settings = project.settings()
    prompts = {
        step: {"system": p.system, "user": p.user, "params": {"model": "bench", **p.head.params}}
        for step, p in settings.prompts.items()
    }
    (folder / "prompts.json").write_text(json.dumps(prompts))
    return folder


def _toml(values: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

"""The dataset folder: what `datasets` and a viewer find in it, and what is in its files."""

import hashlib
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Image as ImageFeature
from datasets import load_dataset, load_dataset_builder
from PIL import Image

from vlaa_thinking import Project, build
from vlaa_thinking.cache import Cache
from vlaa_thinking.dataset import CONFIGS, Split, columns, write_splits
from vlaa_thinking.images import ImageStore
from vlaa_thinking.places import hash_file
from vlaa_thinking.record import AnswerType, Gold, Outcome, Picture, Record, Score
from vlaa_thinking.spool import Decision, Spool

ROOT = Path(__file__).parents[1]
SETTINGS = Project.default().settings()
WHAT = ["image", "question", "answer", "answer_type"]
WAY = [
    "choices", "answers", "answer_share", "boxes", "caption", "caption_signals", "teacher_reasoning", "teacher_response",
    "found_by", "teacher_pass_rate", "policy_pass_rate",
]  # fmt: skip
VERDICT = [
    "score", "score_by", "score_reason", "judge_score", "cues", "cue_starts", "word_gap", "word_edits",
]  # fmt: skip
ORIGIN = ["id", "source", "source_id", "source_license", "models", "decided_by", "image_sha256"]
COLUMNS = {
    "sft": [*WHAT, "reasoning", "prompt", "completion", *WAY, *VERDICT, "why", *ORIGIN],
    "rl": [*WHAT, "reasoning", "prompt", *WAY, *VERDICT, "why", *ORIGIN],
    "rejected": [
        *WHAT, "step", "code", "reason", "evidence", "reasoning", "prompt", *WAY, *VERDICT, *ORIGIN,
    ],
}  # fmt: skip


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the demo, large enough for a validation split."""
    out = tmp_path_factory.mktemp("demo") / "set"
    build(Project.default(), out=out, limit=200)
    return out


def load(*what: str, **how: Any) -> Any:
    """Load as anybody does; which of four classes comes back is known by `how`, and by no type checker."""
    return load_dataset(*what, **how)


def describe(folder: Path, config: str) -> Any:
    return load_dataset_builder(str(folder), config).info


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return read


def sizes(folder: Path) -> dict[tuple[str, str], int]:
    """Read the number of rows of each split from the manifest."""
    splits = manifest(folder)["splits"]
    return {(config, part): s["rows"] for config, parts in splits.items() for part, s in parts.items()}


def rows(folder: Path, config: str) -> list[dict[str, Any]]:
    """Load a config as anybody does, images as they are stored."""
    loaded = load(str(folder), config)
    parts = [loaded[part].cast_column("image", ImageFeature(decode=False)) for part in loaded]
    return [row for part in parts for row in part]


# --- records made by hand ---------------------------------------------------------------------------


class Desk:
    """A spool and an image store, filled by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = Cache(folder / "answers.sqlite")
        self.images = ImageStore(folder / "images", self.cache)
        self.spool = Spool(folder / "spool.sqlite", fresh=True)
        self.decisions: list[Decision] = []

    def add(self, record: Record, config: str | None, part: str = "train") -> Record:
        self.spool.put(record, 0)
        if config:
            self.decisions.append(Decision(key=record.key, config=config, part=part, code="", why="so"))
        return record

    def write(self, name: str, **limits: int) -> list[Split]:
        self.spool.decide(self.decisions)
        return write_splits(self.folder / name, self.spool, self.images, SETTINGS, **limits)

    def close(self) -> None:
        self.spool.close()
        self.cache.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(Desk(tmp_path)) as made:
        yield made


def image_bytes(form: str = "PNG", side: int = 8, seed: int = 0) -> bytes:
    """Encode noise, which no compression makes smaller."""
    noise = Image.frombytes("RGB", (side, side), random.Random(seed).randbytes(side * side * 3))
    buffer = io.BytesIO()
    noise.save(buffer, form)
    return buffer.getvalue()


def record(desk: Desk, name: str = "1", *, image: bytes | None = None, **changes: Any) -> Record:
    picture = desk.images.add(image_bytes() if image is None else image)
    assert isinstance(picture, Picture)
    made = Record(
        id=f"made/{name}",
        source="made",
        source_id=name,
        source_license="CC0-1.0",
        question="How many?",
        gold=Gold(answer_type="digit", answer="3"),
        picture=picture,
        caption="Three things.",
        teacher_reasoning="One, two, three.",
        teacher_response="<answer>3</answer>",
        prediction="3",
        reasoning="One, two, three.",
        answer_text="3",
        word_gap=0,
        score=Score(value=1.0, reason="the same number"),
        models=(("captioner", "m"), ("reasoner", "m")),
    )
    return replace(made, **changes)


# --- loading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS)
def test_each_config_loads_with_its_splits(demo: Path, config: str) -> None:
    loaded = load(str(demo), config)
    assert {(config, part): len(split) for part, split in loaded.items()} == {
        (c, part): count for (c, part), count in sizes(demo).items() if c == config
    }


def test_the_demo_has_every_split() -> None:
    assert CONFIGS == {"sft": ("train", "validation"), "rl": ("train", "validation"), "rejected": ("train",)}


def test_every_split_of_the_demo_has_rows(demo: Path) -> None:
    assert set(sizes(demo)) == {(config, part) for config, parts in CONFIGS.items() for part in parts}
    assert min(sizes(demo).values()) > 0


def test_sft_is_what_loads_without_a_name(demo: Path) -> None:
    assert load(str(demo))["train"].column_names == COLUMNS["sft"]


@pytest.mark.parametrize("config", CONFIGS)
def test_streaming_gives_the_same_rows(demo: Path, config: str) -> None:
    streamed = load(str(demo), config, split="train", streaming=True)
    first = next(iter(streamed))
    assert isinstance(first["image"], Image.Image)
    assert first["id"] == load(str(demo), config, split="train")[0]["id"]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_builder_knows_columns_and_sizes_before_it_loads(demo: Path, config: str) -> None:
    info = describe(demo, config)
    assert list(info.features) == COLUMNS[config]
    here = {part: count for (c, part), count in sizes(demo).items() if c == config}
    assert {part: split.num_examples for part, split in info.splits.items()} == here
    files = [demo / name for s in manifest(demo)["splits"][config].values() for name in s["files"]]
    assert info.download_size == sum(file.stat().st_size for file in files)
    assert info.dataset_size == sum(split.num_bytes for split in info.splits.values()) > 0


# --- columns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS)
def test_columns_stand_in_the_order_of_a_viewer(demo: Path, config: str) -> None:
    for file in (demo / config).iterdir():
        assert pq.read_schema(file).names == COLUMNS[config]


def test_no_column_has_a_name_that_a_trainer_takes_for_its_own() -> None:
    trap = {"prompts", "completions", "completion_ids", "messages", "images", "text", "label"}
    assert not trap & {name for names in COLUMNS.values() for name in names}


def test_answers_choices_and_boxes_are_null_where_the_type_has_none(demo: Path) -> None:
    has = {
        (row["answer_type"], name)
        for config in ("sft", "rl")
        for row in rows(demo, config)
        for name in ("answers", "choices", "boxes")
        if row[name] is not None
    }
    assert has == {("choice", "choices"), ("iou", "boxes"), ("open", "answers")}


def test_a_prompt_asks_and_a_completion_thinks_and_answers(demo: Path) -> None:
    for row in rows(demo, "sft"):
        system, user = row["prompt"]
        assert (system["role"], user["role"]) == ("system", "user")
        assert user["content"].startswith(row["question"])
        assert SETTINGS.verifiers[row["answer_type"]].instruction in user["content"]
        (turn,) = row["completion"]
        answer = row["answer"] if row["answer_type"] != "open" else turn["content"].split("<answer>")[1][:-9]
        assert turn == {
            "role": "assistant",
            "content": f"<think>{row['reasoning']}</think>\n<answer>{answer}</answer>",
        }


def test_the_options_of_a_choice_stand_in_its_prompt(demo: Path) -> None:
    (row, *_) = [r for r in rows(demo, "sft") if r["answer_type"] == "choice"]
    options = [f"{letter}) {text}" for letter, text in zip("ABCDEF", row["choices"], strict=False)]
    assert "\n".join(options) in row["prompt"][1]["content"]
    assert row["answer"] in "ABCDEF"[: len(options)]


def test_a_rejected_row_says_where_why_and_by_what(demo: Path) -> None:
    for row in rows(demo, "rejected"):
        assert row["step"] in ("collect", "caption", "distill", "rewrite", "verify", "curate")
        assert row["reason"].startswith((f"{row['step']}: ", f"{row['step']}, by "))
        assert row["code"]


def test_every_row_names_the_hashes_of_the_files_that_decided(demo: Path) -> None:
    whole = manifest(demo)["project"]
    for row in rows(demo, "rl"):
        assert row["decided_by"]["cues"] == whole["verifiers/cues.toml"][:16]
        assert row["decided_by"]["verifier"] == whole[f"verifiers/{row['answer_type']}.toml"][:16]


def test_cues_are_unknown_where_the_teacher_never_replied(desk: Desk) -> None:
    refused = Outcome(status="dropped", step="caption", code="refused", reason="caption: refused")
    silent = record(desk, caption=None, teacher_reasoning=None, teacher_response=None, outcome=refused)
    assert columns(silent, None, SETTINGS)["cues"] is None
    assert columns(record(desk), None, SETTINGS)["cues"] == []


def test_text_comes_back_as_it_was(desk: Desk) -> None:
    text = "a\x00b\tc\r\nd 🤔 עברית \u2028 \ufeff | <b> {{x}} " + "x" * 70_000
    desk.add(record(desk, question=text, reasoning=text), "sft")
    desk.write("set")
    (row,) = load(str(desk.folder / "set"), data_files="sft/*.parquet")["train"]
    assert row["question"] == row["reasoning"] == text


@pytest.mark.parametrize("kind", ["digit", "choice", "math", "iou", "open"])
def test_a_row_of_each_type_has_a_verifier_hash_and_an_instruction(desk: Desk, kind: AnswerType) -> None:
    row = columns(record(desk, gold=Gold(answer_type=kind, answer="B")), "so", SETTINGS)
    assert row["prompt"][1]["content"].endswith(SETTINGS.verifiers[kind].instruction)
    assert row["decided_by"]["verifier"] == SETTINGS.hashes[f"verifiers/{kind}.toml"][:16]


# --- images -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS)
def test_images_are_the_original_bytes(demo: Path, config: str) -> None:
    for row in rows(demo, config):
        assert hashlib.sha256(row["image"]["bytes"]).hexdigest() == row["image_sha256"]
        assert row["image"]["path"] == f"{row['image_sha256'][:16]}.png"


@pytest.mark.parametrize(
    ("form", "suffix"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("TIFF", "tif"), ("BMP", "bmp")]
)
def test_an_image_of_any_format_is_embedded_untouched(desk: Desk, form: str, suffix: str) -> None:
    data = image_bytes(form)
    desk.add(record(desk, image=data), "sft")
    desk.write("set")
    loaded = load(str(desk.folder / "set"), data_files="sft/*.parquet")["train"]
    assert loaded[0]["image"].format == form
    stored = loaded.cast_column("image", ImageFeature(decode=False))[0]["image"]
    assert stored == {"bytes": data, "path": f"{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"}


def test_a_row_that_was_dropped_for_its_image_has_none(desk: Desk) -> None:
    broken = replace(record(desk), picture=None).drop("collect", "broken_image", "collect: broken", "cut")
    desk.add(broken, None)
    desk.write("set")
    (row,) = load(str(desk.folder / "set"), data_files="rejected/*.parquet")["train"]
    assert row["image"] is None
    assert row["image_sha256"] is None
    assert (row["code"], row["evidence"]) == ("broken_image", "cut")


# --- Parquet ----------------------------------------------------------------------------------------


def parquet_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_images_are_stored_plain_and_text_compressed(demo: Path) -> None:
    for file in parquet_files(demo):
        group = pq.read_metadata(file).row_group(0)
        chunks = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
        image = chunks.pop("image.bytes")
        assert image.compression == "UNCOMPRESSED"
        assert "RLE_DICTIONARY" not in image.encodings
        assert chunks.pop("image.path").compression == "UNCOMPRESSED"
        assert {chunk.compression for chunk in chunks.values()} == {"SNAPPY"}


def test_every_column_has_a_page_index(demo: Path) -> None:
    for file in parquet_files(demo):
        group = pq.read_metadata(file).row_group(0)
        chunks = [group.column(i) for i in range(group.num_columns)]
        assert all(chunk.has_offset_index for chunk in chunks)
        assert [c.path_in_schema for c in chunks if not c.has_column_index] == ["image.bytes"]


def test_chunks_are_defined_by_content(desk: Desk) -> None:
    """A row more at the front moves no later page: the Hub has to store the first ones anew, and no others."""
    data = {str(n): image_bytes(side=116, seed=n) for n in range(100)}
    made = sorted((record(desk, name, image=image) for name, image in data.items()), key=lambda r: r.key)
    images = [data[one.source_id] for one in made]

    def page_ends(name: str, chosen: list[Record]) -> set[int]:
        """Find the rows after which a page ends: within one, only a length stands between two images."""
        desk.spool.close()
        desk.spool = Spool(desk.folder / f"{name}.sqlite", fresh=True)
        desk.decisions = []
        for one in chosen:
            desk.add(one, "sft")
        desk.write(name)
        raw = (desk.folder / name / "sft/train-00000-of-00001.parquet").read_bytes()
        at = [raw.find(image) for image in images]
        pairs = zip(range(100), at, at[1:], images, strict=False)
        return {n for n, here, following, image in pairs if here >= 0 and following > here + len(image) + 4}

    whole, less = page_ends("whole", made), page_ends("less", made[1:])
    late = {n for n in whole if n >= 40}
    assert len(late) > 2
    assert late == {n for n in less if n >= 40}


def test_a_row_group_holds_at_most_a_hundred_rows(demo: Path) -> None:
    for file in parquet_files(demo):
        facts = pq.read_metadata(file)
        groups = [facts.row_group(i).num_rows for i in range(facts.num_row_groups)]
        assert max(groups) <= 100
        assert all(count == 100 for count in groups[:-1])


def test_the_writer_is_the_pinned_arrow(demo: Path) -> None:
    for file in parquet_files(demo):
        assert pq.read_metadata(file).created_by == f"parquet-cpp-arrow version {pa.__version__}"


def test_parquet_alone_says_that_the_column_is_an_image(demo: Path) -> None:
    file = parquet_files(demo)[0]
    assert json.loads(pq.read_schema(file).metadata[b"huggingface"])["info"]["features"]["image"] == {
        "_type": "Image"
    }


# --- splits and shards ------------------------------------------------------------------------------


def test_a_split_without_rows_has_no_file(desk: Desk) -> None:
    desk.add(record(desk), "rl", "validation")
    (split,) = desk.write("set")
    assert (split.config, split.part, split.rows) == ("rl", "validation", 1)
    assert [f.relative_to(desk.folder / "set").as_posix() for f in parquet_files(desk.folder / "set")] == [
        "rl/validation-00000-of-00001.parquet"
    ]
    assert [p.name for p in (desk.folder / "set").iterdir()] == ["rl"]


def test_files_and_row_groups_are_closed_by_size(desk: Desk) -> None:
    made = [record(desk, str(n), image=image_bytes(side=100, seed=n)) for n in range(30)]
    for one in made:
        desk.add(one, "sft")
    assert made[0].picture is not None
    size = made[0].picture.bytes
    (split,) = desk.write("set", row_group_bytes=3 * size + 500, shard_bytes=8 * size)
    names = [f"sft/train-{n:05d}-of-{len(split.files):05d}.parquet" for n in range(len(split.files))]
    assert list(split.files) == names
    assert len(names) in (3, 4)
    groups = []
    for name in names:
        facts = pq.read_metadata(desk.folder / "set" / name)
        groups += [facts.row_group(i).num_rows for i in range(facts.num_row_groups)]
        assert facts.num_rows * size <= 12 * size
    assert max(groups) == 3
    assert (split.rows, sum(groups)) == (30, 30)
    loaded = load(str(desk.folder / "set"), data_files="sft/*.parquet", split="train")
    assert loaded["id"] == [r.id for r in sorted(made, key=lambda r: r.key)]
    assert split.bytes == sum((desk.folder / "set" / name).stat().st_size for name in names)


def test_an_image_larger_than_a_row_group_stands_alone(desk: Desk) -> None:
    for n in range(3):
        desk.add(record(desk, str(n), image=image_bytes(side=60, seed=n)), "sft")
    (split,) = desk.write("set", row_group_bytes=100)
    facts = pq.read_metadata(desk.folder / "set" / split.files[0])
    assert [facts.row_group(i).num_rows for i in range(facts.num_row_groups)] == [1, 1, 1]


def test_rows_of_one_id_all_stand_in_rejected(desk: Desk) -> None:
    desk.add(record(desk), "sft")
    for copy in (1, 2):
        desk.spool.put(record(desk).drop("collect", "duplicate_id", "collect: twice"), copy)
    assert [(s.config, s.rows) for s in desk.write("set")] == [("sft", 1), ("rejected", 2)]


MEMORY = """
import io, resource, sys
from contextlib import closing
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_dataset import Desk, image_bytes, record
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with closing(Desk(Path(sys.argv[1]))) as desk:
    data = image_bytes(side=590)
    desk.add(record(desk, "0", image=data), "sft")
    desk.write("one", row_group_bytes=10_000_000)
    before = peak()
    desk.spool.close()
    from vlaa_thinking.spool import Spool
    desk.spool = Spool(desk.folder / "many.sqlite", fresh=True)
    for n in range(200):
        desk.add(record(desk, str(n), image=data), "sft")
    (split,) = desk.write("many", row_group_bytes=10_000_000, shard_bytes=50_000_000)
    print(before, peak() - before, split.bytes / 1e6, len(split.files))
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    _before, grown, written, files = map(float, done.stdout.split())
    assert written > 200
    assert files >= 4
    assert grown < 90


# --- bytes ------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hash_file(p) for p in folder.rglob("*") if p.is_file()}


def test_two_builds_in_two_places_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    build(Project.default(), out=tmp_path / "one", limit=40)
    monkeypatch.chdir(tmp_path / "elsewhere")
    build(Project.default(), out="another", limit=40)
    assert contents(tmp_path / "one") == contents(tmp_path / "elsewhere" / "another")


def test_another_seed_makes_another_set(tmp_path: Path) -> None:
    build(Project.default(), out=tmp_path / "one", limit=10)
    build(Project.default(), out=tmp_path / "other", limit=10, seed=1)
    assert contents(tmp_path / "one") != contents(tmp_path / "other")


def test_the_manifest_knows_every_other_file(demo: Path) -> None:
    files = manifest(demo)["files"]
    assert {name: facts["sha256"] for name, facts in files.items()} == {
        name: digest for name, digest in contents(demo).items() if name != "manifest.json"
    }
    assert {name.partition("/")[0] for name in files} == {
        "README.md",
        "CHANGELOG.md",
        "croissant.json",
        "plots",
        "sft",
        "rl",
        "rejected",
    }


def test_nothing_of_this_machine_is_in_the_folder(demo: Path) -> None:
    places = [str(demo.parent), str(ROOT), str(Path.home()) + "/", sys.prefix]
    readers: dict[str, Callable[[Path], str]] = {
        ".parquet": lambda file: repr(pq.read_table(file).drop_columns(["image"]).to_pylist()),
        ".md": lambda file: file.read_text(encoding="utf-8"),
        ".json": lambda file: file.read_text(encoding="utf-8"),
        ".png": lambda _: "",  # its bytes are searched as they are
    }
    for file in demo.rglob("*.*"):
        text = readers[file.suffix](file) + file.read_bytes().decode("latin-1")
        assert not [place for place in places if place in text], file

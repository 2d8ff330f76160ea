"""Bad input, as tables of cases: a row's fault is a row with a reason, a wrong set-up one sentence, nothing is lost."""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import files, picture, rows_of

from vlaa_thinking import BuildResult, Completion, Project, Request, Run, build
from vlaa_thinking.errors import ModelError, OutputError, ProjectError, SetupError
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.settings import ROLES

COLLECT = """\
[source.dots]
reader = "table"
license = "CC0-1.0"
path = "rows.csv"
id = "id"
image_root = "images"
answer_type = "digit"
"""

MODELS = """\
default = "mine"

[profile.mine]
captioner = "box"
reasoner = "box"
rewriter = "box"
judge = "box"
sources = ["dots"]

[model.box]
api = "openai"
base_url = "http://127.0.0.1:1/v1"
model = "box"
tries = 2
"""

ROWS = "id,image,question,answer\na,a.png,How many dots?,3\nb,b.png,How many marks?,3\nc,c.png,How many?,3\n"

COLLECT_TOML = "generators/1_collect.toml"
MODELS_TOML = "generators/models.toml"

Spoil = Callable[[Path], object]


def small_project(folder: Path) -> Project:
    """Make a project of three good rows on three drawn images."""
    project = Project.default().copy(folder)
    (folder / "images").mkdir()
    for number, name in enumerate("abc"):
        (folder / f"images/{name}.png").write_bytes(picture(number))
    for file, text in ((COLLECT_TOML, COLLECT), (MODELS_TOML, MODELS), ("rows.csv", ROWS)):
        (folder / file).write_text(text)
    return project


def answer(request: Request) -> Completion | str:
    """Play all four models: every image has three dots."""
    if request.role == "reasoner":
        return Completion.of("So it is.\n<answer>3</answer>", reasoning="I count three dots.")
    return "There are three dots."


def chat(body: dict[str, Any]) -> Reply:
    """Play them behind a server."""
    del body
    return "<think>I count three dots.</think>\nSo it is.\n<answer>3</answer>"


def run_build(project: Project, out: Path, **options: Any) -> BuildResult:
    fake = Fake(answer)
    return build(project, out=out, llms={role: fake for role in ROLES}, **options)  # noqa: C420 - of text, not of a literal


def run_cli(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command; lines of progress, which a slow machine gets to see, are left out of what it said."""
    command = [sys.executable, "-m", "vlaa_thinking", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)
    done.stderr = "".join(line for line in done.stderr.splitlines(keepends=True) if " elapsed" not in line)
    return done


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Hold a command's end against the contract for a wrong set-up; return its one sentence."""
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def edit(file: str, old: str, new: str) -> Spoil:
    """Replace a text that a file holds exactly once."""

    def spoil(root: Path) -> None:
        text = (root / file).read_text()
        assert text.count(old) == 1, (file, old)
        (root / file).write_text(text.replace(old, new))

    return spoil


def write(file: str, content: str | bytes) -> Spoil:
    def spoil(root: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(data)

    return spoil


def remove(file: str) -> Spoil:
    return lambda root: (root / file).unlink()


def each(*spoils: Spoil) -> Spoil:
    return lambda root: [spoil(root) for spoil in spoils]


def png(width: int, height: int) -> bytes:
    """Write a whole one-bit PNG by hand, of any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    row = bytes(1 + -(-width // 8))
    pixels = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# --- a row's fault is a row -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BadRow:
    """What is done to row b, or added beside it, and how that row must end."""

    name: str
    spoil: Spoil
    code: str
    reason: str
    evidence: str | None = None
    id: str = "dots/b"
    kept: int = 2


BAD_ROWS = [
    BadRow(
        name="missing image",
        spoil=remove("images/b.png"),
        code="missing_image",
        reason="collect: there is no readable image file b.png",
    ),
    BadRow(
        name="no image named",
        spoil=edit("rows.csv", "b,b.png", "b,"),
        code="missing_image",
        reason="collect: the source names no image",
    ),
    BadRow(
        name="an image in base64 that is none",
        spoil=edit("rows.csv", "b.png", "iVBORw0KGgo" * 40),
        code="not_an_image",
        reason="collect: the file is no image of a known format, whatever its name says",
    ),
    BadRow(
        name="a folder for an image",
        spoil=edit("rows.csv", "b.png", "."),
        code="missing_image",
        reason="collect: there is no readable image file images",
    ),
    BadRow(
        name="truncated image",
        spoil=write("images/b.png", picture(1)[:-30]),
        code="broken_image",
        reason="collect: the image cannot be decoded: image file is truncated",
    ),
    BadRow(
        name="text file named .png",
        spoil=write("images/b.png", "This is no image."),
        code="not_an_image",
        reason="collect: the file is no image of a known format, whatever its name says",
    ),
    BadRow(
        name="empty image file",
        spoil=write("images/b.png", b""),
        code="not_an_image",
        reason="collect: the file is no image of a known format, whatever its name says",
    ),
    BadRow(
        name="bomb",
        spoil=write("images/b.png", png(30_000, 30_000)),
        code="image_bomb",
        reason="collect: the image has more than 89,478,485 pixels, so it is taken for a decompression bomb",
    ),
    BadRow(
        name="bomb that Pillow would only warn of",
        spoil=write("images/b.png", png(10_000, 9_000)),
        code="image_bomb",
        reason="collect: the image has more than 89,478,485 pixels, so it is taken for a decompression bomb",
    ),
    BadRow(
        name="empty question",
        spoil=edit("rows.csv", "How many marks?", '"  "'),
        code="empty_question",
        reason="collect: the row has no question",
    ),
    BadRow(
        name="duplicate id",
        spoil=edit("rows.csv", "b,b.png", "a,b.png"),
        code="duplicate_id",
        reason="collect: the id a was given to an earlier row of this source",
        evidence="How many marks?",
        id="dots/a",
    ),
    BadRow(
        name="unreadable answer",
        spoil=edit("rows.csv", "How many marks?,3", "How many marks?,abc"),
        code="bad_answer",
        reason='collect: the answer "abc" is not an integer',
        evidence="answer: abc",
    ),
    BadRow(
        name="empty answer",
        spoil=edit("rows.csv", "How many marks?,3", "How many marks?,"),
        code="bad_answer",
        reason="collect: the answer is empty",
        evidence="answer: ",
    ),
    BadRow(
        name="half of a surrogate pair",
        spoil=each(
            edit(COLLECT_TOML, "rows.csv", "rows.jsonl"),
            write(
                "rows.jsonl",
                '{"id": "a", "image": "a.png", "question": "How many?", "answer": 3}\n'
                '{"id": "\\ud83d", "image": "b.png", "question": "\\ude00?", "answer": "\\ud83d"}\n',
            ),
        ),
        code="bad_answer",
        reason='collect: the answer "?" is not an integer',
        evidence="answer: ?",
        id="dots/?",
        kept=1,
    ),
]


@pytest.mark.parametrize("case", BAD_ROWS, ids=lambda case: case.name)
def test_a_row_with_a_fault_is_published_as_rejected_with_its_reason(tmp_path: Path, case: BadRow) -> None:
    project = small_project(tmp_path / "project")
    case.spoil(project.root)
    result = run_build(project, tmp_path / "out")
    assert (result.exit_code, result.kept, result.funnel.dropped) == (0, case.kept, 1)
    (row,) = rows_of(tmp_path / "out")["rejected/train"]
    found = {name: row[name] for name in ("id", "step", "code", "reason", "evidence")}
    wanted = {"step": "collect", "code": case.code, "reason": case.reason, "evidence": case.evidence}
    assert found == wanted | {"id": case.id}
    assert (row["image"] is None) == ("image" in case.code)


def test_the_command_ends_well_over_rows_with_faults(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    remove("images/b.png")(project.root)
    edit("rows.csv", "How many?,3", "How many?,abc")(project.root)
    with ChatServer(chat) as server:
        edit(MODELS_TOML, "http://127.0.0.1:1/v1", server.url)(project.root)
        done = run_cli("build", project.root, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 rows in = 1 kept + 2 dropped + 0 failed" in done.stdout
    codes = {row["id"]: row["code"] for row in rows_of(tmp_path / "out")["rejected/train"]}
    assert codes == {"dots/b": "missing_image", "dots/c": "bad_answer"}


def test_where_no_row_is_kept_there_is_a_sentence_and_no_folder(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    write("rows.csv", ROWS.replace(",3\n", ",abc\n"))(project.root)
    done = run_cli("build", project.root, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "No row was kept, so no dataset was written." in done.stdout
    assert not (tmp_path / "out").exists()


# --- a wrong set-up is one sentence ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BadSetup:
    """What is done to a project, and the sentence that must come of it ({root} is its folder)."""

    name: str
    spoil: Spoil
    says: str
    error: type[SetupError] = SetupError
    profile: str | None = None
    preset: str | None = None
    limit: int | None = None


def nothing(root: Path) -> None:
    """Leave the project as it is: an option is wrong."""


JSONL = '{"id": "a", "image": "a.png", "question": "How many?", "answer": "3"}\n'

BAD_SETUPS = [
    BadSetup(
        name="unknown column",
        spoil=edit(COLLECT_TOML, 'id = "id"', 'id = "idd"'),
        says='source "dots": rows.csv has no column "idd"; did you mean "id"?',
    ),
    BadSetup(
        name="unknown column inside another",
        spoil=each(
            edit(COLLECT_TOML, 'path = "rows.csv"', 'path = "rows.jsonl"\nnotes = "meta.scne"'),
            write("rows.jsonl", JSONL.replace("}", ', "meta": {"scene": "x"}}')),
        ),
        says='source "dots": rows.jsonl has no column "meta.scne"; did you mean "meta.scene"?',
    ),
    BadSetup(
        name="unknown key",
        spoil=edit(MODELS_TOML, "tries = 2", "trys = 2"),
        says='generators/models.toml, line 14: in [model.box], unknown key "trys"; did you mean "tries"?',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown key in front matter",
        spoil=edit("generators/4_rewrite.md", "max_word_gap = 15", "max_wordgap = 15"),
        says='generators/4_rewrite.md, line 11: unknown key "max_wordgap"; did you mean "max_word_gap"?',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown key in a preset",
        spoil=edit("generators/4_rewrite.md", '[preset.paper]\nsend = "all"', '[preset.paper]\nsned = "all"'),
        says='generators/4_rewrite.md, line 22: in [preset.paper], unknown key "sned"; did you mean "send"?',
        error=ProjectError,
        preset="paper",
    ),
    BadSetup(
        name="wrong type",
        spoil=edit(MODELS_TOML, "tries = 2", 'tries = "two"'),
        says='generators/models.toml, line 14: in [model.box], "tries" must be a whole number, not "two"',
        error=ProjectError,
    ),
    BadSetup(
        name="number out of bounds",
        spoil=edit(MODELS_TOML, "tries = 2", "max_concurrency = 0"),
        says='generators/models.toml, line 14: in [model.box], "max_concurrency" must be at least 1, not 0',
        error=ProjectError,
    ),
    BadSetup(
        name="missing key",
        spoil=edit(MODELS_TOML, 'judge = "box"\n', ""),
        says='generators/models.toml, line 3: in [profile.mine], the key "judge" is missing',
        error=ProjectError,
    ),
    BadSetup(
        name="missing project file",
        spoil=remove("verifiers/cues.toml"),
        says="verifiers/cues.toml: the file is missing; `vlaa-thinking init DIR` writes all of them",
        error=ProjectError,
    ),
    BadSetup(
        name="no TOML",
        spoil=edit(MODELS_TOML, "tries = 2", "tries 2"),
        says="generators/models.toml, line 14: not valid TOML: Expected '=' after a key in a key/value pair",
        error=ProjectError,
    ),
    BadSetup(
        name="no front matter",
        spoil=write("generators/2_caption.md", "# System\nLook.\n# User\nSay.\n"),
        says="generators/2_caption.md, line 1: front matter between two lines +++ is missing",
        error=ProjectError,
    ),
    BadSetup(
        name="unknown name in a prompt",
        spoil=edit("generators/3_distill.md", "{{question}}", "{{ qestion }}"),
        says='generators/3_distill.md, line 26: unknown name "{{qestion}}"; did you mean "question"?',
        error=ProjectError,
    ),
    BadSetup(
        name="no name at all in a prompt",
        spoil=edit("generators/3_distill.md", "{{question}}", "{{the question}}"),
        says='generators/3_distill.md, line 26: unknown name "{{the question}}"; did you mean "question"?',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown profile",
        spoil=nothing,
        says='generators/models.toml: there is no profile "mien"; did you mean "mine"?',
        error=ProjectError,
        profile="mien",
    ),
    BadSetup(
        name="unknown default profile",
        spoil=edit(MODELS_TOML, 'default = "mine"', 'default = "mien"'),
        says='generators/models.toml, line 1: there is no profile "mien"; did you mean "mine"?',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown preset",
        spoil=nothing,
        says='there is no preset "papre"; did you mean "paper"?',
        preset="papre",
    ),
    BadSetup(
        name="unknown preset of a profile",
        spoil=edit(MODELS_TOML, 'sources = ["dots"]', 'sources = ["dots"]\npreset = "loose"'),
        says='generators/models.toml, line 9: in [profile.mine], there is no preset "loose"; known: paper, strict',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown model",
        spoil=edit(MODELS_TOML, 'judge = "box"', 'judge = "bix"'),
        says='generators/models.toml, line 7: in [profile.mine], there is no model "bix"; did you mean "box"?',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown source",
        spoil=edit(MODELS_TOML, '["dots"]', '["dotz"]'),
        says='generators/models.toml, line 8: in [profile.mine], there is no source "dotz" in 1_collect.toml; did you mean "dots"?',
        error=ProjectError,
    ),
    BadSetup(
        name="source named twice",
        spoil=edit(MODELS_TOML, '["dots"]', '["dots", "dots"]'),
        says='generators/models.toml, line 8: in [profile.mine], the source "dots" is named twice',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown reader",
        spoil=edit(COLLECT_TOML, '"table"', '"tabel"'),
        says='generators/1_collect.toml, line 2: in [source.dots], there is no reader "tabel" '
        '(your own is "module:function"); did you mean "table"?',
        error=ProjectError,
    ),
    BadSetup(
        name="unknown reader option",
        spoil=edit(COLLECT_TOML, "image_root", "image_rot"),
        says='generators/1_collect.toml, line 6: in [source.dots], unknown key "image_rot"; did you mean "image_root"?',
        error=ProjectError,
    ),
    BadSetup(
        name="wrong type of a reader's option",
        spoil=edit(COLLECT_TOML, '"digit"', '"number"'),
        says='generators/1_collect.toml, line 7: in [source.dots], "answer_type" must be one of "auto", "digit", "choice", "math", '
        '"iou", "open", not "number"',
        error=ProjectError,
    ),
    BadSetup(
        name="missing reader option",
        spoil=edit(COLLECT_TOML, COLLECT, '[source.dots]\nreader = "demo"\nkind = "bars"\n'),
        says='generators/1_collect.toml, line 2: in [source.dots], the key "count" is missing',
        error=ProjectError,
    ),
    BadSetup(
        name="neither a file nor a set",
        spoil=edit(COLLECT_TOML, 'path = "rows.csv"\n', ""),
        says='source "dots": name a file or folder with `path`, or a set on the Hub with `hf`',
    ),
    BadSetup(
        name="reader that fails",
        spoil=each(
            edit(COLLECT_TOML, COLLECT, '[source.dots]\nreader = "mine:read"\n'),
            write("mine.py", "def read(at):\n    yield 1 / 0\n"),
        ),
        says='the reader "mine:read" of source "dots" failed: ZeroDivisionError: division by zero',
    ),
    BadSetup(
        name="reader that gives no rows of ours",
        spoil=each(
            edit(COLLECT_TOML, COLLECT, '[source.dots]\nreader = "mine:read"\n'),
            write("mine.py", "def read(at):\n    return [{}]\n"),
        ),
        says='the reader "mine:read" of source "dots" gave a dict, not a Row',
    ),
    BadSetup(
        name="missing table",
        spoil=remove("rows.csv"),
        says='source "dots": there is no file rows.csv in {root}',
    ),
    BadSetup(
        name="missing image folder",
        spoil=edit(COLLECT_TOML, '"images"', '"pictures"'),
        says='source "dots": there is no folder pictures in {root} (image_root)',
    ),
    BadSetup(
        name="table of an unknown kind",
        spoil=each(edit(COLLECT_TOML, "rows.csv", "rows.xlsx"), write("rows.xlsx", b"PK")),
        says='source "dots": rows.xlsx is none of the files that can be read '
        "(.csv, .tsv, .jsonl, .ndjson, .json, .parquet)",
    ),
    BadSetup(
        name="table that is not in UTF-8",
        spoil=write("rows.csv", ROWS.encode() + "d,a.png,Où?,3\n".encode("cp1252")),
        says='source "dots": rows.csv, line 5, is not in UTF-8: save it in UTF-8',
    ),
    BadSetup(
        name="source without rows",
        spoil=write("rows.csv", "id,image,question,answer\n"),
        says='source "dots": rows.csv holds no rows',
    ),
    BadSetup(
        name="empty file",
        spoil=each(edit(COLLECT_TOML, "rows.csv", "rows.jsonl"), write("rows.jsonl", "")),
        says='source "dots": rows.jsonl holds no rows',
    ),
    BadSetup(
        name="no source",
        spoil=edit(MODELS_TOML, '["dots"]', "[]"),
        says="the sources gave no rows: see the paths in generators/1_collect.toml",
    ),
    BadSetup(
        name="broken line",
        spoil=each(edit(COLLECT_TOML, "rows.csv", "rows.jsonl"), write("rows.jsonl", JSONL + JSONL[:-3])),
        says='source "dots": rows.jsonl cannot be read: line 2 is not a JSON object, one to a line: '
        "Unterminated string starting at (column 66)",
    ),
    BadSetup(
        name="cut JSON in one piece",
        spoil=each(
            edit(COLLECT_TOML, "rows.csv", "rows.json"), write("rows.json", '[{"image": "a.png"}, {"im')
        ),
        says='source "dots": rows.json cannot be read after object 1: Unterminated string starting at',
    ),
    BadSetup(
        name="no Parquet",
        spoil=each(edit(COLLECT_TOML, "rows.csv", "rows.parquet"), write("rows.parquet", ROWS)),
        says='source "dots": rows.parquet cannot be read: Parquet magic bytes not found in footer. '
        "Either the file is corrupted or this is not a parquet file.",
    ),
    BadSetup(
        name="every image missing",
        spoil=lambda root: [remove(f"images/{name}.png")(root) for name in "abc"],
        says="all 3 images are missing: see image_root and the image column in generators/1_collect.toml (dots)",
    ),
    BadSetup(
        name="image in two folders",
        spoil=each(
            remove("images/b.png"),
            write("images/one/b.png", picture(1)),
            write("images/two/b.png", picture(1)),
        ),
        says='source "dots": the image b.png lies in several folders (one/b.png, two/b.png); '
        "write its path below image_root into the table",
    ),
    BadSetup(
        name="unknown module of a check",
        spoil=edit("verifiers/digit.toml", "vlaa_thinking.checks.digit:check", "mine:check"),
        says='"mine:check": there is no such module, neither installed nor as mine.py in {root}',
    ),
    BadSetup(
        name="unknown function of a check",
        spoil=each(
            edit("verifiers/digit.toml", "vlaa_thinking.checks.digit:check", "mine:check"),
            write("mine.py", "def chek(prediction, gold):\n    pass\n"),
        ),
        says='"mine:check": {root}/mine.py has no function check',
    ),
    BadSetup(
        name="check that is no name",
        spoil=edit("verifiers/digit.toml", "vlaa_thinking.checks.digit:check", "mine.py"),
        says='"mine.py" names no function: write it as "module:function"',
    ),
    BadSetup(
        name="check that cannot be imported",
        spoil=each(
            edit("verifiers/digit.toml", "vlaa_thinking.checks.digit:check", "mine:check"),
            write("mine.py", "import torchh\n"),
        ),
        says="\"mine:check\": mine cannot be imported: ModuleNotFoundError: No module named 'torchh'",
    ),
    BadSetup(
        name="limit of zero",
        spoil=nothing,
        says="the limit is 0: it must be at least 1",
        limit=0,
    ),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good project, its dataset and the work folder, to be copied before anything is broken."""
    folder = tmp_path_factory.mktemp("good")
    assert run_build(small_project(folder / "project"), folder / "out").kept == 3
    return folder


@pytest.fixture
def good(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "good")


@pytest.mark.parametrize("case", BAD_SETUPS, ids=lambda case: case.name)
def test_a_wrong_set_up_is_one_sentence_and_costs_nothing(good: Path, case: BadSetup) -> None:
    case.spoil(good / "project")
    before = files(good / "project"), files(good / "out")
    with pytest.raises(case.error) as raised:
        run_build(
            Project.open(good / "project"),
            good / "out",
            profile=case.profile,
            limit=case.limit,
            run=Run(preset=case.preset),
        )
    assert str(raised.value) == case.says.replace("{root}", str(good / "project"))
    assert (files(good / "project"), files(good / "out")) == before
    assert (good / "out.work/answers.sqlite").exists()
    with pytest.raises(case.error):
        run_build(
            Project.open(good / "project"),
            good / "new",
            profile=case.profile,
            limit=case.limit,
            run=Run(preset=case.preset),
        )
    assert not (good / "new").exists()


def test_once_the_set_up_is_mended_no_answer_is_asked_again(good: Path) -> None:
    project = Project.open(good / "project")
    remove("images/b.png")(project.root)
    write("images/one/b.png", picture(1))(project.root)
    write("images/two/b.png", picture(1))(project.root)
    edit("rows.csv", "c,c.png", "c,a.png")(project.root)  # what is asked before the fault is met
    with pytest.raises(SetupError):
        run_build(project, good / "out")
    remove("images/two/b.png")(project.root)
    write("rows.csv", ROWS)(project.root)
    again = run_build(project, good / "out")
    assert (again.calls, again.kept, again.changed) == (0, 3, False)


def test_no_project_at_all(tmp_path: Path) -> None:
    (tmp_path / "generators").mkdir()
    says = told(run_cli("build", tmp_path, "--out", tmp_path / "out"))
    assert says == (
        f"{tmp_path}: this is no project, it lacks verifiers/, cards/; `vlaa-thinking init DIR` makes one"
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["generators"]


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    says = told(run_cli("init", tmp_path))
    assert says == f"{tmp_path}: cards/ is there already, so nothing was copied; name another folder"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cards"]


def test_init_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    says = told(run_cli("init", tmp_path / "file"))
    assert says.startswith(f"{tmp_path}/file: the project cannot be copied here: ")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("spoil", "option", "says"),
    [
        (nothing, ("--profile", "mien"), 'there is no profile "mien"; did you mean "mine"?'),
        (nothing, ("--preset", "papre"), 'there is no preset "papre"; did you mean "paper"?'),
        (
            edit(MODELS_TOML, "tries = 2", "trys = 2"),
            (),
            'line 14: in [model.box], unknown key "trys"; did you mean "tries"?',
        ),
        (remove("cards/6_curate.toml"), (), "cards/6_curate.toml: the file is missing"),
        (edit(COLLECT_TOML, 'id = "id"', 'id = "idd"'), (), 'no column "idd"; did you mean "id"?'),
        (write("images/z/b.png", b"x"), (), 'the model "box" never answered'),
    ],
    ids=["profile", "preset", "key", "file", "column", "server"],
)
def test_the_command_says_what_is_wrong_in_one_line(
    good: Path, spoil: Spoil, option: tuple[str, ...], says: str
) -> None:
    edit(MODELS_TOML, "127.0.0.1:1/", f"127.0.0.1:{closed_port()}/")(good / "project")
    spoil(good / "project")
    before = files(good / "out")
    done = run_cli("build", good / "project", "--out", good / "out", *option)
    assert says in told(done)
    assert files(good / "out") == before


def test_the_command_takes_no_limit_of_zero(good: Path) -> None:
    for command in ("build", "plan"):
        done = run_cli(command, good / "project", "--out", good / "out", "--limit", "0")
        assert told(done) == "the limit is 0: it must be at least 1"


# --- models ---------------------------------------------------------------------------------------


def closed_port() -> int:
    """Find a port of this machine at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def test_a_server_that_is_down(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    port = closed_port()
    edit(MODELS_TOML, "127.0.0.1:1/", f"127.0.0.1:{port}/")(project.root)
    with pytest.raises(ModelError) as raised:
        build(project, out=tmp_path / "out")
    says = str(raised.value)
    assert says.startswith('the model "box" never answered: ')
    assert str(port) in says
    assert says.endswith(f"see that its server runs and its base_url is right (http://127.0.0.1:{port}/v1)")
    assert not (tmp_path / "out").exists()


def test_no_key_in_the_environment(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    edit(MODELS_TOML, "tries = 2", 'api_key_env = "VLAA_TEST_KEY"')(project.root)
    done = run_cli("build", project.root, "--out", tmp_path / "out", VLAA_TEST_KEY="")
    assert told(done) == 'the model "box" needs a key: set the environment variable VLAA_TEST_KEY'
    assert not (tmp_path / "out").exists()


def test_a_key_that_the_server_refuses(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    refusal: Reply = (
        401,
        {},
        {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}},
    )
    with ChatServer(lambda _: refusal) as server:
        edit(MODELS_TOML, "http://127.0.0.1:1/v1", server.url)(project.root)
        edit(MODELS_TOML, "tries = 2", 'api_key_env = "VLAA_TEST_KEY"')(project.root)
        done = run_cli("build", project.root, "--out", tmp_path / "out", VLAA_TEST_KEY="sk-very-secret")
        assert server.calls == 1  # not tried again
    assert told(done) == (
        'the server of the model "box" answered 401: Incorrect API key provided. invalid_api_key; '
        "is VLAA_TEST_KEY right?"
    )
    assert not (tmp_path / "out").exists()
    kept = b"".join(files(tmp_path / "out.work").values())
    assert b"sk-very-secret" not in kept


# --- OUT ------------------------------------------------------------------------------------------


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold a lock from another process, as a build there would."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    program = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()


def test_an_out_that_another_build_holds(good: Path) -> None:
    before = files(good / "out")
    with held(good / "out.work/lock"):
        done = run_cli("build", good / "project", "--out", good / "out")
    assert told(done) == f"another build is writing {good}/out: wait for it, or name another --out"
    assert files(good / "out") == before
    assert (
        run_build(Project.open(good / "project"), good / "out").changed is False
    )  # the lock is gone with it


def not_ours(out: Path) -> str:
    shutil.rmtree(out)
    write("thesis.txt", "years of work")(out)
    return (
        f"{out} was not made by `build` (it holds files and no manifest.json of ours): "
        f"name another --out, or let --replace move it to {out}.work/previous"
    )


def changed(out: Path) -> str:
    (out / "README.md").write_text("my own words\n")
    return _strange(out, "README.md")


def changed_unseen(out: Path) -> str:
    """Change one byte of a table, and nothing that `ls` shows."""
    path = min(out.rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return _strange(out, path.relative_to(out).as_posix())


def gone(out: Path) -> str:
    (out / "README.md").unlink()
    return _strange(out, "README.md")


def added(out: Path) -> str:
    write("sft/notes.txt", "mine")(out)
    return _strange(out, "sft/notes.txt")


def a_file(out: Path) -> str:
    shutil.rmtree(out)
    out.write_text("mine")
    return f"{out} is a file: name another --out"


def _strange(out: Path, name: str) -> str:
    return (
        f"{out}/{name} is not as `build` wrote it: move it away, name another --out, "
        f"or let --replace move the folder to {out}.work/previous"
    )


@pytest.mark.parametrize("meddle", [not_ours, changed, changed_unseen, gone, added, a_file])
def test_an_out_that_is_not_as_build_left_it_is_not_touched(
    good: Path, meddle: Callable[[Path], str]
) -> None:
    out = good / "out"
    says = meddle(out)
    before = out.read_bytes() if out.is_file() else files(out)
    with pytest.raises(OutputError) as raised:
        run_build(Project.open(good / "project"), out)
    assert str(raised.value) == says
    assert (out.read_bytes() if out.is_file() else files(out)) == before


def test_the_command_leaves_a_foreign_out_alone_and_nothing_beside_it(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    write("thesis.txt", "years of work")(tmp_path / "mine")
    done = run_cli("build", project.root, "--out", tmp_path / "mine")
    assert told(done).startswith(f"{tmp_path}/mine was not made by `build` ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "project"]
    assert files(tmp_path / "mine") == {"thesis.txt": b"years of work"}


def test_replace_moves_a_foreign_out_away_and_no_later_build_deletes_it(good: Path) -> None:
    project, out = Project.open(good / "project"), good / "out"
    not_ours(out)
    assert run_build(project, out, run=Run(replace=True)).changed
    assert rows_of(out)
    assert files(good / "out.work/previous") == {"thesis.txt": b"years of work"}
    edit("cards/6_curate.toml", "seed = 0", "seed = 1")(project.root)
    assert run_build(project, out).changed
    assert json.loads((good / "out.work/previous/manifest.json").read_text())["seed"] == 0
    assert files(good / "out.work/previous-1") == {"thesis.txt": b"years of work"}


def test_the_tests_own_lock_is_the_one_that_build_takes(good: Path) -> None:
    with (good / "out.work/lock").open("w") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(OutputError, match="another build is writing"):
            run_build(Project.open(good / "project"), good / "out")

"""What is said of sources before anything is built: the list, what can be reached, and their first rows."""

import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import native
import pytest
from hub_server import HubServer
from PIL import Image
from typer.testing import CliRunner, Result

import vlaa_thinking
from vlaa_thinking import Project, list_sources, show_source
from vlaa_thinking.cli import app
from vlaa_thinking.errors import SetupError

NINE = {
    "clevr_math": ("CC-BY-4.0", "full", ("digit",)),
    "geoqa170k": ("unknown", "rl_only", ("choice",)),
    "math_puma": ("GPL-3.0", "full", ("math",)),
    "arxivqa": ("CC-BY-SA-4.0", "full", ("choice",)),
    "docvqa": ("unknown", "full", ("open",)),
    "vizwiz": ("CC-BY-4.0", "full", ("open",)),
    "allava_laion": ("Apache-2.0", "full", ("open",)),
    "coco": ("Apache-2.0", "adopt", ("iou",)),
    "vg": ("Apache-2.0", "adopt", ("iou",)),
}
"""The licence that is named, the way, and the answer types of the paper's sources."""


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["sources", *words], env={"COLUMNS": "1000"})


def command(*words: str, environment: Mapping[str, str], cwd: Path) -> tuple[int, str, str]:
    """Run the command in a process of its own, for the Hub's address is read when its client is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "vlaa_thinking", "sources", *words],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1]), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_papers_sources_are_there_with_licence_way_and_answers() -> None:
    found = {s.name: s for s in list_sources(Project.default(), offline=True)}
    assert {name: (s.license, s.way, s.answer_types) for name, s in found.items() if name in NINE} == NINE
    for name in NINE:
        assert found[name].license_note or name == "math_puma"
        assert found[name].size
        assert found[name].place.endswith(" on the Hub")
        assert found[name].reachable is None
    assert set(found) - set(NINE) == {"counting", "bars", "lines", "boxes", "forms"}


def test_the_paper_profile_reads_all_nine_and_takes_what_table_1_names() -> None:
    settings = Project.default().settings("paper")
    assert [source.name for source in settings.sources] == list(NINE)
    assert {source.name: source.take for source in settings.sources if source.take} == {
        "clevr_math": 35_000,
        "math_puma": 30_000,
        "arxivqa": 54_399,
        "docvqa": 10_194,
        "vizwiz": 20_523,
        "allava_laion": 47_066,
    }
    assert {s.name: s.options.values["conversations"] for s in settings.sources if s.way == "adopt"} == {
        "coco": 3_000,
        "vg": 3_000,
    }
    caps = settings.curate.caps
    assert sum(cap.sft or 0 for cap in caps.values()) == 126_413
    assert sum(cap.rl or 0 for cap in caps.values()) == 25_195
    assert {source.name: source.take for source in Project.default().settings("paper", "strict").sources} == (
        dict.fromkeys(NINE)
    )


def test_folders_are_looked_for(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    native.put(tmp_path / "p/data/here", native.arxivqa().folder)
    (tmp_path / "p/generators/1_collect.toml").write_text(
        '[source.here]\nreader = "arxivqa"\npath = "data/here"\n'
        '[source.gone]\nreader = "docvqa"\npath = "data/gone"\n'
        '[source.mine]\nreader = "mine:read"\n'
    )
    (tmp_path / "p/mine.py").write_text("def read(at, *, count: int = 3):\n    return iter(())\n")
    here, gone, mine = list_sources(project)
    assert (here.reachable, here.place, here.size, here.license) == (True, "data/here", "", "unknown")
    assert (gone.reachable, gone.reason) == (False, f"there is no data/gone in {project.root}")
    assert (mine.reachable, mine.place, mine.rows, mine.title) == (None, "", 3, "mine")


def test_the_list_is_printed() -> None:
    shown = run("--offline")
    assert shown.exit_code == 0
    assert re.search(
        r"^geoqa170k +unknown +[\d,]+ +choice +lmms-lab/\S+ on the Hub +- *$", shown.output, re.MULTILINE
    )
    assert re.search(r"^geoqa170k: .* names no licence", shown.output, re.MULTILINE)
    assert re.search(r"^counting +CC0-1\.0 +120 ", shown.output, re.MULTILINE)


def test_what_the_hub_has_and_has_not_is_said(tmp_path: Path) -> None:
    with HubServer() as hub:
        for name, made in native.sets().items():
            if name not in ("docvqa", "vizwiz"):
                hub.add(made.hf, made.hub)
        hub.add("lmms-lab/VizWiz-VQA", {"README.md": b""}, gated=True)
        code, out, err = command(environment=hub.environment, cwd=tmp_path)
        assert (code, err) == (0, "")
        assert not hub.sent  # no file was asked for
    reached = {line.split()[0]: line.split()[-1] for line in out.splitlines()[1:15]}
    assert reached == {
        **dict.fromkeys((*NINE, "counting", "bars", "lines", "boxes", "forms"), "yes"),
        "docvqa": "no",
        "vizwiz": "no",
    }
    assert re.search(r"^vizwiz: .*Not reachable: it is gated: accept its terms there", out, re.MULTILINE)
    assert re.search(r"^docvqa: .*Not reachable: there is no such dataset", out, re.MULTILINE)


def test_a_hub_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with HubServer() as hub, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)  # a client connects, and hears no more
        environment = {**hub.environment, "HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        code, out, err = command("--timeout", "0.5", environment=environment, cwd=tmp_path)
        assert (code, err) == (0, "")
    assert len(re.findall(r"^\w+: .*Not reachable: \S.*$", out, re.MULTILINE)) == len(NINE)


def test_rows_are_shown_from_the_hub_and_drawn(tmp_path: Path) -> None:
    with HubServer() as hub:
        made = native.vizwiz()
        hub.add(made.hf, made.hub)
        code, out, err = command("show", "vizwiz", "--n", "3", environment=hub.environment, cwd=tmp_path)
        lost = command("show", "docvqa", environment=hub.environment, cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "answer  basil leaves (60% of the annotators)" in out
    assert "dropped  unanswerable: 70% of the annotators found no answer in the image" in out
    assert "3 rows: 3 open" in out
    with Image.open(tmp_path / "vizwiz.png") as sheet:
        assert sheet.width > sheet.height
    assert lost[0] == 2
    assert re.fullmatch(r'error: source "docvqa": lmms-lab/DocVQA cannot be read from the Hub: .*\n', lost[2])


def test_rows_of_the_demo_are_shown(tmp_path: Path) -> None:
    sheet = tmp_path / "below/sheet.png"
    shown = run("show", "boxes", "--n", "7", "--sheet", str(sheet))
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("answer type  iou") == 7
    with Image.open(sheet) as drawn:
        colours = drawn.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 10


def test_the_sheet_shows_the_images_of_its_rows_and_where_there_is_none(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    native.put(tmp_path / "p/data", native.clevr_math().folder)
    (tmp_path / "p/generators/1_collect.toml").write_text(
        '[source.sums]\nreader = "clevr_math"\npath = "data"\n'
    )
    sample = show_source(project, "sums", n=9, sheet=tmp_path / "sheet.png")
    assert len(sample.rows) == 4
    assert sample.rows[3].image is None
    with Image.open(tmp_path / "sheet.png") as sheet:
        cells = [sheet.crop((10 + 250 * n, 10, 250 + 250 * n, 250)) for n in range(4)]
    assert cells[0].tobytes() == cells[1].tobytes() != cells[2].tobytes()  # two questions on one image
    drawn_on = [native.PAPER in {colour for _, colour in cell.getcolors(1 << 16) or ()} for cell in cells]
    assert drawn_on == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sum", r'there is no source "sum" in generators/1_collect\.toml.*sums'),
        ("gone", r'source "gone": there is no folder nowhere in '),
        ("none", r'source "none" gives no rows'),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(tmp_path: Path, name: str, said: str) -> None:
    project = Project.default().copy(tmp_path / "p")
    (tmp_path / "p/rows.jsonl").write_text("")
    (tmp_path / "p/generators/1_collect.toml").write_text(
        '[source.sums]\nreader = "demo"\nkind = "counting"\n'
        '[source.gone]\nreader = "docvqa"\npath = "nowhere"\n'
        '[source.none]\nreader = "mine:read"\n'
    )
    (tmp_path / "p/mine.py").write_text("def read(at):\n    return iter(())\n")
    with pytest.raises(SetupError, match=said):
        show_source(project, name)
    for words in (
        ("show", name, "--project", str(project.root)),
        ("--project", str(project.root), "show", name),
    ):
        shown = run(*words)
        assert shown.exit_code == 2
        assert re.fullmatch(rf"error: {said}.*\n", shown.stderr)


def test_a_sheet_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"the contact sheet .* cannot be written: .*; name another file"):
        show_source(Project.default(), "counting", sheet=tmp_path / "file/sheet.png")
    with pytest.raises(SetupError, match=r"the contact sheet .* cannot be written: .*; name another file"):
        show_source(Project.default(), "counting", sheet=tmp_path / "sheet.odd")

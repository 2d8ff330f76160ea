"""The command line: what each command prints, and the code that it ends with."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import ChatServer
from sums_project import solve, sums_project
from typer.testing import CliRunner, Result

import vlaa_thinking
from vlaa_thinking import Project, build, show
from vlaa_thinking.cli import app


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


@pytest.fixture
def project(tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Make a project of 6 sums, and its folder's parent the current folder."""
    monkeypatch.chdir(tmp_path)
    return sums_project(tmp_path / "p", server.url, count=6)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


# --- cache ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["stats", "explain", "gc"])
def test_help_of_the_cache_s_commands_has_an_example(command: str) -> None:
    shown = run("cache", command, "--help")
    assert shown.exit_code == 0
    assert f"Example: vlaa-thinking cache {command}" in shown.output
    assert {"--out", "--cache"} <= set(shown.output.split())


def test_the_version_is_told_without_a_command() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.output) == (0, f"{vlaa_thinking.__version__}\n")


def test_cache_alone_names_its_commands() -> None:
    shown = run("cache")
    assert "Example: vlaa-thinking cache stats" in shown.output
    assert re.findall(r"^  (stats|explain|gc) ", shown.output, flags=re.MULTILINE) == [
        "stats",
        "explain",
        "gc",
    ]


@pytest.mark.usefixtures("server")
def test_stats_of_the_default_folder(project: Project) -> None:
    build(project)
    shown = run("cache", "stats")
    assert shown.exit_code == 0
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0] == ["model", "api", "step", "state", "answers", "bytes"]
    assert ["mind", "openai", "distill", "truncated", "2"] in [line[:5] for line in lines]
    assert shown.stdout.splitlines()[-1].startswith("11 answers and facts on 2 images, ")
    assert shown.stdout.rstrip().endswith("vlaa-dataset.work/answers.sqlite")


@pytest.mark.usefixtures("server")
def test_a_key_that_show_prints_can_be_explained(project: Project) -> None:
    build(project)
    shown = run("show", "sums/0002")
    keys = re.findall(r"^--- (\w+): \w+ \w+, key ([0-9a-f]{12}) ---$", shown.stdout, flags=re.MULTILINE)
    assert [step for step, _ in keys] == ["caption", "distill", "rewrite"]
    (trace,) = show("sums/0002")
    assert [exchange.key[:12] for exchange in trace.exchanges] == [key for _, key in keys]
    same = run("cache", "explain", keys[1][1], "sums/0002:distill")
    assert same.exit_code == 0
    assert "The two are one call" in same.stdout
    other = run("cache", "explain", "sums/0005:distill", "sums/0005:distill:2")
    assert "params.max_tokens\n  A  8192\n  B  32768\n" in other.stdout
    assert "messages" not in other.stdout
    texts = run("cache", "explain", keys[1][1], "sums/0001:distill")
    assert "messages[1].text\n  --- A\n  +++ B\n" in texts.stdout
    assert "  -What is 2 plus 9?\n" in texts.stdout
    assert "  +What is 1 plus 8?\n" in texts.stdout
    images = run("cache", "explain", keys[0][1], keys[1][1])
    assert "messages[1].images[0]\n  A  {" in images.stdout
    assert "  B  (absent)\n" in images.stdout


@pytest.mark.usefixtures("server")
def test_gc_lists_and_deletes_only_when_told(project: Project, tmp_path: Path) -> None:
    build(project, out="out")
    path = project.root / "generators/4_rewrite.md"
    path.write_text(path.read_text().replace("Give it back as written", "Write it"))
    build(project, out="out")
    listed = run("cache", "gc", "p", "--out", "out")
    assert listed.exit_code == 0
    assert f"{project.root}, profile mine, preset strict: 6 rows\n" in listed.stdout
    assert re.search(r"^pen +openai +\? +ok +2 ", listed.stdout, flags=re.MULTILINE)
    assert "are asked for by none of these; 11 stay in " in listed.stdout
    assert "Nothing was deleted: --yes does that." in listed.stdout
    for code, told in ((0, "2 answers"), (0, "0 answers")):
        done = run("cache", "gc", "--out", "out", "--yes")
        assert done.exit_code == code
        assert re.search(
            rf"^{told} \([\d,]+ bytes\) were deleted; 11 stay in ", done.stdout, flags=re.MULTILINE
        )
    unknown = run("cache", "gc", str(tmp_path / "nothing"), "--out", "out", "--yes")
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith("error: ")
    assert unknown.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words", [("stats",), ("explain", "ab", "cd"), ("gc",), ("explain", "0001:caption", "0002:caption")]
)
def test_without_a_build_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("cache", *words)
    assert done.exit_code == 2
    assert re.fullmatch(r"error: .*vlaa-dataset.*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


# --- build ---------------------------------------------------------------------------------------------------


def test_build_asks_anew_and_logs(project: Project, server: ChatServer, tmp_path: Path) -> None:
    assert run("build", "p", "--out", "out").exit_code == 0
    calls = server.calls
    again = run("build", "p", "--out", "out", "--again", "refused, truncated", "--log", "build.jsonl")
    assert again.exit_code == 0
    assert server.calls == calls + 2  # both lengths of the one that is cut
    logged = [json.loads(line) for line in (tmp_path / "build.jsonl").read_text().splitlines()]
    assert [line["state"] for line in logged if line.get("by") == "model"] == ["truncated"] * 2
    assert project.root == tmp_path / "p"


@pytest.mark.usefixtures("project")
def test_build_names_a_state_that_there_is_not(server: ChatServer, tmp_path: Path) -> None:
    done = run("build", "p", "--again", "truncated,refuzed")
    assert done.exit_code == 2
    assert re.fullmatch(r'error: .*"refuzed".*did you mean "refused"\?\n', done.stderr)
    assert server.calls == 0
    assert [path.name for path in tmp_path.iterdir()] == ["p"]

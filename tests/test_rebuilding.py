"""A folder made again from its work folder: with nobody to ask, the same bytes, and what is missing by name."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from chat_server import ChatServer
from made_release import make_release
from sums_project import set_key, solve, sums_project
from typer.testing import CliRunner, Result

from vlaa_thinking import MissingAnswer, Project, build, import_release, rebuild, show
from vlaa_thinking.cache import Cache
from vlaa_thinking.cli import app
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.llm.fake import Fake
from vlaa_thinking.places import hash_file


@dataclass(frozen=True, slots=True)
class Built:
    """A dataset of 24 sums whose models are gone."""

    project: Project
    out: Path

    @property
    def again(self) -> Path:
        return self.out.with_name("set.rebuilt")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build, and shut the models' server down."""
    home = tmp_path_factory.mktemp("once")
    with ChatServer(solve) as server:
        build(sums_project(home / "p", server.url, count=24), out=home / "set", limit=20, seed=3)
    return home


@pytest.fixture
def built(once: Path, tmp_path: Path) -> Built:
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    return Built(Project.open(tmp_path / "p"), tmp_path / "set")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(_socket: socket.socket, address: object) -> None:
        raise AssertionError(f"a connection to {address}")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket.socket, "connect_ex", refuse)
        yield


def contents(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hash_file(p) for p in folder.rglob("*") if p.is_file()}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


# --- the same bytes ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
def test_the_whole_folder_comes_again_from_another_place_without_sources_or_models(built: Built) -> None:
    shutil.rmtree(built.project.root / "images")
    (built.project.root / "rows.jsonl").unlink()
    made = rebuild(built.out, built.project)
    assert (made.identical, made.differing, made.missing, made.exit_code) == (True, (), (), 0)
    assert made.out == built.again
    assert (made.rows, made.versions[0]) == (20, made.versions[1])
    with closing(Cache(built.out.with_name("set.work") / "answers.sqlite")) as cache:
        assert made.answers == len(cache.keys())
    assert contents(built.again) == contents(built.out)
    assert sorted(path.name for path in built.out.parent.iterdir()) == ["p", "set", "set.rebuilt", "set.work"]


@pytest.mark.usefixtures("no_network")
def test_the_demo_is_made_again_twice_in_the_same_place(tmp_path: Path) -> None:
    build(Project.default(), out=tmp_path / "set", limit=60)
    first = rebuild(tmp_path / "set", out=tmp_path / "other")
    assert first.identical
    assert rebuild(tmp_path / "set", out=tmp_path / "other").identical
    assert contents(tmp_path / "other") == contents(tmp_path / "set")


def test_answers_of_a_caller_s_own_model_are_remembered_too(tmp_path: Path) -> None:
    own = Fake(lambda _: '{"reason": "It is.", "verdict": "yes"}', identity="fake/1")
    build(Project.default(), out=tmp_path / "set", limit=30, llms={"judge": own})
    assert rebuild(tmp_path / "set").identical


# --- what is missing, what differs -------------------------------------------------------------------


@pytest.mark.usefixtures("no_network")
def test_a_missing_answer_is_listed_by_row_and_step(built: Built) -> None:
    (trace,) = show("0001", out=built.out)
    gone = trace.exchanges[-1]
    answers = built.out.with_name("set.work") / "answers.sqlite"
    with closing(Cache(answers)) as cache:
        cache.remove([bytes.fromhex(gone.key)])
    made = rebuild(built.out, built.project, cache=answers)
    assert made.missing == (MissingAnswer(row="sums/0001", step=gone.step),)
    assert "manifest.json" in made.differing
    assert (made.identical, made.exit_code) == (False, 3)

    said = run("rebuild", built.out, built.project.root, "--cache", answers)
    assert said.exit_code == 3
    assert f"  {gone.step}: sums/0001\n" in said.stdout
    assert "differs: manifest.json\n" in said.stdout


def test_files_that_differ_are_named(built: Built) -> None:
    (built.out / "README.md").write_text("my own words\n")
    (built.out / "notes.txt").write_text("a file of my own\n")
    assert rebuild(built.out, built.project).differing == ("README.md", "notes.txt")


def test_a_row_that_had_failed_is_missing_again(tmp_path: Path) -> None:
    """It has no answer: the folder is the same, and the row is still listed."""
    with ChatServer(
        lambda body: (500, {}, "tired") if "What is 5 plus" in str(body) else solve(body)
    ) as server:
        project = sums_project(tmp_path / "p", server.url, count=12, tries=1)
        assert build(project, out=tmp_path / "set").funnel.failed == 1
    made = rebuild(tmp_path / "set")
    assert made.missing == (MissingAnswer(row="sums/0005", step="distill"),)
    assert (made.identical, made.exit_code) == (True, 3)


def test_a_changed_project_is_refused_and_each_file_named(built: Built) -> None:
    set_key(built.project, "verifiers/cues.toml", "match", "substring")
    (built.project.root / "generators/2_caption.md").write_text(
        (built.project.root / "generators/2_caption.md").read_text() + "\nBe brief.\n"
    )
    (built.project.root / "verifiers/more.toml").write_text("")
    with pytest.raises(SetupError) as caught:
        rebuild(built.out, built.project)
    for word in (
        "generators/2_caption.md was changed",
        "verifiers/cues.toml was changed",
        "verifiers/more.toml is new",
    ):
        assert word in str(caught.value)
    assert not built.again.exists()
    assert run("rebuild", built.out, built.project.root).exit_code == 2


# --- what cannot be made again ------------------------------------------------------------------------


def test_the_folder_itself_is_no_new_place(built: Built) -> None:
    with pytest.raises(OutputError, match="is the folder itself"):
        rebuild(built.out, built.project, out=built.out)


def test_a_folder_of_somebody_else_s_is_left_alone(built: Built) -> None:
    built.again.mkdir()
    (built.again / "mine.txt").touch()
    with pytest.raises(OutputError, match="was not made by `build`"):
        rebuild(built.out, built.project)
    assert rebuild(built.out, built.project, replace=True).identical
    assert (built.out.with_name("set.rebuilt.work") / "previous/mine.txt").is_file()


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("run.json", "holds no finished build"),
        ("spool.sqlite", "does not hold the rows of this dataset any more"),
        ("images", "lacks the images of 20 rows"),
        ("answers.sqlite", "there is no answer cache"),
    ],
)
def test_what_the_work_folder_lacks_is_said(built: Built, lost: str, said: str) -> None:
    place = built.out.with_name("set.work") / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    with pytest.raises(OutputError, match=said) as caught:
        rebuild(built.out, built.project, cache=built.out.with_name("set.work") / "answers.sqlite")
    assert "\n" not in str(caught.value)
    assert not built.again.exists()


def test_rows_of_another_build_are_refused(tmp_path: Path) -> None:
    build(Project.default(), out=tmp_path / "set", limit=10)
    build(Project.default(), out=tmp_path / "other", limit=12)
    shutil.copy(tmp_path / "other.work/spool.sqlite", tmp_path / "set.work/spool.sqlite")
    with pytest.raises(OutputError, match="holds 12 rows and this dataset was made of 10"):
        rebuild(tmp_path / "set")


def test_an_imported_release_is_not_rebuilt(tmp_path: Path) -> None:
    make_release(tmp_path / "release", 40)
    import_release(tmp_path / "release", out=tmp_path / "set", embed=False)
    with pytest.raises(OutputError, match="vlaa-thinking import"):
        rebuild(tmp_path / "set")


def test_the_command_says_what_it_did(built: Built, tmp_path: Path) -> None:
    said = run("rebuild", built.out, built.project.root, "--out", tmp_path / "new")
    assert said.exit_code == 0
    assert "20 rows rebuilt from" in said.stdout
    assert said.stdout.endswith(f"{tmp_path / 'new'} is the same bytes as {built.out}\n")

"""The package as it is shipped: the wheel, the sdist, an editable install, the command line's surface."""

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
import typer.testing
from packaging.requirements import Requirement

import vlaa_thinking

ROOT = Path(__file__).parents[1]
DATA = ("generators", "verifiers", "cards", "recipes")
CODE = ("vlaa_thinking", *DATA)
DIST_INFO = f"vlaa_thinking-{vlaa_thinking.__version__}.dist-info"
LIBRARIES = sysconfig.get_path("purelib")
HEAVY = (
    "anthropic",
    "datasets",
    "math_verify",
    "openai",
    "pandas",
    "pyarrow",
    "torch",
    "transformers",
    "trl",
)


def run(*command: object, cwd: Path) -> str:
    """Run a command that must succeed, as a plain user would, and return what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))
    }
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def tree(root: Path) -> list[str]:
    """Name the files that belong to the project: those that git does not ignore, or all but what tools leave."""
    if (root / ".git").exists():
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = run(*listed, cwd=root).split("\0")
    else:
        left = re.compile(
            r"(^|/)(\.[^/]*|__pycache__|build|dist|vlaa-dataset(\.work)?|[^/]*\.egg-info)/|\.py[cod]$"
        )
        paths = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        names = [name for name in paths if not left.search(name)]
    return sorted({name for name in names if name and (root / name).is_file()})


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project's files, so that no build leaves anything beside the originals."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in tree(ROOT):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tree."""
    out = tmp_path_factory.mktemp("direct")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, cwd=checkout)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="session")
def through_sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist from the tree and the wheel from the sdist; return their folder."""
    out = tmp_path_factory.mktemp("through_sdist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=checkout)
    return out


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Make a fresh environment with nothing but pip in it."""
    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    return tmp_path / "venv" / "bin" / "python"


def site_packages(python: Path) -> Path:
    (folder,) = python.parents[1].glob("lib/python*/site-packages")
    return folder


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


# --- the wheel ------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_the_default_project_and_nothing_else(
    checkout: Path, wheel: Path
) -> None:
    code = {name for name in tree(checkout) if name.startswith("vlaa_thinking/")}
    data = {
        f"vlaa_thinking/_project/{name}"
        for name in tree(checkout)
        if name.startswith(tuple(f"{folder}/" for folder in DATA))
    }
    info = {
        f"{DIST_INFO}/{name}"
        for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    assert members(wheel) == code | data | info
    assert "vlaa_thinking/py.typed" in code


@pytest.mark.parametrize("folder", DATA)
def test_the_folders_of_the_default_project_are_data_not_packages(checkout: Path, folder: str) -> None:
    names = [name for name in tree(checkout) if name.startswith(f"{folder}/")]
    assert names, f"{folder}/ is empty"
    assert not [name for name in names if name.endswith("__init__.py")]


def test_the_wheel_is_the_same_through_the_sdist(wheel: Path, through_sdist: Path) -> None:
    (second,) = through_sdist.glob("*.whl")
    assert second.name == wheel.name
    assert members(second) == members(wheel)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(second) as other:
        assert {name: one.read(name) for name in one.namelist()} == {
            name: other.read(name) for name in other.namelist()
        }


def test_the_sdist_holds_the_sources_the_tests_and_no_junk(checkout: Path, through_sdist: Path) -> None:
    (sdist,) = through_sdist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    files = {"README.md", "CHANGELOG.md", "LICENSE", "constraints.txt", "pyproject.toml"}
    folders = tuple(f"{name}/" for name in (*CODE, "tests"))
    expected = {name for name in tree(checkout) if name in files or name.startswith(folders)}
    assert files < expected
    assert "tests/test_package.py" in expected
    assert names == expected | {"PKG-INFO", ".gitignore"}


def test_one_command_is_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read(f"{DIST_INFO}/entry_points.txt").decode().split("\n")
    assert [line for line in lines if line] == ["[console_scripts]", "vlaa-thinking = vlaa_thinking.cli:app"]


def test_check_wheel_contents_finds_nothing(checkout: Path, wheel: Path) -> None:
    assert run(sys.executable, "-m", "check_wheel_contents", wheel, cwd=checkout).endswith(": OK\n")


def test_an_index_takes_both_files(checkout: Path, wheel: Path, through_sdist: Path) -> None:
    (sdist,) = through_sdist.glob("*.tar.gz")
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", wheel, sdist, cwd=checkout)
    assert [line.partition(": ")[2] for line in said.splitlines()] == ["PASSED", "PASSED"]


def test_what_an_index_shows_of_the_package_is_complete(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        told = email.message_from_bytes(archive.read(f"{DIST_INFO}/METADATA"))
    assert (told["Name"], told["Version"]) == ("vlaa-thinking", vlaa_thinking.__version__)
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Description-Content-Type"] == "text/markdown"
    assert told["Requires-Python"] == ">=3.11"
    assert 20 < len(told["Summary"]) < 200
    assert any("2504.11468" in url for url in told.get_all("Project-URL", []))
    kinds = {line.partition(" ::")[0] for line in told.get_all("Classifier", [])}
    assert kinds >= {"Development Status", "Intended Audience", "Operating System", "Topic", "Typing"}


def test_the_readme_is_rendered_as_an_index_does() -> None:
    from readme_renderer import markdown  # noqa: PLC0415 - for this test alone

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = markdown.render(text)
    assert shown is not None
    assert shown.count("<pre") == len(re.findall(r"(?m)^```", text)) / 2
    assert shown.count("<h2") == len(re.findall(r"(?m)^## ", text))
    assert "```" not in shown


def test_an_installed_wheel_adds_one_package_and_one_command(
    python: Path, wheel: Path, tmp_path: Path
) -> None:
    site, scripts = site_packages(python), python.parent
    before = {path.name for path in (*site.iterdir(), *scripts.iterdir())}
    run(
        python,
        "-m",
        "pip",
        "install",
        "--isolated",
        "--no-index",
        "--no-deps",
        "--no-compile",
        wheel,
        cwd=tmp_path,
    )
    added = {path.name for path in (*site.iterdir(), *scripts.iterdir())} - before
    assert added == {"vlaa_thinking", DIST_INFO, "vlaa-thinking"}

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    find = f"from importlib.util import find_spec; print([name for name in {CODE} if find_spec(name)])"
    assert run(python, "-c", find, cwd=elsewhere) == "['vlaa_thinking']\n"

    # The dependencies are this environment's; its own copy of the package comes after the installed one.
    default = (
        f"import sys; sys.path.append({LIBRARIES!r}); "
        "from vlaa_thinking import Project; print(Project.default().root)"
    )
    assert Path(run(python, "-c", default, cwd=elsewhere).strip()) == site / "vlaa_thinking" / "_project"

    (site / "libraries.pth").write_text(f"{LIBRARIES}\n")
    said = run(scripts / "vlaa-thinking", "build", "--limit", "20", cwd=elsewhere)
    assert 'load_dataset("' in said
    load = 'from datasets import load_dataset; print(len(load_dataset("vlaa-dataset", "sft", split="train")))'
    assert int(run(python, "-c", load, cwd=elsewhere).split()[-1]) > 0


# --- an editable install --------------------------------------------------------------------------


def test_an_editable_install_is_a_path_and_hides_no_other_package(
    checkout: Path, python: Path, tmp_path: Path
) -> None:
    site = site_packages(python)
    libraries = site / "libraries.pth"  # the build backend is this environment's
    libraries.write_text(f"{LIBRARIES}\n")
    before = set(site.iterdir())
    options = ("--isolated", "--no-index", "--no-deps", "--no-build-isolation", "--no-compile")
    run(python, "-m", "pip", "install", *options, "--editable", checkout, cwd=tmp_path)
    libraries.unlink()

    added = set(site.iterdir()) - before
    (entry,) = (path for path in added if path.suffix == ".pth")
    assert entry.read_text().strip() == str(checkout)
    assert {path.name for path in added} == {entry.name, DIST_INFO}
    imported = run(python, "-c", "import vlaa_thinking; print(vlaa_thinking.__file__)", cwd=tmp_path)
    assert imported.strip() == str(checkout / "vlaa_thinking" / "__init__.py")

    real = site / "verifiers" / "__init__.py"
    real.parent.mkdir()
    real.touch()
    for folder in (tmp_path, checkout):
        found = run(python, "-B", "-c", "import verifiers; print(verifiers.__file__)", cwd=folder)
        assert found.strip() == str(real)


# --- the command line -----------------------------------------------------------------------------


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = f"""
import contextlib, sys
from vlaa_thinking.cli import app
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None):
    app(["--help"])
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert run(sys.executable, "-c", program, cwd=tmp_path) == "[]\n"


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Walk the commands of a Typer app, however deep."""
    for name, command in getattr(group, "commands", {}).items():
        yield (*path, name), command
        yield from commands(command, (*path, name))


def test_every_command_says_what_it_does_in_one_line_and_shows_an_example() -> None:
    from vlaa_thinking.cli import app  # noqa: PLC0415 - one broken import should fail one test

    every = list(commands(typer.main.get_command(app)))
    assert {path[0] for path, _ in every} >= {"build", "init", "show"}
    for path, command in every:
        shown = typer.testing.CliRunner().invoke(app, [*path, "--help"])
        assert shown.exit_code == 0, shown.output
        first, *rest = (command.help or "").strip().split("\n")
        assert re.fullmatch(r"[A-Z].*\.", first), f"{path}: no sentence in its first line: {first!r}"
        assert not rest or not rest[0].strip(), f"{path}: its first sentence does not fit its first line"
        assert "Example" in shown.output, f"{path}: no example"
        assert f"vlaa-thinking {' '.join(path)}" in shown.output.partition("Example")[2], (
            f"{path}: another's example"
        )


# --- the files beside -----------------------------------------------------------------------------


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(
        r"^## \[([^]]+)\] - (?:unreleased|\d{4}-\d\d-\d\d)$", changelog(), flags=re.MULTILINE
    )
    assert headings[0] == vlaa_thinking.__version__
    assert len(headings) == len(re.findall(r"^## ", changelog(), flags=re.MULTILINE))


def changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_pin_what_is_asked_for() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins: dict[str, str] = {}
    for line in lines:
        if not line.startswith("#"):
            pinned = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
            assert pinned, f"neither a comment nor a plain pin: {line}"
            pins[normal(pinned[1])] = pinned[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    wanted = [Requirement(text) for text in asked if normal(Requirement(text).name) != "vlaa-thinking"]
    assert not [str(each) for each in wanted if not each.specifier.contains(pins.get(normal(each.name), "0"))]
    assert pins["torch"] == "2.13.0"
    assert "torchvision" not in pins


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

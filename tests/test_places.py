"""Where a build writes: one build at a time, the folder whole or not at all, nothing of anybody's lost."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sums_project import files

from vlaa_thinking.dataset import write_manifest
from vlaa_thinking.errors import OutputError
from vlaa_thinking.places import MANIFEST, Places


def fill(folder: Path, text: str) -> None:
    """Write a small dataset folder as a build would, its manifest last."""
    (folder / "sft").mkdir(parents=True)
    (folder / "sft/train.parquet").write_text(text)
    (folder / "README.md").write_text(f"About {text}.\n")
    write_manifest(folder, {"made_by": "vlaa-thinking"})


def make(out: Path, text: str, *, replace: bool = False) -> bool:
    """Do what a build does with its places."""
    with Places(out, replace=replace) as places:
        shutil.rmtree(places.next, ignore_errors=True)
        fill(places.next, text)
        return places.put()


def text_in(folder: Path) -> str:
    return (folder / "sft/train.parquet").read_text()


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Tell the time and the inode of everything in a folder, itself included."""
    found = {p: p.stat() for p in (folder, *folder.rglob("*"))}
    return {str(path): (stat.st_mtime_ns, stat.st_ino) for path, stat in found.items()}


def test_a_folder_is_put_in_its_place_and_the_one_before_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "deep/er/out"
    assert make(out, "one")
    assert sorted(files(out)) == ["README.md", MANIFEST, "sft/train.parquet"]
    assert make(out, "two")
    assert (text_in(out), text_in(tmp_path / "deep/er/out.work/previous")) == ("two", "one")
    assert make(out, "three")
    assert (text_in(out), text_in(tmp_path / "deep/er/out.work/previous")) == ("three", "two")
    assert sorted(p.name for p in (tmp_path / "deep/er/out.work").iterdir()) == ["lock", "previous"]


def test_equal_bytes_leave_out_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "one")
    before = stamps(out)
    assert make(out, "one") is False
    assert stamps(out) == before
    assert not (tmp_path / "out.work/next").exists()
    assert not (tmp_path / "out.work/previous").exists()
    assert make(out, "two") is True
    assert stamps(out) != before


def test_an_empty_folder_may_be_written_into(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert make(tmp_path / "out", "one")
    assert text_in(tmp_path / "out") == "one"


def test_an_out_behind_a_link_stays_behind_it(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "out").symlink_to("big/out")
    make(tmp_path / "out", "one")
    make(tmp_path / "out", "two")
    assert (tmp_path / "out").is_symlink()
    assert (text_in(tmp_path / "big/out"), text_in(tmp_path / "big/out.work/previous")) == ("two", "one")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big", "out"]


def test_a_path_may_be_given_from_the_shell_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert Places("out").out == tmp_path / "here/out"
    assert Places("..").work == tmp_path.with_name(f"{tmp_path.name}.work")
    assert Places("out/../other/").images == tmp_path / "here/other.work/images"


def test_the_root_cannot_be_an_output_folder() -> None:
    with pytest.raises(OutputError, match=r"^/ cannot be an output folder: name a folder inside it$"):
        Places("/")


# --- the lock -------------------------------------------------------------------------------------


def test_one_build_at_a_time(tmp_path: Path) -> None:
    with Places(tmp_path / "out"):
        with pytest.raises(OutputError, match=f"^another build is writing {tmp_path}/out: wait for it"):
            Places(tmp_path / "out").__enter__()
        with Places(tmp_path / "other"):
            pass
    with Places(tmp_path / "out"):
        pass


def test_a_refused_build_holds_no_lock(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "one")
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"mine\.txt") as first:
        Places(out).__enter__()
    (out / "mine.txt").unlink()
    assert make(out, "two")  # while the first error, with its frames, is still alive
    assert first.value.args


def test_the_lock_of_a_killed_build_is_gone_with_it(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from vlaa_thinking.places import Places\n"
        "with Places(sys.argv[1]):\n"
        "    print('in', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "in\n")
    assert (tmp_path / "out.work/lock").exists()
    assert make(tmp_path / "out", "one")


# --- the swap -------------------------------------------------------------------------------------

KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from test_places import fill
from vlaa_thinking.places import Places

def watch(event, args):
    if event == "os.rename" and str(args[0]).endswith("out.work/next"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
with Places(sys.argv[1]) as places:
    fill(places.next, "two")
    places.put()
"""


def test_a_swap_that_was_killed_between_its_two_renames_is_completed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "one")
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}){KILLED_BETWEEN}",
    ]
    done = subprocess.run([*command, str(out)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    assert not out.exists()
    assert text_in(tmp_path / "out.work/previous") == "one"
    with Places(out):
        assert text_in(out) == "two"
    assert (text_in(out), text_in(tmp_path / "out.work/previous")) == ("two", "one")


def test_a_folder_that_is_not_whole_is_not_brought_to_out(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(tmp_path / "out.work/next", "one")
    (tmp_path / "out.work/next/README.md").unlink()
    with Places(out):
        assert not out.exists()
    (tmp_path / "out.work/next" / MANIFEST).unlink()
    with Places(out):
        assert not out.exists()


# --- what is not ours -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "{}", '{"files": {}}', '{"made_by": "somebody", "files": {}}', '{"made_by": "vlaa-thinking"}'],
)
def test_a_folder_without_a_manifest_of_ours_is_foreign(tmp_path: Path, manifest: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text(manifest)
    with pytest.raises(OutputError, match="was not made by `build`"):
        make(out, "one")
    assert files(out) == {MANIFEST: manifest.encode()}
    assert not (tmp_path / "out.work").exists()


def test_what_is_changed_while_a_build_runs_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "one")
    with Places(out) as places:
        fill(places.next, "two")
        (out / "sft/train.parquet").write_text("eno")
        with pytest.raises(OutputError, match=r"sft/train.parquet is not as `build` wrote it"):
            places.put()
    assert text_in(out) == "eno"


def test_a_large_file_is_compared_by_content_before_it_is_replaced(tmp_path: Path) -> None:
    out, text = tmp_path / "out", "x" * 2_000_000
    make(out, text)
    (out / "sft/train.parquet").write_text("y" + text[1:])
    with pytest.raises(OutputError, match=r"sft/train.parquet is not as `build` wrote it"):
        make(out, "two")
    with pytest.raises(OutputError, match=r"sft/train.parquet is not as `build` wrote it"):
        make(out, text)  # nor is it taken for the same
    assert text_in(out).startswith("yx")


def test_replace_moves_away_and_deletes_only_what_build_can_make_again(tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / "out.work"
    for number in (1, 2):
        if out.exists():
            shutil.rmtree(out)
        out.mkdir()
        (out / "mine.txt").write_text(f"mine {number}")
        assert make(out, f"made {number}", replace=True)
        assert files(work / "previous") == {"mine.txt": f"mine {number}".encode()}
    make(out, "made 3")
    make(out, "made 4")
    assert (text_in(out), text_in(work / "previous")) == ("made 4", "made 3")
    assert files(work / "previous-1") == {"mine.txt": b"mine 1"}
    assert files(work / "previous-2") == {"mine.txt": b"mine 2"}


def test_replace_moves_a_file_away_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    make(out, "one", replace=True)
    make(out, "two")
    assert (tmp_path / "out.work/previous-1").read_text() == "mine"
    assert json.loads((out / MANIFEST).read_text())["files"].keys() == {"README.md", "sft/train.parquet"}


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        OutputError, match=f"^{tmp_path}/file/out.work cannot be written: Not a directory; name"
    ):
        make(tmp_path / "file/out", "one")
    (tmp_path / "out.work").write_text("mine")
    with pytest.raises(OutputError, match=f"^{tmp_path}/out.work cannot be written: File exists; name"):
        make(tmp_path / "out", "one")

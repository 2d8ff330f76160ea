"""Two states of a dataset: what is different, what follows for the version, what the changelog says."""

import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.testing
from tampered import edit, file_of, manifest_of, rewrite, rows_of, seal, write_manifest

from vlaa_thinking import Diff, Project, build, diff
from vlaa_thinking.cli import app
from vlaa_thinking.errors import OutputError, SetupError


@pytest.fixture(scope="module")
def a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("diff") / "set"
    build(Project.default(), out=out, limit=80)
    return out


@pytest.fixture
def b(a: Path, tmp_path: Path) -> Path:
    return shutil.copytree(a, tmp_path / "b")


def total(found: Diff) -> tuple[int, int]:
    return sum(rows for rows, _ in found.rows.values()), sum(rows for _, rows in found.rows.values())


def check_sums(found: Diff) -> None:
    """See that every row is counted once."""
    before, after = total(found)
    both = before - sum(found.removed.values())
    assert both == after - sum(found.added.values())
    assert found.same + found.changed <= both <= found.same + found.changed + sum(found.moved.values())


def test_a_dataset_is_like_itself(a: Path, b: Path) -> None:
    found = diff(a, b)
    assert found.part is None
    assert found.changelog() == ""
    assert found.after("1.2.3") == "1.2.3"
    assert found.same == total(found)[0] == total(found)[1] > 70
    assert (found.added, found.removed, found.moved, found.columns, found.examples) == ({}, {}, {}, {}, {})
    assert found.changed == 0


def test_more_rows_are_a_minor_version(a: Path, tmp_path: Path) -> None:
    build(Project.default(), out=tmp_path / "b", limit=100)
    found = diff(a, tmp_path / "b")
    assert sum(found.added.values()) == 20
    assert not found.removed
    assert found.part == "minor"
    assert found.after("1.0.4") == "1.1.0"
    assert found.changelog().startswith("### Added\n\n- 20 rows: ")
    check_sums(found)
    back = diff(tmp_path / "b", a)
    assert back.removed == found.added
    assert back.changelog().startswith("### Changed") or back.changelog().startswith(
        "### Removed\n\n- 20 rows: "
    )


def test_rows_are_told_apart_by_what_became_of_them(a: Path, b: Path) -> None:
    left = [row["id"] for row in rows_of(b)[5:7]]
    rewrite(b, lambda rows: [{**rows[0], "id": "mine/1"}, *rows[:5], *rows[7:]])
    changed = [edit(b, place, reasoning="I see it.") for place in (2, 3)]
    changed.append(edit(b, 4, reasoning="I see it.", caption=None))
    found = diff(a, b)
    check_sums(found)
    assert found.added == {"sft/train": 1}
    assert found.removed == {"sft/train": 2}
    assert found.changed == 3
    assert found.columns == {"reasoning": 3, "caption": 1}
    assert found.examples == {"added": ("mine/1",), "changed": tuple(changed), "removed": tuple(left)}
    assert found.rows["sft/train"] == (len(rows_of(a)), len(rows_of(a)) - 1)
    assert found.changelog() == (
        "### Added\n\n- 1 row: sft/train 1.\n\n"
        "### Changed\n\n- 3 rows changed: `reasoning` in 3, `caption` in 1.\n\n"
        "### Removed\n\n- 2 rows: sft/train 2.\n"
    )


def test_a_changed_rule_moves_rows_and_names_its_file(a: Path, tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    cues = tmp_path / "p/verifiers/cues.toml"
    cues.write_text(re.sub(r"(?m)^phrases = .*", 'phrases = ["alternatively"]', cues.read_text()))
    build(project, out=tmp_path / "b", limit=80)
    found = diff(a, tmp_path / "b")
    check_sums(found)
    assert found.files == ("verifiers/cues.toml",)
    assert ("rl/train", "sft/train") in found.moved
    assert found.columns["decided_by"] == total(found)[0]  # every row was decided by the other list
    assert found.part == "minor"
    moved = found.moved["rl/train", "sft/train"]
    assert f"- {moved} row{'s' if moved > 1 else ''} moved from rl/train to sft/train.\n" in found.changelog()
    assert "- Decided by other files: `verifiers/cues.toml`.\n" in found.changelog()


def test_another_model_is_named(a: Path, b: Path) -> None:
    manifest = manifest_of(b)
    manifest["models"]["reasoner"] |= {"model": "o9", "name": "thinker"}
    manifest["models"]["judge"]["params"]["seed"] = 7
    del manifest["models"]["rewriter"]
    write_manifest(b, manifest)
    assert diff(a, b).models == (
        "The reasoner was `teacher`, and is `o9`.",
        "The rewriter was `teacher`, and is nobody.",
        "The judge is `teacher` as before, with other settings.",
    )


def test_the_card_alone_is_a_patch(a: Path, b: Path) -> None:
    with (b / "README.md").open("a") as readme:
        readme.write("\nOne more line.\n")
    seal(b)
    found = diff(a, b)
    assert found.card
    assert found.part == "patch"
    assert found.after("v1.0.9") == "1.0.10"
    assert found.changelog() == "### Changed\n\n- The card; every row is as it was.\n"


def with_column(table: pa.Table) -> pa.Table:
    return table.append_column("mood", pa.array(["good"] * len(table)))


def without_column(table: pa.Table) -> pa.Table:
    return table.drop_columns(["why"])


def retyped(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("word_gap")
    return table.set_column(place, "word_gap", table["word_gap"].cast("int64"))


SCHEMA = {
    "a new column": (with_column, "`sft` has a new column `mood`."),
    "a lost column": (without_column, "`sft` has no column `why` any more."),
    "another type": (retyped, "`word_gap` of `sft` is int64, and was int32."),
}


@pytest.mark.parametrize(("change", "sentence"), SCHEMA.values(), ids=SCHEMA)
def test_a_changed_schema_is_a_major_version(a: Path, b: Path, change: Any, sentence: str) -> None:
    file = file_of(b)
    pq.write_table(change(pq.read_table(file)), file)
    seal(b)
    found = diff(a, b)
    assert found.schema == (sentence,)
    assert found.part == "major"
    assert found.after("1.2.3") == "2.0.0"
    assert f"- {sentence}\n" in found.changelog()
    assert found.changed == 0  # a column that only one side has changes no row


def test_a_config_that_went_breaks_who_loads_it(a: Path, b: Path) -> None:
    file_of(b, "rl/train").unlink()
    manifest = manifest_of(b)
    del manifest["splits"]["rl"]
    write_manifest(b, manifest)
    seal(b)
    found = diff(a, b)
    assert found.schema == ("The config `rl` is gone.",)
    assert found.removed == {"rl/train": len(rows_of(a, "rl/train"))}


def test_rows_of_one_id_are_held_against_each_other_one_by_one(a: Path, b: Path, tmp_path: Path) -> None:
    again = shutil.copytree(a, tmp_path / "again")
    for folder in (b, again):
        rewrite(folder, lambda rows: [*rows, rows[0], rows[0]], "rejected/train")
    edit(b, 0, "rejected/train", reason="another")
    found = diff(again, b)
    check_sums(found)
    assert (found.changed, found.added, found.removed) == (1, {}, {})
    rewrite(b, lambda rows: rows[:-1], "rejected/train")
    assert diff(again, b).removed == {"rejected/train": 1}


def test_a_copy_in_the_same_split_is_preferred(a: Path, b: Path) -> None:
    """A kept row whose id a rejected one shares has moved nowhere."""
    twin = rows_of(b)[0]["id"]
    edit(b, 0, "rejected/train", id=twin)
    found = diff(b, b)
    assert found.part is None
    assert found.same == total(found)[0]
    assert diff(a, b).added == {"rejected/train": 1}


@pytest.mark.parametrize("version", ["1.0", "1.0.x", "one", "1.0.0-rc1", ""])
def test_what_is_no_version_is_one_sentence(a: Path, version: str) -> None:
    with pytest.raises(SetupError, match=r"is no version: write it as 1\.0\.0"):
        diff(a, a).after(version)


def test_what_is_no_dataset_is_refused(a: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is no folder"):
        diff(a, tmp_path / "nowhere")
    with pytest.raises(OutputError, match=r"holds no manifest\.json"):
        diff(tmp_path, a)


def test_the_command_tells_it(a: Path, b: Path) -> None:
    runner = typer.testing.CliRunner()
    same = runner.invoke(app, ["diff", str(a), str(b)])
    assert same.exit_code == 0
    assert "there is nothing to publish" in same.output
    edit(b, 0, reasoning="I see it.")
    changed = runner.invoke(app, ["diff", str(a), str(b), "--last", "1.0.0"])
    assert changed.exit_code == 0
    assert (
        "A minor version, for rows changed: 1.0.0 becomes 1.1.0. Its entry in CHANGELOG.md:" in changed.output
    )
    assert "- 1 row changed: `reasoning` in 1." in changed.output
    wrong = runner.invoke(app, ["diff", str(a), str(b), "--last", "one"])
    assert wrong.exit_code == 2

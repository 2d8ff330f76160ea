"""An audit finds what is not as it should be, names it, and finds nothing else."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer.testing
from made_release import make_release
from tampered import edit, file_of, manifest_of, rewrite, rows_of, seal, write_manifest

from vlaa_thinking import Audit, Project, audit, build, import_release
from vlaa_thinking.auditing import EXAMPLES, WHAT
from vlaa_thinking.cli import app
from vlaa_thinking.dataset import root_of
from vlaa_thinking.errors import OutputError, SetupError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("audit") / "set"
    build(Project.default(), out=out, limit=150)
    return out


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "set")


def codes(found: Audit) -> list[str]:
    return [finding.code for finding in found.findings]


def place_of(folder: Path, answer_type: str, split: str = "sft/train", **columns: Any) -> int:
    """Find a row of an answer type that a rule called right."""
    for place, row in enumerate(rows_of(folder, split)):
        told = {"score_by": "rule", **columns}
        if row["answer_type"] == answer_type and all(row[name] == value for name, value in told.items()):
            return place
    raise AssertionError(f"the demo has no such row of {answer_type}")


def test_a_built_folder_agrees_with_itself(made: Path) -> None:
    found = audit(made)
    assert found.findings == ()
    assert found.exit_code == 0
    manifest = manifest_of(made)
    assert found.files == len(manifest["files"])
    assert found.bytes == sum(file["bytes"] for file in manifest["files"].values())
    assert sum(found.rows.values()) == manifest["rows"]["kept"] + manifest["rows"]["dropped"]
    assert found.answers == manifest["rows"]["kept"]
    assert found.verdicts + sum(found.unreached.values()) == sum(found.rows.values())
    assert found.verdicts > found.answers / 2


def test_an_imported_folder_agrees_with_itself(tmp_path: Path) -> None:
    make_release(tmp_path / "release", 200)
    import_release(tmp_path / "release", out=tmp_path / "set")
    found = audit(tmp_path / "set")
    assert found.findings == ()
    assert found.answers > 50
    import_release(tmp_path / "release", out=tmp_path / "bare", embed=False)
    assert audit(tmp_path / "bare").findings == ()


# --- files ----------------------------------------------------------------------------------------


def flip(folder: Path) -> None:
    path = file_of(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(folder: Path) -> None:
    readme = folder / "README.md"
    readme.write_bytes(readme.read_bytes()[:-1])


def cut_off(folder: Path) -> None:
    path = file_of(folder)
    path.write_bytes(path.read_bytes()[:1000])
    manifest = manifest_of(folder)
    seal_files_only(folder, manifest)


def seal_files_only(folder: Path, manifest: dict[str, Any]) -> None:
    """Seal a folder one of whose files cannot be counted any more."""
    from vlaa_thinking.places import hash_file  # noqa: PLC0415

    for name, facts in manifest["files"].items():
        facts |= {"bytes": (folder / name).stat().st_size, "sha256": hash_file(folder / name)}
    manifest["root_sha256"] = root_of(manifest["files"])
    write_manifest(folder, manifest)


def lose(folder: Path) -> None:
    file_of(folder, "rl/train").unlink()


def add(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def miscount(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["splits"]["sft"]["train"]["rows"] += 1
    write_manifest(folder, manifest)


def misname_the_root(folder: Path) -> None:
    write_manifest(folder, {**manifest_of(folder), "root_sha256": "0" * 64})


def drop_column(folder: Path) -> None:
    file = file_of(folder)
    pq.write_table(pq.read_table(file).drop_columns(["why"]), file)
    seal(folder)


def other_type(folder: Path) -> None:
    file = file_of(folder)
    table = pq.read_table(file)
    place = table.schema.get_field_index("word_gap")
    pq.write_table(table.set_column(place, "word_gap", table["word_gap"].cast("int64")), file)
    seal(folder)


FILES: dict[str, tuple[Callable[[Path], None], list[str], str]] = {
    "a flipped bit": (flip, ["changed_file"], "sft/train-00000-of-00001.parquet"),
    "a shorter card": (shorten, ["changed_file"], "README.md"),
    "half a file": (cut_off, ["unreadable_file", "wrong_count"], "sft/train-00000-of-00001.parquet"),
    "a lost file": (lose, ["missing_file", "wrong_count"], "rl/train-00000-of-00001.parquet"),
    "a foreign file": (add, ["unknown_file"], "notes.txt"),
    "a wrong count": (miscount, ["wrong_count"], "sft/train"),
    "a root of other rows": (misname_the_root, ["wrong_root"], "0" * 64),
    "a column that went": (drop_column, ["wrong_columns"], "without why"),
    "a column of another type": (other_type, ["wrong_columns"], "word_gap is int64, not int32"),
}


@pytest.mark.parametrize(("change", "expected", "named"), FILES.values(), ids=FILES)
def test_what_is_wrong_with_files(
    folder: Path, change: Callable[[Path], None], expected: list[str], named: str
) -> None:
    change(folder)
    found = audit(folder)
    if change is flip and "changed_file" in codes(found):
        # Where the bit lies decides what else it harms: a page of text, an image, or nothing that is read.
        assert named in str(found.findings[codes(found).index("changed_file")].examples)
    else:
        assert codes(found) == expected
        assert named in found.findings[0].examples[0]
    assert found.exit_code == 3


def test_what_the_hub_puts_beside_a_dataset_is_no_finding(folder: Path) -> None:
    (folder / ".gitattributes").write_text("*.parquet filter=lfs")
    (folder / ".cache/huggingface").mkdir(parents=True)
    (folder / ".cache/huggingface/x.lock").touch()
    assert audit(folder).findings == ()


# --- rows -----------------------------------------------------------------------------------------


def test_another_answer_is_found_by_its_reply_and_its_completion(folder: Path) -> None:
    name = edit(folder, place_of(folder, "digit"), answer="97")
    found = audit(folder)
    assert codes(found) == ["other_verdict", "wrong_completion"]
    assert all(name in finding.examples[0] and finding.count == 1 for finding in found.findings)
    assert "scores 0, not 1" in found.findings[0].examples[0]


def test_another_answer_in_rl_is_found(folder: Path) -> None:
    edit(folder, place_of(folder, "digit", "rl/train"), "rl/train", answer="97")
    assert codes(audit(folder)) == ["other_verdict"]


def test_an_answer_that_its_own_check_does_not_accept_is_found(folder: Path) -> None:
    edit(folder, place_of(folder, "choice", "rl/train"), "rl/train", answer="Z")
    assert codes(audit(folder)) == ["own_answer", "other_verdict"]


def test_a_dropped_row_that_the_rule_calls_right_is_found(folder: Path) -> None:
    dropped = [
        (place, match[1])
        for place, row in enumerate(rows_of(folder, "rejected/train"))
        if row["code"] == "wrong_answer" and row["answer_type"] in ("digit", "choice", "math")
        if (match := re.match(r"answer: (?!I cannot tell)(.+)\n", row["evidence"]))
    ]
    place, said = dropped[0]
    edit(folder, place, "rejected/train", answer=said)
    found = audit(folder)
    assert codes(found) == ["other_verdict"]
    assert "scores 1, not 0" in found.findings[0].examples[0]


ROWS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a score that is too low": ({"score": 0.25}, ["other_verdict", "kept_wrong"]),
    "an unknown answer type": ({"answer_type": "essay"}, ["wrong_form"]),
    "no reasoning": ({"reasoning": None}, ["wrong_form"]),
    "another's reasoning": ({"reasoning": "I guess."}, ["wrong_completion"]),
    "another image": ({"image": {"bytes": b"not the same", "path": "x.png"}}, ["wrong_image"]),
    "no image": ({"image": None}, ["wrong_image"]),
}


@pytest.mark.parametrize(("columns", "expected"), ROWS.values(), ids=ROWS)
def test_what_is_wrong_with_a_row(folder: Path, columns: dict[str, Any], expected: list[str]) -> None:
    name = edit(folder, place_of(folder, "digit"), **columns)
    found = audit(folder)
    assert codes(found) == expected
    assert all(name in finding.examples[0] for finding in found.findings)


def test_models_and_files_that_are_not_the_manifest_s_are_found(folder: Path) -> None:
    row = rows_of(folder)[0]
    edit(
        folder,
        0,
        models={**row["models"], "reasoner": "oracle"},
        decided_by={**row["decided_by"], "cues": "0" * 16},
    )
    found = audit(folder)
    assert codes(found) == ["unknown_model", "other_files"]
    assert "reasoner: oracle" in found.findings[0].examples[0]
    assert "verifiers/cues.toml" in found.findings[1].examples[0]


def test_a_row_that_stands_in_two_splits_is_found(folder: Path) -> None:
    twice = rows_of(folder, "rl/train")[0]["id"]
    edit(folder, 0, id=twice)
    found = audit(folder)
    assert codes(found) == ["repeated_id"]
    assert found.findings[0].examples == (twice,)


def test_only_a_few_examples_are_kept_of_many(folder: Path) -> None:
    rewrite(folder, lambda rows: [{**row, "reasoning": "I guess."} for row in rows])
    (finding,) = audit(folder).findings
    assert finding.count == len(rows_of(folder)) > EXAMPLES == len(finding.examples)


def test_every_kind_of_disagreement_is_found_by_some_test_above() -> None:
    found = {code for _, expected, _ in FILES.values() for code in expected}
    found |= {code for _, expected in ROWS.values() for code in expected}
    assert set(WHAT) == found | {"own_answer", "unknown_model", "other_files", "repeated_id"}


# --- rules ----------------------------------------------------------------------------------------


def test_the_rules_are_those_that_the_manifest_names(folder: Path) -> None:
    manifest = manifest_of(folder)
    manifest["rules"]["verifiers"]["digit"]["pass"] = 1.5
    write_manifest(folder, manifest)
    assert "kept_wrong" in codes(audit(folder))


def test_a_check_that_a_manifest_names_is_never_imported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    manifest = manifest_of(folder)
    manifest["rules"]["verifiers"]["digit"]["check"] = "evil:check"
    write_manifest(folder, manifest)
    found = audit(folder)
    assert found.findings == ()
    assert 'scored by a check of its project\'s own ("evil:check")' in found.unreached


def test_a_project_s_own_check_is_used_where_it_decided(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    (tmp_path / "p/mine.py").write_text(
        "from vlaa_thinking.checks import digit\n\n\n"
        "def check(prediction, gold):\n    return digit.check(prediction, gold)\n"
    )
    digit = tmp_path / "p/verifiers/digit.toml"
    digit.write_text(digit.read_text().replace("vlaa_thinking.checks.digit:check", "mine:check"))
    build(project, out=tmp_path / "set", limit=60)
    without, beside = audit(tmp_path / "set"), audit(tmp_path / "set", project=project)
    assert without.findings == beside.findings == ()
    assert beside.verdicts > without.verdicts
    of_another = audit(tmp_path / "set", project=Project.default())
    assert "decided by another verifiers/digit.toml than the project's" in of_another.unreached


# --- what cannot be audited -------------------------------------------------------------------------


BROKEN = {
    "no folder": (None, "is no folder: name a dataset folder"),
    "no manifest": ("", "holds no manifest.json"),
    "no JSON": ("{", "cannot be read as JSON"),
    "another's": ('{"made_by": "somebody"}', "was not written by vlaa-thinking"),
    "a list": ("[]", "was not written by vlaa-thinking"),
}


@pytest.mark.parametrize(("text", "sentence"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_dataset_is_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    if text is not None:
        (tmp_path / "set").mkdir()
    if text:
        (tmp_path / "set/manifest.json").write_text(text)
    with pytest.raises(OutputError, match=sentence) as caught:
        audit(tmp_path / "set")
    assert "\n" not in str(caught.value)


def test_a_wrong_project_is_the_set_up_s_fault(made: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        audit(made, project=Project.open(tmp_path))


def test_the_command_s_exit_codes(folder: Path, tmp_path: Path) -> None:
    runner = typer.testing.CliRunner()
    agreed = runner.invoke(app, ["audit", str(folder)])
    assert agreed.exit_code == 0
    assert "Nothing disagrees" in agreed.output
    edit(folder, place_of(folder, "digit"), answer="97")
    found = runner.invoke(app, ["audit", str(folder)])
    assert found.exit_code == 3
    assert "other_verdict (1): The check gives a reply another score" in found.output
    assert "2 kinds of disagreement" in found.output
    missing = runner.invoke(app, ["audit", str(tmp_path / "nowhere")])
    assert missing.exit_code == 2
    assert "error: " in missing.output

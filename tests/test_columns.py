"""The columns of a row: one list for Parquet, for the JSON Schema, and for who reads either."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.testing
from jsonschema import Draft202012Validator, FormatChecker
from made_release import make_release
from tampered import rows_of

from vlaa_thinking import Project, build, import_release, schema
from vlaa_thinking.arrow import arrow_schema
from vlaa_thinking.cli import app
from vlaa_thinking.columns import ALL, COLUMNS
from vlaa_thinking.dataset import CONFIGS
from vlaa_thinking.edition import Edition, read_rows, schema_of
from vlaa_thinking.errors import SetupError


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("columns") / "set"
    build(Project.default(), out=out, limit=150)
    return out


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row as JSON would hold it: an image's bytes in base64."""
    image = row["image"]
    if image:
        row = {**row, "image": {**image, "bytes": base64.b64encode(image["bytes"]).decode()}}
    read: dict[str, Any] = json.loads(json.dumps(row))
    return read


def every_row(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for config, _, files in Edition.open(folder).splits():
        for file in files:
            for lot in read_rows(file):
                yield from ((config, row) for row in lot)


@pytest.mark.parametrize("config", ALL)
def test_each_schema_is_one_and_describes_every_column(config: str) -> None:
    found: Any = schema(config)
    Draft202012Validator.check_schema(found)
    assert list(found["properties"]) == found["required"] == arrow_schema(config).names
    for name, column in found["properties"].items():
        assert column["description"].endswith("."), name
        assert len(column["description"]) > 10, name


def test_the_configs_are_those_of_the_dataset_folder() -> None:
    assert set(ALL) == set(CONFIGS)
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)


def test_every_row_of_a_build_is_what_the_schema_says(demo: Path) -> None:
    forms = {config: Draft202012Validator(schema(config), format_checker=FormatChecker()) for config in ALL}
    rows = list(every_row(demo))
    assert {config for config, _ in rows} == set(ALL)
    wrong = [(row["id"], e.message) for config, row in rows for e in forms[config].iter_errors(as_json(row))]
    assert wrong == []


@pytest.mark.parametrize("embed", [True, False])
def test_every_row_of_an_import_is_what_the_schema_says(tmp_path: Path, *, embed: bool) -> None:
    make_release(tmp_path / "release", 120)
    import_release(tmp_path / "release", out=tmp_path / "set", embed=embed)
    forms = {config: Draft202012Validator(schema(config)) for config in ALL}
    rows = list(every_row(tmp_path / "set"))
    assert len(rows) > 50
    wrong = [(row["id"], e.message) for config, row in rows for e in forms[config].iter_errors(as_json(row))]
    assert wrong == []


def test_the_files_columns_are_the_list_s(demo: Path) -> None:
    for config, _, files in Edition.open(demo).splits():
        for file in files:
            assert schema_of(file).equals(arrow_schema(config))


WRONG: dict[str, dict[str, Any]] = {
    "no such answer type": {"answer_type": "essay"},
    "no question": {"question": None},
    "a score above 1": {"score": 1.5},
    "a box of three numbers": {"boxes": [[0.1, 0.2, 0.3]]},
    "a box in pixels": {"boxes": [[10, 20, 30, 40]]},
    "a hash that is none": {"image_sha256": "abc"},
    "a text for a number": {"word_gap": "3"},
    "a turn without a role": {"prompt": [{"content": "How many?"}]},
    "nobody's verdict": {"score_by": "somebody"},
    "a role that there is not": {"models": {"captain": "m"}},
    "a column too many": {"messages": []},
    "no reasoning to train on": {"reasoning": None},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_no_row_may_hold_is_refused(demo: Path, change: dict[str, Any]) -> None:
    row, form = as_json(rows_of(demo)[0]), Draft202012Validator(schema("sft"))
    assert form.is_valid(row)
    assert not form.is_valid({**row, **change})


def test_a_config_that_there_is_not_is_a_sentence() -> None:
    with pytest.raises(SetupError, match='there is no config "sfft": it is one of sft, rl, rejected'):
        schema("sfft")


@pytest.mark.parametrize("config", ALL)
def test_the_command_prints_it(config: str) -> None:
    shown = typer.testing.CliRunner().invoke(app, ["schema", "--config", config])
    assert shown.exit_code == 0
    assert json.loads(shown.output) == schema(config)

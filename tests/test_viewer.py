"""The folder, held to the limits that the Hub's dataset viewer publishes: what lies within them is shown whole."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Features, get_dataset_config_names, get_dataset_split_names
from datasets import Image as ImageFeature
from test_dataset import Desk, image_bytes, record

from vlaa_thinking import Project, build

CONFIGS = 4000
SPLITS = 30
COLUMNS = 1000
NAME = 500
"""Characters of a column's name."""
SCAN = 300_000_000
"""Bytes that are read for one page of 100 rows, where there is no page index: whole row groups."""
PAGE = 100
"""Rows of one page."""
FIRST_ROWS = 1_000_000
"""Bytes of the first page's JSON."""
LEAST_ROWS = 10
"""Rows that it has to have, their cells cut to `CELL` bytes if need be."""
CELL = 100
FILE = 50_000_000_000
FILES = 10_000
"""In one folder."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "set"
    build(Project.default(), out=out, limit=160)
    return out


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 150 rows of 2 MB, the most that is advised for a row, by the limits that a build writes by."""
    place = tmp_path_factory.mktemp("large")
    with closing(Desk(place)) as desk:
        for number in range(150):
            desk.add(record(desk, str(number), image=image_bytes("BMP", side=810, seed=number % 4)), "sft")
        desk.write("set")
    return place / "set"


def files(folder: Path) -> Iterator[tuple[Path, Any]]:
    for file in sorted(folder.rglob("*.parquet")):
        yield file, pq.read_metadata(file)


def groups(facts: Any) -> list[Any]:
    return [facts.row_group(place) for place in range(facts.num_row_groups)]


def test_configs_splits_and_columns_are_few_and_soundly_named(folder: Path) -> None:
    configs = get_dataset_config_names(str(folder))
    assert 1 <= len(configs) <= CONFIGS
    for config in configs:
        splits = get_dataset_split_names(str(folder), config)
        assert 1 <= len(splits) <= SPLITS
        assert not [name for name in splits if "-" in name]
    for file, _ in files(folder):
        names = pq.read_schema(file).names
        assert len(names) <= COLUMNS
        assert max(map(len, names)) <= NAME


@pytest.mark.parametrize("which", ["folder", "large"])
def test_a_page_of_rows_takes_no_longer_scan_than_is_allowed(
    which: str, request: pytest.FixtureRequest
) -> None:
    """Even where no page index is used, the row groups that any 100 rows lie in are within the limit."""
    for file, facts in files(request.getfixturevalue(which)):
        start, spans = 0, []
        for group in groups(facts):
            spans.append((start, start + group.num_rows, group.total_byte_size))
            start += group.num_rows
        for first in range(0, facts.num_rows, PAGE):
            last = min(first + PAGE, facts.num_rows)
            assert sum(size for begin, end, size in spans if begin < last and end > first) <= SCAN, file


@pytest.mark.parametrize("which", ["folder", "large"])
def test_every_column_has_a_page_index_and_the_file_says_how_it_is_chunked(
    which: str, request: pytest.FixtureRequest
) -> None:
    for file, facts in files(request.getfixturevalue(which)):
        for group in groups(facts):
            chunks = [group.column(place) for place in range(group.num_columns)]
            assert all(chunk.has_offset_index for chunk in chunks)
        options = json.loads(facts.metadata[b"content_defined_chunking"])
        assert 0 < options["min_chunk_size"] < options["max_chunk_size"]
        assert file.stat().st_size <= FILE


def test_files_are_few_and_not_large(folder: Path, large: Path) -> None:
    for place in (folder, large):
        folders = [path for path in place.rglob("*") if path.is_dir()]
        assert max(len(list(path.iterdir())) for path in folders) <= FILES
    assert max(file.stat().st_size for file, _ in files(large)) <= 600_000_000


@pytest.mark.parametrize("config", ["sft", "rl", "rejected"])
def test_the_first_rows_fit_into_one_answer_with_their_cells_cut(folder: Path, config: str) -> None:
    (file,) = (folder / config).glob("train-*.parquet")
    for row in pq.read_table(file).drop_columns(["image"]).slice(0, LEAST_ROWS).to_pylist():
        cells = [json.dumps(value).encode()[:CELL] for value in row.values()]
        assert sum(map(len, cells)) * LEAST_ROWS < FIRST_ROWS


@pytest.mark.parametrize("config", ["sft", "rl", "rejected"])
def test_an_image_is_a_column_of_its_own_which_is_never_cut(folder: Path, config: str) -> None:
    for file in (folder / config).glob("*.parquet"):
        features = Features.from_arrow_schema(pq.read_schema(file))
        assert features["image"] == ImageFeature()
        below = [feature for name, feature in features.items() if name != "image"]
        assert "Image(" not in repr(below)
        stored = pq.read_schema(file).field("image").type
        assert {stored.field(place).name: stored.field(place).type for place in range(2)} == {
            "bytes": pa.binary(),
            "path": pa.string(),
        }

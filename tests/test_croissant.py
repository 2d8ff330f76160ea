"""croissant.json: whether mlcroissant takes it and reads the rows by it, and what it says of who wrote what."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_release import make_release
from PIL import Image

from vlaa_thinking import Project, build, croissant, import_release
from vlaa_thinking.columns import COLUMNS, of
from vlaa_thinking.places import hash_file

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # mlcroissant's own, of rdflib and pandas

NO_DATE = 'Property "https://schema.org/datePublished" is recommended, but does not exist.'
"""All that mlcroissant misses in a folder that is not published yet."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "set"
    build(Project.default(), out=out, limit=160)
    return out


def read(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return found


def opened(told: Path | dict[str, Any]) -> Any:
    import mlcroissant  # noqa: PLC0415 - it warns when it is imported

    return mlcroissant.Dataset(jsonld=told)


def nodes(told: object) -> dict[str, dict[str, Any]]:
    """Gather what has an `@id` and says more than it."""
    found: dict[str, dict[str, Any]] = {}
    pending = [told]
    while pending:
        at = pending.pop()
        if isinstance(at, dict):
            if "@id" in at and len(at) > 1:
                assert at["@id"] not in found, f"two nodes are called {at['@id']}"
                found[at["@id"]] = at
            pending += [value for key, value in at.items() if key != "@context"]
        elif isinstance(at, list):
            pending += at
    return found


def plain(value: Any) -> Any:
    """Write what mlcroissant read as Parquet has it: text as text, fields by their own names."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, dict):
        return {name.rpartition("/")[2]: plain(field) for name, field in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


# --- as others read it ------------------------------------------------------------------------------


def test_mlcroissant_finds_nothing_wrong_and_misses_nothing_but_the_date(folder: Path) -> None:
    issues = opened(folder / "croissant.json").metadata.issues
    assert not issues.errors
    (warning,) = issues.warnings
    assert warning.endswith(NO_DATE)


@pytest.mark.parametrize("config", ["sft", "rl", "rejected"])
def test_mlcroissant_reads_every_row_as_it_is(folder: Path, config: str) -> None:
    wanted = {}
    for file in sorted((folder / config).iterdir()):
        for row in pq.read_table(file).to_pylist():
            wanted[row["id"]] = {**row, "split": file.name.partition("-")[0]}
    found = {
        plain(row[f"{config}/id"]): plain(row) for row in opened(folder / "croissant.json").records(config)
    }
    assert found.keys() == wanted.keys()
    for name, row in found.items():
        image, as_stored = row.pop("image"), wanted[name].pop("image")
        with Image.open(io.BytesIO(as_stored["bytes"])) as stored:
            assert (image.format, image.tobytes()) == (stored.format, stored.tobytes())
        for column, value in wanted[name].items():
            # mlcroissant shows a null list or struct of fields as one without any.
            assert row[column] == value or (value is None and column == "caption_signals"), column


def test_one_split_can_be_read_alone(folder: Path) -> None:
    rows = list(opened(folder / "croissant.json").records("sft", filters={"sft/split": "validation"}))
    (file,) = (folder / "sft").glob("validation-*.parquet")
    assert len(rows) == pq.read_metadata(file).num_rows
    assert {row["sft/split"] for row in rows} == {b"validation"}


def test_a_row_without_an_image_is_read_too(tmp_path: Path) -> None:
    make_release(tmp_path / "release", 60)
    import_release(tmp_path / "release", out=tmp_path / "set", embed=False)
    rows = list(opened(tmp_path / "set" / "croissant.json").records("sft"))
    assert rows
    assert {row["sft/image"] for row in rows} == {None}
    assert set(nodes(read(tmp_path / "set", "croissant.json"))) > {"defects.jsonl", "fetch.jsonl"}


# --- what it says -----------------------------------------------------------------------------------


def test_every_data_file_is_there_with_its_size_and_hash(folder: Path) -> None:
    files = [n for n in nodes(read(folder, "croissant.json")).values() if n["@type"] == "cr:FileObject"]
    assert {n["@id"] for n in files} == {p.relative_to(folder).as_posix() for p in folder.rglob("*.parquet")}
    for node in files:
        path = folder / node["contentUrl"]
        assert node["sha256"] == hash_file(path)
        assert node["contentSize"] == f"{path.stat().st_size} B"


@pytest.mark.parametrize("config", ["sft", "rl", "rejected"])
def test_every_column_is_a_field_with_its_description(folder: Path, config: str) -> None:
    fields = nodes(read(folder, "croissant.json"))[config]["field"]
    assert [field["name"] for field in fields] == ["split", *(column.name for column in of(config))]
    about = {field["name"]: field["description"] for field in fields}
    assert all(about[column.name] == f"{column.about}." for column in of(config))
    assert nodes(read(folder, "croissant.json"))[f"{config}/image"]["dataType"] == "sc:ImageObject"


@pytest.mark.parametrize(
    ("column", "role", "file"),
    [
        ("caption", "captioner", "generators/2_caption.md"),
        ("teacher_reasoning", "reasoner", "generators/3_distill.md"),
        ("reasoning", "rewriter", "generators/4_rewrite.md"),
        ("score_reason", "judge", "verifiers/5_verify.md"),
    ],
)
def test_a_field_leads_to_the_model_and_the_prompt_that_wrote_it(
    folder: Path, column: str, role: str, file: str
) -> None:
    known, manifest = nodes(read(folder, "croissant.json")), read(folder, "manifest.json")
    field = known[f"rl/{column}"]
    steps = [known[step["@id"]] for step in field["prov:wasGeneratedBy"]]
    (step,) = [step for step in steps if step["prov:wasAssociatedWith"]["@id"] == f"model/{role}"]
    assert step["prov:wasAssociatedWith"]["name"] == manifest["models"][role]["name"]
    assert {"@id": f"model/{role}"} in field["prov:wasAttributedTo"]
    used = {entity["name"]: entity["sha256"] for entity in step["prov:used"]}
    assert used[file] == manifest["project"][file]


def test_every_reference_leads_somewhere(folder: Path) -> None:
    told = read(folder, "croissant.json")
    known = nodes(told)
    pending: list[Any] = [{k: v for k, v in told.items() if k != "@context"}]
    while pending:
        at = pending.pop()
        values = at.values() if isinstance(at, dict) else at
        if isinstance(at, dict) and set(at) == {"@id"}:
            assert at["@id"] in known
        pending += [value for value in values if isinstance(value, (dict, list))]


def test_every_column_says_by_what_it_is_written() -> None:
    assert {name for column in COLUMNS for name in column.by} == set(croissant.ACTIVITIES)
    assert [column.name for column in COLUMNS if not column.by] == ["models", "decided_by"]


def test_licences_stand_for_the_set_and_for_each_source(folder: Path) -> None:
    told, manifest = read(folder, "croissant.json"), read(folder, "manifest.json")
    assert told["license"]["name"] == Project.default().settings().curate.card.license
    sources = {source["name"]: source["license"] for source in told["prov:wasDerivedFrom"]}
    assert sources == manifest["licenses"]
    assert "2504.11468" in told["citeAs"]


def test_it_is_published_with_version_date_and_page(folder: Path) -> None:
    told = read(folder, "croissant.json")
    assert told["version"] == croissant.UNPUBLISHED
    out = croissant.released(
        told, version="1.2.0", date="2031-02-03", url="https://huggingface.co/datasets/o/n"
    )
    assert {name: out.pop(name) for name in ("version", "datePublished", "url")} == {
        "version": "1.2.0",
        "datePublished": "2031-02-03",
        "url": "https://huggingface.co/datasets/o/n",
    }
    assert out == {name: value for name, value in told.items() if name != "version"}
    assert not opened(
        croissant.released(told, version="1.2.0", date="2031-02-03", url="https://x.y")
    ).metadata.issues.warnings
    again = croissant.released(out, version="1.3.0", date="2031-03-03", url="https://x.y")
    assert again["version"] == "1.3.0"

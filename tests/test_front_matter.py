"""The card's front matter: what the Hub does not know, and what was never filled in, stops a build before it starts."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from vlaa_thinking import Project, build
from vlaa_thinking.dataset import Split
from vlaa_thinking.errors import ProjectError
from vlaa_thinking.front_matter import SIZES, TAGS, front_matter, known, unfit
from vlaa_thinking.release.folder import CARD
from vlaa_thinking.settings import CardText


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("license", '"CC0-1.0"', 'the Hub knows no licence "CC0-1.0"; did you mean "cc0-1.0"?'),
        ("license", '"not-a-license"', 'the Hub knows no licence "not-a-license"'),
        ("license", '"other"', 'for the licence "other" the Hub wants a "license_name" beside it'),
        ("language", '["english"]', 'the Hub knows no language "english": write a code of ISO 639'),
        ("language", '["xx"]', 'the Hub knows no language "xx"'),
        ("task_categories", '["vqa"]', 'the Hub knows no task "vqa"'),
        (
            "task_categories",
            '["visual-question-answer"]',
            'the Hub knows no task "visual-question-answer"; did you mean "visual-question-answering"?',
        ),
        ("tags", '["Two\\nlines"]', "is no tag"),
        ("tags", '["TODO"]', '"TODO" is no tag'),
        (
            "pretty_name",
            '"[More Information Needed]"',
            '"pretty_name" was never filled in: it says "More Inf',
        ),
        ("about", '"TODO: describe it"', '"about" was never filled in: it says "TODO"'),
        ("about", '" "', '"about" is empty: the card needs it'),
    ],
)
def test_a_wrong_card_stops_the_build_before_anything_is_paid(
    tmp_path: Path, key: str, value: str, told: str
) -> None:
    path = Project.default().copy(tmp_path / "mine").root / "cards/6_curate.toml"
    text = path.read_text(encoding="utf-8")
    text = re.sub(rf"(?m)^{key} = .*$", lambda _: f"{key} = {value}", text, count=1)
    path.write_text(text, encoding="utf-8")
    line = next(n for n, each in enumerate(text.splitlines(), 1) if each.startswith(f"{key} ="))
    with pytest.raises(ProjectError) as caught:
        build(Project.open(tmp_path / "mine"), out=tmp_path / "out", limit=2)
    assert str(caught.value).startswith(f"cards/6_curate.toml, line {line}: in [card], ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value).replace("Two\nlines", "")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.work").exists()


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("license_name", '"Our Terms"', '"license_name" is made of a-z'),
        ("license_link", '"ours.txt"', '"license_link" must be a web address, not "ours.txt"'),
    ],
)
def test_an_own_licence_is_named_as_the_hub_wants_it(tmp_path: Path, key: str, value: str, told: str) -> None:
    path = Project.default().copy(tmp_path / "mine").root / "cards/6_curate.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[card]\n", f"[card]\n{key} = {value}\n", 1), encoding="utf-8")
    with pytest.raises(ProjectError, match=re.escape(told)):
        Project.open(tmp_path / "mine").settings()


def test_a_models_terms_need_an_address(tmp_path: Path) -> None:
    path = Project.default().copy(tmp_path / "mine").root / "generators/models.toml"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(r'(?m)^link = ".*"$', 'link = "javascript:alert(1)"', text, count=1)
    path.write_text(changed, encoding="utf-8")
    line = next(n for n, each in enumerate(changed.splitlines(), 1) if each.startswith("link ="))
    told = f'generators/models.toml, line {line}: in [model.teacher.terms], "link" must be a web address'
    with pytest.raises(ProjectError, match=re.escape(told)):
        Project.open(tmp_path / "mine").settings()


@pytest.mark.parametrize("preset", ["strict", "paper"])
def test_every_card_of_the_default_project_is_fit(preset: str) -> None:
    assert unfit(Project.default().settings(preset=preset).curate.card) is None


def test_the_card_of_an_import_is_fit() -> None:
    assert unfit(CARD) is None


def test_what_this_package_writes_by_itself_is_known_to_the_hub() -> None:
    lists = known()
    assert {name for _, name in SIZES} <= set(lists["size_categories"])
    assert {key: len(values) for key, values in lists.items()} == {
        "license": 83,
        "task_categories": 55,
        "size_categories": 12,
        "language": 185,
    }
    assert all(len(set(values)) == len(values) for values in lists.values())
    assert {"apache-2.0", "gpl-3.0", "cc-by-nc-sa-4.0", "other", "unknown"} <= set(lists["license"])
    assert all(re.fullmatch("[a-z]{2}", language) for language in lists["language"])


@pytest.mark.parametrize(
    ("rows", "size"),
    [(999, "n<1K"), (1000, "1K<n<10K"), (126_413, "100K<n<1M"), (10**8, "100M<n<1B")],
)
def test_text_that_would_break_yaml_is_quoted(rows: int, size: str) -> None:
    split = Split(
        config="rl", part="train", rows=rows, files=("rl/a.parquet",), bytes=5, arrow_bytes=7, figures={}
    )
    name = 'a: "b" # <c>\n---\nlicense: mit\n- {x: [y]} & *z !!python/object 🤔'
    card = CardText(
        pretty_name=name,
        license="other",
        license_name="by-source",
        about="x",
        language=("no",),
        tags=("a b",),
    )
    text = front_matter(card, [split])
    assert "\n---" not in text
    read: dict[str, Any] = yaml.safe_load(text)
    assert read["pretty_name"] == name
    assert (read["license"], read["license_name"], read["language"]) == ("other", "by-source", ["no"])
    assert read["tags"] == [*TAGS, "a b"]
    assert read["size_categories"] == [size]
    assert read["configs"][0]["default"] is True
    assert read["dataset_info"]["splits"][0]["num_examples"] == rows

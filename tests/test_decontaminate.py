"""Rows that stand in an evaluation set: by their image, or by a long question that is no template."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer
from datasets import Features, Image, Value
from hub_server import HubServer
from lookalikes import encoded, photo, scene, twins
from native import parquet
from sums_project import rows_of, set_key, solve, toml, write_models

import vlaa_thinking
from vlaa_thinking import Project, build
from vlaa_thinking.contamination import Benchmark, grams, matches
from vlaa_thinking.errors import SetupError

CURATE = "cards/6_curate.toml"
LEAK = "If seven sailors share out forty nine oranges evenly, how many oranges does each one get?"
TEMPLATE = "Look at the picture with great care, and then say in one word what it shows in corner {}?"
SHORT = "What is shown in the picture?"
EASY = "What is 2 plus 7?"


def project_with(folder: Path, url: str, rows: list[dict[str, Any]], **rule: Any) -> Project:
    """Make a project of rows for rl alone, so that no model is asked."""
    project = Project.default().copy(folder)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"reader": "table", "path": "rows.jsonl", "id": "id", "way": "rl_only", "answer_type": "digit"}
    (folder / "generators/1_collect.toml").write_text(f"[source.own]\n{toml(source)}\n")
    write_models(folder, url, sources=("own",))
    for key, value in rule.items():
        set_key(project, CURATE, key, value)
    return project


def row(number: int, question: str) -> dict[str, Any]:
    return {"id": str(number), "image": f"{number}.png", "question": question, "answer": "7"}


def dropped(out: Path) -> dict[str, str]:
    rows = rows_of(out).get("rejected/train", [])
    assert {(r["step"], r["code"]) for r in rows} <= {("curate", "contaminated")}
    return {r["source_id"]: r["evidence"] for r in rows}


def test_rows_are_dropped_for_image_or_question_and_the_match_is_the_evidence(tmp_path: Path) -> None:
    questions = {0: EASY, 1: LEAK, 2: SHORT, 3: EASY, 4: EASY}
    rows = [row(n, q) for n, q in questions.items()] + [row(n, TEMPLATE.format(n % 2)) for n in range(5, 9)]
    evaluation = [
        {"pid": "a", "image": "same.png", "question": "Who?"},
        {"pid": "b", "image": "twin.jpg", "question": "Who?"},
        {"pid": "c", "image": "other.png", "question": f"Hint: answer with a number. {LEAK.upper()}"},
        {"pid": "d", "image": "other.png", "question": SHORT},
        {"pid": "e", "image": "other.png", "question": TEMPLATE.format(0)},
    ]
    (tmp_path / "p").mkdir()
    with ChatServer(solve) as server:
        bench = tmp_path / "p/bench"
        project = project_with(tmp_path / "p", server.url, rows, decontaminate=["bench", "bench/one.csv"])
        for number in range(9):
            (project.root / f"{number}.png").write_bytes(encoded(photo(number)))
        (bench / "pictures").mkdir(parents=True)
        (bench / "test.jsonl").write_text("".join(json.dumps(r) + "\n" for r in evaluation))
        (bench / "one.csv").write_text(f'query\n"{LEAK}"\n')
        (bench / "pictures/same.png").write_bytes(encoded(photo(3)))
        (bench / "pictures/twin.jpg").write_bytes(
            dict(twins(photo(4), 1))["cropped, resized and encoded anew"]
        )
        (bench / "pictures/other.png").write_bytes(encoded(scene(1)))
        build(project, out=tmp_path / "out")
        found = dropped(tmp_path / "out")
        run = "if seven sailors share out forty nine oranges evenly how many oranges does"
        assert found == {
            "1": f'the question of bench, row 1: "{run}"; the question of bench/one.csv, row 1: "{run}"',
            "3": "the image of bench, row a",
            "4": "a near-duplicate of the image of bench, row b",
        }
        manifest = json.loads((tmp_path / "out/manifest.json").read_text())
        assert manifest["decontamination"] == {
            "bench": {"rows": 6, "images": 3, "by_image": 2, "by_question": 1},
            "bench/one.csv": {"rows": 1, "images": 0, "by_image": 0, "by_question": 1},
        }
        card = (tmp_path / "out/README.md").read_text()
        assert "| `bench` | 6 | 3 | 2 | 1 |" in card
        # Without the sets nothing is dropped, and no call is made for it either way.
        set_key(project, CURATE, "decontaminate", [])
        build(project, out=tmp_path / "out")
        assert dropped(tmp_path / "out") == {}
        assert server.calls == 0


def test_a_template_is_what_stands_on_three_images_of_one_source() -> None:
    benchmark = Benchmark("b", grams={gram: "1" for gram, _ in grams(LEAK)})

    def found(images: list[str], groups: dict[str, str], live: bool = True) -> set[str]:
        rows = [(str(n), "s", image, LEAK, live or n == 0) for n, image in enumerate(images)]
        return set(matches(rows, [benchmark], {}, groups))

    assert found(["x"], {}) == {"0"}
    assert found(["x", "y"], {}) == {"0", "1"}
    assert found(["x", "x", "x"], {}) == {"0", "1", "2"}
    assert found(["x", "y", "z"], {}) == set()
    assert found(["x", "y", "z"], {"y": "x", "x": "x"}) == {"0", "1", "2"}
    assert found(["x", "y", "z"], {}, live=False) == set()
    assert found(["x", "y"], {}, live=False) == {"0"}
    assert list(grams("one two three four five six seven eight nine ten eleven twelve")) == []


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("nowhere", {}, r"there is no file or folder nowhere in .*, and it is no name of a set on the Hub"),
        (
            "b.jsonl",
            {"b.jsonl": '{"answer": 1}\n'},
            "b.jsonl has no image, and no question of 13 words, in 1 rows",
        ),
        (
            "b.jsonl",
            {"b.jsonl": '{"image": "x.png"}\n'},
            "none of the 1 images that b.jsonl names can be read",
        ),
        ("b.jsonl", {"b.jsonl": "[1]\n"}, "b.jsonl"),
    ],
)
def test_a_set_that_shows_nothing_stops_the_build(
    tmp_path: Path, name: str, files: dict[str, str], said: str
) -> None:
    project = project_with(tmp_path / "p", "http://127.0.0.1:9", [row(0, EASY)], decontaminate=[name])
    for file, content in files.items():
        (project.root / file).write_text(content)
    with pytest.raises(SetupError, match=rf'6_curate\.toml: "decontaminate": .*{said}'):
        build(project, out=tmp_path / "out")


def test_every_split_of_a_set_on_the_hub_is_read(tmp_path: Path) -> None:
    features = Features({"decoded_image": Image(), "problem": Value("string"), "idx": Value("int64")})
    splits = {
        split: parquet(
            [{"decoded_image": {"bytes": encoded(scene(n)), "path": None}, "problem": q, "idx": 70 + n}],
            features,
        )
        for n, (split, q) in enumerate({"test": SHORT, "testmini": LEAK}.items())
    }
    project = project_with(
        tmp_path / "p",
        "http://127.0.0.1:9",
        [row(0, EASY), row(5, LEAK), row(6, SHORT)],
        decontaminate=["org/bench"],
    )
    for number in (0, 5, 6):
        (project.root / f"{number}.png").write_bytes(encoded(scene(number), "JPEG"))
    words = ["build", "p", "--out", "out"]
    with HubServer() as hub:
        hub.add("org/bench", {f"data/{split}-00000-of-00001.parquet": data for split, data in splits.items()})
        here = {"PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
        command = [sys.executable, "-m", "vlaa_thinking", *words]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**hub.environment, **here},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        set_key(project, CURATE, "decontaminate", ["org/none"])
        failed = subprocess.run(
            command,
            cwd=tmp_path,
            env={**hub.environment, **here},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    found = dropped(tmp_path / "out")
    assert found.keys() == {"0", "5"}
    assert found["0"] == "a near-duplicate of the image of org/bench, row 70"
    assert found["5"].startswith('the question of org/bench, row 71: "if seven sailors')
    assert failed.returncode == 2
    assert "org/none cannot be read from the Hub: there is no such dataset" in " ".join(failed.stderr.split())

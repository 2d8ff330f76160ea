"""Which rows go to `rl`: by cues, by a band of pass rates, or both; groups whole, and nothing useless in it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from sums_project import set_key

from vlaa_thinking import Project, build
from vlaa_thinking.errors import ProjectError
from vlaa_thinking.record import Gold, Record
from vlaa_thinking.settings import Band, Caps, CueRule, CurateRule
from vlaa_thinking.spool import Decision, Fact
from vlaa_thinking.steps.curate import curate, mark

SETTINGS = Project.default().settings()
CURATE = "cards/6_curate.toml"


def rule(rl: Literal["cues", "band", "both"], **band: object) -> CurateRule:
    return replace(SETTINGS.curate, rl=rl, band=replace(Band(), **band))  # type: ignore[arg-type]


def fact(key: str, rate: float | None = None, *, cue: bool = False, image: str = "") -> Fact:
    return Fact(
        key=key,
        source="s",
        image=image or key,
        cues=("wait",) if cue else (),
        policy_pass_rate=rate,
        teacher_pass_rate=None if rate is None else 1 - rate,
    )


def decided(facts: Iterable[Fact], by: CurateRule) -> dict[str, Decision]:
    return {decision.key: decision for decision in curate(facts, by, 0)}


def sent(facts: Iterable[Fact], by: CurateRule) -> dict[str, str]:
    """Say where each row goes; a dropped one to its code."""
    return {key: d.config or d.code for key, d in decided(facts, by).items()}


FACTS = [
    fact("easy", 1.0),
    fact("easy, cue", 1.0, cue=True),
    fact("hard", 0.0),
    fact("hard, cue", 0.0, cue=True),
    fact("half", 0.5),
    fact("half, cue", 0.5, cue=True),
    fact("unknown"),
    fact("unknown, cue", cue=True),
]


@pytest.mark.parametrize(
    ("rl", "expected"),
    [
        ("cues", {"easy, cue": "rl", "hard, cue": "rl", "half, cue": "rl", "unknown, cue": "rl"}),
        ("band", {"half": "rl", "half, cue": "rl"}),
        (
            "both",
            {
                "easy, cue": "no_advantage",
                "hard, cue": "no_advantage",
                "half, cue": "rl",
                "unknown, cue": "rl",
            },
        ),
    ],
)
def test_the_rule_sends_rows_to_rl_and_the_others_to_sft(
    rl: Literal["cues", "band", "both"], expected: dict[str, str]
) -> None:
    assert sent(FACTS, rule(rl)) == {f.key: "sft" for f in FACTS} | expected


def test_the_ends_of_the_band_are_the_project_s_and_excluded() -> None:
    facts = [fact(str(n), n / 8) for n in range(9)]
    narrow = sent(facts, rule("band", above=0.25, below=0.75))
    assert {key for key, config in narrow.items() if config == "rl"} == {"3", "4", "5"}
    teacher = sent([fact("a", 0.9), fact("b", 1.0)], rule("band", of="teacher"))
    assert teacher == {"a": "rl", "b": "sft"}


def test_a_group_goes_whole_and_leaves_out_what_grpo_learns_nothing_from() -> None:
    facts = [
        fact("half", 0.5, image="i"),
        fact("easy", 1.0, image="i"),
        fact("unknown", image="i"),
        fact("another easy", 1.0, image="j"),
    ]
    made = decided(facts, rule("band"))
    assert {key: d.config for key, d in made.items()} == {
        "half": "rl", "easy": None, "unknown": "rl", "another easy": "sft",
    }  # fmt: skip
    assert made["half"].why == "rl: of the policy's draws 50% are right"
    assert made["unknown"].why == "rl: another row of the same image is within the band"
    assert made["another easy"].why == "sft: of the policy's draws 100% are right"
    assert (made["easy"].code, made["easy"].part) == ("no_advantage", None)
    assert made["easy"].why.startswith("curate: of the policy's draws 100% are right, outside the band")
    # By cues alone nothing is measured against, and nothing left out.
    by_cues = [replace(f, cues=("wait",)) if f.key == "half" else f for f in facts]
    assert set(sent(by_cues, rule("cues")).values()) == {"rl", "sft"}


def test_with_both_rules_no_row_with_a_cue_is_in_sft() -> None:
    facts = [fact(f"{n}", n % 5 / 4, cue=n % 3 == 0, image=str(n // 2)) for n in range(60)]
    made = sent(facts, rule("both"))
    assert not [f.key for f in facts if f.cues and made[f.key] == "sft"]
    assert not [f.key for f in facts if f.policy_pass_rate in (0, 1) and made[f.key] == "rl"]
    for image in {f.image for f in facts}:
        assert len({made[f.key] for f in facts if f.image == image} - {"no_advantage"}) <= 1
    assert Counter(made.values()).keys() == {"sft", "rl", "no_advantage"}


def test_a_cap_counts_what_is_kept_alone() -> None:
    facts = [fact(f"{n}", 0.5 if n % 2 else 1.0, image=str(n // 2)) for n in range(20)]
    capped = replace(rule("band"), caps={"s": Caps(rl=6)})
    assert Counter(sent(facts, capped).values()) == {"rl": 6, "over_cap": 4, "no_advantage": 10}


def test_rows_of_one_group_value_stay_together_whatever_it_is_made_of() -> None:
    assert fact("a", image="x").group == "x"


# --- cues ----------------------------------------------------------------------------------------------------


def cues_of(reasoning: str, response: str, by: CueRule) -> list[tuple[str, int]]:
    record = Record(
        id="s/1",
        source="s",
        source_id="1",
        source_license="CC0-1.0",
        question="?",
        gold=Gold(answer_type="digit", answer="1"),
        teacher_reasoning=reasoning,
        teacher_response=response,
    )
    return [(cue.phrase, cue.start) for cue in mark(record, by).cues]


def test_cues_are_words_in_strict_and_substrings_in_the_paper_s_rule() -> None:
    text = "Against the waiter's checkered cloth. Wait, let me double-check: no mistaken mistake."
    paper = Project.default().settings(preset="paper").cues
    assert cues_of(text, "", SETTINGS.cues) == [("wait", 38), ("double-check", 51), ("mistake", 77)]
    assert [phrase for phrase, _ in cues_of(text, "", paper)] == [
        "again", "wait", "check", "wait", "double-check", "mistake", "mistake",
    ]  # fmt: skip


def test_cues_are_looked_for_in_the_whole_reply_or_in_the_reasoning() -> None:
    assert cues_of("It is so.", "Hmm, again.", SETTINGS.cues) == [("hmm", 10), ("again", 15)]
    assert cues_of("It is so.", "Hmm, again.", replace(SETTINGS.cues, search="reasoning")) == []


# --- the project's files -------------------------------------------------------------------------------------


def test_a_band_needs_what_it_is_measured_by(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    set_key(project, CURATE, "rl", "band")
    with pytest.raises(ProjectError, match=r'6_curate\.toml: rl = "band" .*"offline" has no policy'):
        build(project, out=tmp_path / "out", limit=5)
    set_key(project, CURATE, "of", "teacher")
    with pytest.raises(ProjectError, match=r"asked once: set samples = 2 or more"):
        build(project, out=tmp_path / "out", limit=5)
    assert not (tmp_path / "out").exists()
    set_key(project, CURATE, "above", 1.0)
    with pytest.raises(ProjectError, match=r'in \[band\], "above" must be below "below", which is 1'):
        project.settings()
    set_key(project, CURATE, "above", 0.0)
    set_key(project, "generators/3_distill.md", "samples", 3)
    assert build(project, out=tmp_path / "out", limit=5).funnel.rows == 5
    set_key(project, CURATE, "rl", "cue")
    with pytest.raises(ProjectError, match='"rl" must be one of "cues", "band", "both", not "cue"'):
        project.settings()


def test_the_published_system_message_is_no_template(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    path = project.root / CURATE
    path.write_text(path.read_text().replace("You answer questions", "You {{answer}} questions"))
    with pytest.raises(ProjectError, match=r'6_curate\.toml, line \d+: "system" is published as it stands'):
        project.settings()


def test_the_paper_s_caps_are_there_under_its_preset() -> None:
    assert SETTINGS.curate.caps == {}
    caps = Project.default().settings(preset="paper").curate.caps
    assert (caps["clevr_math"].rl, caps["docvqa"].rl, caps["allava_laion"].rl) == (2000, 1000, 3000)
    assert caps.keys() >= Project.default().settings().paper.source.keys()

"""Licences of sources held against each other, and against that of the whole."""

import pytest

from vlaa_thinking import Project
from vlaa_thinking.licensing import ASKS, asks, licensing

BY, SHARE, NON_COMMERCIAL, NO_DERIVATIVES = ASKS


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("CC0-1.0", ()),
        ("pddl", ()),
        ("CC-BY-4.0", (BY,)),
        ("cc-by-sa-3.0", (BY, SHARE)),
        ("CC-BY-NC-4.0", (BY, NON_COMMERCIAL)),
        ("CC-BY-NC-SA-4.0", (BY, SHARE, NON_COMMERCIAL)),
        ("cc-by-nc-nd-4.0", (BY, NON_COMMERCIAL, NO_DERIVATIVES)),
        ("Apache-2.0", (BY,)),
        ("MIT", (BY,)),
        ("bsd-3-clause", (BY,)),
        ("GPL-3.0", (BY, SHARE)),
        ("odbl", (BY, SHARE)),
        ("cdla-permissive-2.0", (BY,)),
        ("cdla-sharing-1.0", (BY, SHARE)),
        ("other", None),
        ("unknown", None),
        ("mitigated", None),
        ("our own terms", None),
    ],
)
def test_what_a_licence_asks_for_is_told_by_its_name(name: str, wanted: tuple[str, ...] | None) -> None:
    assert asks(name) == wanted


def test_the_strictest_is_the_one_that_asks_for_most() -> None:
    found = licensing({"a": "MIT", "b": "CC-BY-NC-4.0", "c": "GPL-3.0", "d": "unknown", "e": "ours"}, "other")
    assert found["strictest"] == {"license": "CC-BY-NC-4.0", "asks": [BY, NON_COMMERCIAL]}
    assert (found["unstated"], found["unread"], found["conflicts"]) == (["d"], ["e"], [])


def test_a_whole_that_promises_more_than_its_parts_is_a_conflict() -> None:
    found = licensing({"a": "CC-BY-SA-4.0", "b": "CC0-1.0", "c": "CC-BY-SA-4.0"}, "cc-by-4.0")
    assert found["conflicts"] == [
        "The dataset is declared cc-by-4.0, and CC-BY-SA-4.0 (a, c) asks for share-alike."
    ]
    assert licensing({"a": "CC-BY-SA-4.0", "b": "CC0-1.0"}, "cc-by-sa-4.0")["conflicts"] == []


def test_licences_that_exclude_each_other_are_named() -> None:
    found = licensing({"a": "CC-BY-SA-4.0", "b": "GPL-3.0", "c": "CC-BY-ND-4.0"}, "other")
    sharing, derivatives = found["conflicts"]
    assert sharing.endswith(": CC-BY-SA-4.0 (a), GPL-3.0 (b).")
    assert derivatives.startswith("CC-BY-ND-4.0 (c) allows no derivatives")


def test_nothing_stated_has_no_strictest() -> None:
    assert licensing({"a": "unknown", "b": ""}, "other") == {
        "strictest": None,
        "unstated": ["a", "b"],
        "unread": [],
        "conflicts": [],
    }


def test_the_papers_sources_conflict() -> None:
    settings = Project.default().settings("paper")
    found = licensing({s.name: s.license for s in settings.sources}, settings.curate.card.license)
    assert found["strictest"]["asks"] == [BY, SHARE]
    assert found["unstated"] == ["geoqa170k", "docvqa"]
    assert "GPL-3.0 (math_puma)" in found["conflicts"][0]
    assert "CC-BY-SA-4.0 (arxivqa)" in found["conflicts"][0]


def test_every_source_of_the_default_project_says_who_may_be_seen() -> None:
    assert all(source.people for source in Project.default().sources())

"""One row held against the schema, its image, its manifest, and the check of its answer type."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.columns import DECIDED_BY, HASH_DIGITS, KEPT, schema
from vlaa_thinking.marking import Rules, gold_of
from vlaa_thinking.sources.text import repaired

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import Draft202012Validator

    from vlaa_thinking.project import Project
    from vlaa_thinking.record import Gold, Score

Told = list[tuple[str, str]]
"""What disagrees in a row: codes of `auditing.WHAT`, each with a sentence."""

CLOSE = 1e-9
"""Scores that differ by no more are the same."""


class Desk:
    """What rows are held against; safe in threads."""

    def __init__(self, manifest: Mapping[str, Any], project: Project | None) -> None:
        """Read the rules: the project's, or those that the manifest names."""
        self.answers = 0
        self.verdicts = 0
        self.unreached: Counter[str] = Counter()
        self._manifest = manifest
        self._rules = Rules.of(project) if project else _rules_of(manifest)
        self._known = project is not None
        self._forms = {config: _form(config) for config in (*KEPT, "rejected")}
        self._ids: set[bytes] = set()
        self._lock = Lock()

    def look(self, row: Mapping[str, Any], config: str) -> Told:
        """Say all that disagrees in a row."""
        wrong = _wrong_form(row, self._forms[config])
        if wrong:
            return [("wrong_form", wrong)]  # the rest could not be trusted to read it
        told = [*self._image(row, config), *self._names(row), *_completion(row, config)]
        return [*told, *self._answer(row, config)]

    def repeated(self, rows: list[dict[str, Any]]) -> Iterator[str]:
        """Give the ids of kept rows that stood in an earlier one."""
        for row in rows:
            name = str(row.get("id"))
            key = hashlib.blake2b(name.encode(), digest_size=8).digest()
            if key in self._ids:
                yield name
            self._ids.add(key)

    def _image(self, row: Mapping[str, Any], config: str) -> Told:
        image, hashed = row["image"], row["image_sha256"]
        if image is None:
            if config in KEPT and self._manifest.get("images") != "to be fetched":
                return [("wrong_image", "there is none")]
            return []
        found = hashlib.sha256(image["bytes"]).hexdigest()
        return [] if found == hashed else [("wrong_image", f"its hash is {found[:HASH_DIGITS]}...")]

    def _names(self, row: Mapping[str, Any]) -> Told:
        """Hold the row's models and files against the manifest's."""
        models, files = self._manifest.get("models"), self._manifest.get("project") or {}
        told: Told = []
        if models is not None:  # an import's models are each row's own
            told += [
                ("unknown_model", f"{role}: {name}")
                for role, name in row["models"].items()
                if name is not None and name != models.get(role, {}).get("name")
            ]
        for name, digits in row["decided_by"].items():
            file = DECIDED_BY[name].format(answer_type=row["answer_type"])
            if digits is not None and digits != files.get(file, "")[:HASH_DIGITS]:
                told.append(("other_files", f"{file}: {digits}"))
        return told

    def _answer(self, row: Mapping[str, Any], config: str) -> Told:
        """Reach the verdicts again that a rule can reach."""
        gold = gold_of(row)
        verifier = self._rules.verifiers[gold.answer_type]
        told: Told = []
        if gold.answer_type not in self._rules.checks:
            self._count("unreached", f'scored by a check of its project\'s own ("{verifier.check}")')
            return told
        if self._known and not self._rules.decided(row):
            self._count(
                "unreached", f"decided by another verifiers/{gold.answer_type}.toml than the project's"
            )
            return told
        if config in KEPT:
            told += self._own_answer(gold)
            value = row["score"]
            if value is not None and value < verifier.pass_:
                told.append(("kept_wrong", f"{value:g}, and {verifier.pass_:g} is right"))
        return [*told, *self._verdict(row, gold, config)]

    def _own_answer(self, gold: Gold) -> Told:
        """See that the right answer is right by its own check: what GRPO is to reward must be reachable."""
        score = self._score(gold.answer, gold)
        self._count("answers")
        if self._rules.is_right(score, gold):
            return []
        return [("own_answer", f'"{gold.answer[:80]}": {score.reason}')]

    def _verdict(self, row: Mapping[str, Any], gold: Gold, config: str) -> Told:
        """Score the reply again, as `verify` did."""
        if row["score_by"] is None or row["decided_by"]["verify"] is None:
            self._count(
                "unreached", "no verdict of this package" if config in KEPT else "dropped before a verdict"
            )
            return []
        said = _said(row, gold, config)
        if said is None:
            self._count("unreached", "the answer that was scored is not in the row")
            return []
        score = self._score(said, gold)
        if row["score_by"] == "judge":
            could = self._rules.is_right(score, gold) is not None
            self._count(
                "unreached",
                f"judged by a model, where {'a rule could tell' if could else 'no rule can tell'}",
            )
            return []
        self._count("verdicts")
        if _same(score.value, row["score"]):
            return []
        scores = f"{_value(score.value)}, not {_value(row['score'])}"
        return [("other_verdict", f'"{said[:80]}" scores {scores}: {score.reason}')]

    def _score(self, said: str, gold: Gold) -> Score:
        """Score an answer; algebra that was cut short gets a second try."""
        score = self._rules.score(said, gold)
        return self._rules.score(said, gold) if score.value is None and gold.answer_type == "math" else score

    def _count(self, what: str, why: str = "") -> None:
        with self._lock:
            if what == "unreached":
                self.unreached[why] += 1
            else:
                setattr(self, what, getattr(self, what) + 1)


def _rules_of(manifest: Mapping[str, Any]) -> Rules:
    """Read the rules that a manifest names; none for a type that a check of the project's own scored.

    A manifest may come from anywhere: a name in it is looked up among this package's own checks, never imported.
    """
    own = Rules.of()
    checks = {own.verifiers[kind].check: check for kind, check in own.checks.items()}
    told = manifest.get("rules", {}).get("verifiers", {})
    verifiers = {
        kind: replace(
            verifier,
            check=named.get("check", verifier.check),
            judge=named.get("judge", verifier.judge),
            pass_=named.get("pass", verifier.pass_),
            tolerance=named.get("tolerance", verifier.tolerance),
        )
        for kind, verifier in own.verifiers.items()
        for named in [told.get(kind, {})]
    }
    here = {kind: checks[verifier.check] for kind, verifier in verifiers.items() if verifier.check in checks}
    return Rules(verifiers=verifiers, checks=here, hashes=own.hashes)


def _form(config: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - heavy

    return Draft202012Validator(schema(config))


def _wrong_form(row: Mapping[str, Any], form: Draft202012Validator) -> str:
    """Say in what a row is not what the schema says; "" if in nothing."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - heavy

    image = row.get("image")
    if image and isinstance(image.get("bytes"), bytes):
        row = {**row, "image": {**image, "bytes": ""}}  # their form is nothing to check
    wrong = best_match(form.iter_errors(row))
    return "" if wrong is None else f"at {wrong.json_path}, {wrong.message[:200]}"


def _completion(row: Mapping[str, Any], config: str) -> Told:
    """See that what is trained on is the reasoning and the answer that stand beside it."""
    if config != "sft":
        return []
    (turn, *more), answer = row["completion"], _published(row)
    if more or turn["role"] != "assistant" or answer is None:
        return [("wrong_completion", f"{turn['content'][:80]!r}...")]
    if row["answer_type"] != "open" and answer != row["answer"]:
        return [("wrong_completion", f'it answers "{answer[:80]}"')]
    return []


def _published(row: Mapping[str, Any]) -> str | None:
    """Read the answer out of a row's completion; None where it is not of the one form."""
    text = row["completion"][0]["content"]
    head, tail = f"<think>{row['reasoning']}</think>\n<answer>", "</answer>"
    return text[len(head) : -len(tail)] if text.startswith(head) and text.endswith(tail) else None


def _said(row: Mapping[str, Any], gold: Gold, config: str) -> str | None:
    """Find the answer that `verify` scored; None where a row no longer holds it."""
    if gold.answer_type == "open" and config == "sft":
        return _published(row)
    if gold.answer_type == "open" and row["models"]["rewriter"] is not None:
        return None  # a free answer is scored as rewritten, and only `sft` publishes that
    response = row["teacher_response"] or ""
    if row["models"]["reasoner"] is None:
        return response  # adopted: the response is the answer
    found = read_answer(repaired(response))
    return found.text if isinstance(found, Found) else ""


def _same(one: float | None, other: float | None) -> bool:
    return abs(one - other) <= CLOSE if one is not None and other is not None else one is other


def _value(value: float | None) -> str:
    return "nothing" if value is None else f"{value:g}"

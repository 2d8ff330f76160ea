"""What a project's files say, read and checked: the values that a build works by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from vlaa_thinking.record import AnswerType, Way  # noqa: TC001 - the strict reader evaluates annotations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vlaa_thinking.toml import Table

Role = Literal["captioner", "reasoner", "rewriter", "judge", "policy"]

ROLES: tuple[Role, ...] = ("captioner", "reasoner", "rewriter", "judge")
"""The roles that every profile casts."""

ALL_ROLES: tuple[Role, ...] = (*ROLES, "policy")
"""With the one that a profile may cast: the model that is to be trained, asked to see how hard a row is."""


def _within(least: float, most: float = inf) -> dict[str, tuple[float, float]]:
    """Say, as a field's metadata, between which bounds its number must lie."""
    return {"range": (least, most)}


MOST_IN_A_BATCH = {"openai": (50_000, 200_000_000), "anthropic": (100_000, 256_000_000)}
"""The APIs that have batches, with the most requests and bytes that one may have."""

WINDOW = 3
"""Rows under way at once, as a multiple of a live model's limit."""

DEFAULT_URL = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
"""Where each API's own provider is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a model's provider says about the use of its outputs."""

    link: str
    """Where it stands."""
    says: str
    """What it comes to for this dataset, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRule:
    """How the calls of a model in batch mode are gathered, and what a call in a batch costs."""

    count: int = field(default=10_000, metadata=_within(1))
    """Most requests of one batch."""
    bytes: int = field(default=100_000_000, metadata=_within(1000))
    """Most bytes of one batch, images included; a small multiple of it is held in memory while a batch is sent."""
    age: float = field(default=600.0, metadata=_within(0))
    """Seconds that a request waits for others at most."""
    every: float = field(default=60.0, metadata=_within(0.01))
    """Seconds between two looks at the provider."""
    price: float = field(default=0.5, metadata=_within(0, 1))
    """What a call in a batch costs, as a share of its live price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of models.toml: where it is, what it takes, how it is treated."""

    api: str
    """A module of `vlaa_thinking.llm` ("openai"), "demo", or a user's "module:function"."""
    model: str | None = None
    """The model's name as the server knows it."""
    base_url: str | None = None
    api_key_env: str | None = None
    """The environment variable that holds the key; None: the server asks for none."""
    identity: str | None = None
    """The server's name in the cache's key; by default its base URL without credentials."""
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    """Sampling parameters, sent as they stand; they win over the prompt's."""
    omit: tuple[str, ...] = ()
    """Parameters of the prompts that this model does not take."""
    max_tokens_field: str = "max_tokens"
    """What the API calls the limit on a reply's length."""
    structured: bool = True
    """Whether the server takes a JSON Schema for its reply; if not, the prompt alone asks for it."""
    max_concurrency: int = field(default=32, metadata=_within(1))
    """Most calls in flight."""
    rpm: int | None = field(default=None, metadata=_within(1))
    """Most calls started a minute, evenly spread; None: the server alone says when it is too many."""
    tpm: int | None = field(default=None, metadata=_within(1))
    """Most tokens a minute, read and written, evenly spread; None: likewise."""
    tries: int = field(default=8, metadata=_within(1))
    """Attempts of one call, the first counted."""
    connect_timeout: float = field(default=10.0, metadata=_within(0.001))
    """Seconds."""
    timeout: float = field(default=300.0, metadata=_within(0.001))
    """Seconds for a whole reply."""
    mode: Literal["live", "batch"] = "live"
    """Whether each call is made by itself, or in batches: cheaper, and answered within a day."""
    batch: BatchRule = field(default_factory=BatchRule)
    """How batches are made, where they are."""
    input_price: float | None = field(default=None, metadata=_within(0))
    output_price: float | None = field(default=None, metadata=_within(0))
    """US dollars per million tokens of a live call; without them the price list of a library is asked."""
    image_tokens: str | None = None
    """How many tokens an image takes, by a rule of `prices.image_tokens`."""
    max_side: int | None = field(default=None, metadata=_within(1))
    """Longest side in pixels that is sent; larger images are scaled down."""
    max_image_bytes: int | None = field(default=None, metadata=_within(1000))
    """Largest image file that is sent; larger ones are encoded anew, smaller."""
    terms: Terms | None = None
    """The terms that bind its outputs; None: not stated."""

    @property
    def takes_schema(self) -> bool:
        """Whether a reply's JSON Schema is sent along; the reply is checked against it in any case."""
        return self.structured

    @property
    def room(self) -> int:
        """How many rows may be under way for this model: so many that it need not wait for them."""
        return self.batch.count if self.mode == "batch" else WINDOW * self.max_concurrency

    @property
    def url(self) -> str | None:
        """The server's address; None for a model that is no server."""
        return self.base_url or DEFAULT_URL.get(self.api)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Which model plays which role, over which sources, by which preset."""

    captioner: str
    reasoner: str
    rewriter: str
    judge: str
    sources: tuple[str, ...]
    preset: str = "strict"
    policy: str | None = None
    """None: nobody plays it, and no row's difficulty is measured."""

    @property
    def cast(self) -> dict[Role, str]:
        """The name of the model that plays each role."""
        names: dict[Role, str] = {
            "captioner": self.captioner,
            "reasoner": self.reasoner,
            "rewriter": self.rewriter,
            "judge": self.judge,
        }
        return names if self.policy is None else {**names, "policy": self.policy}


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """models.toml as it stands."""

    default: str
    """The profile that is used when none is named."""
    profile: dict[str, Profile]
    model: dict[str, Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHead:
    """What every source of 1_collect.toml may say."""

    reader: str
    """A reader of this package, or a user's "module:function"."""
    license: str = "unknown"
    license_note: str = ""
    """What the licence's name does not say: conflicts, terms that differ for images and text."""
    people: str = ""
    """Which people may be seen in its images or named in them, in one sentence; "" is not stated."""
    take: int | None = field(default=None, metadata=_within(1))
    """At most so many rows, those whose hashes of seed and id are lowest; under a limit, the first."""
    way: Way = "full"
    captions: Literal["given", "model"] = "given"
    """"given": the source's own caption, or its question as text alone, takes the captioner's place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(SourceHead):
    """One source of 1_collect.toml."""

    name: str
    options: Table
    """The reader's own keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The front matter of a prompt: who is asked, with which parameters."""

    role: Role
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    """Sampling parameters by the API's own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionHead(Head):
    """Step 2's front matter: what shows that a caption is none."""

    refusals: tuple[str, ...] = ()
    """How a refusal in words begins."""
    drop_refusals: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillHead(Head):
    """Step 3's front matter: how often the reasoner is asked, and which draw is kept."""

    samples: int = field(default=1, metadata=_within(1))
    keep: Literal["first_right", "shortest_right", "first"] = "first_right"


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteHead(Head):
    """Step 4's front matter: when a text is sent, and how far it may change."""

    send: Literal["leaks", "all"] = "leaks"
    guard: Literal["strict", "length"] = "strict"
    max_word_gap: int = field(default=15, metadata=_within(0))
    max_edit_share: float = field(default=0.25, metadata=_within(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyHead(Head):
    """Step 5's front matter: whether rules speak before the judge, and how often the judge is asked."""

    rules: bool = True
    votes: int = field(default=1, metadata=_within(1))
    both: float = field(default=0.0, metadata=_within(0, 1))
    """The share of the rows decided by rule for which the judge is asked too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One step's prompt in two templates."""

    head: Head
    system: str
    user: str

    def render(self, values: Mapping[str, str]) -> tuple[str, str]:
        """Fill in both templates; returns (system, user)."""
        return fill(self.system, values), fill(self.user, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """How one answer type is checked."""

    check: str
    """"module:function", a `vlaa_thinking.checks.Check`."""
    judge: bool
    """Whether the judge decides where the check cannot."""
    instruction: str
    """What the question asks for, in one sentence."""
    pass_: float = field(default=1.0, metadata=_within(0, 1))
    """The least score that counts as right (`pass` in the file)."""
    tolerance: float = field(default=0.0, metadata=_within(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CueRule:
    """Phrases that show self-reflection."""

    phrases: tuple[str, ...]
    match: Literal["word", "substring"] = "word"
    search: Literal["reply", "reasoning"] = "reply"
    """The reasoner's whole reply, or its reasoning alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """One language's phrases that show that no image was seen."""

    phrases: tuple[str, ...]
    unless: tuple[str, ...] = ()
    """Wider phrases in which one of them says nothing of the kind."""
    match: Literal["word", "substring"] = "word"
    """"substring" where a language parts its words by no spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakRule:
    """leaks.toml: the phrases of each language; all are looked for in every text."""

    language: dict[str, Leaks]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Most rows of one source in each split; None: no cap."""

    sft: int | None = field(default=None, metadata=_within(0))
    rl: int | None = field(default=None, metadata=_within(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """What the card says that no number can."""

    pretty_name: str
    license: str
    about: str
    """The card's first sentence."""
    license_name: str | None = None
    license_link: str | None = None
    """For the licence "other": an id of its own, and its text."""
    language: tuple[str, ...] = ("en",)
    task_categories: tuple[str, ...] = ("visual-question-answering", "image-text-to-text")
    tags: tuple[str, ...] = ()
    """Beside those that every card has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Between which pass rates, both excluded, a row has something to teach in GRPO."""

    of: Literal["policy", "teacher"] = "policy"
    above: float = field(default=0.0, metadata=_within(0, 1))
    below: float = field(default=1.0, metadata=_within(0, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """How the policy is asked, where the profile casts one."""

    samples: int = field(default=4, metadata=_within(1))
    blind: int = field(default=0, metadata=_within(0))
    """Rows that it is asked again without their image, and with another row's."""
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    """Sampling parameters by the API's own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurateRule:
    """Which rows are published where."""

    seed: int
    rl: Literal["cues", "band", "both"]
    system: str
    """The first turn of every published prompt."""
    card: CardText
    validation_share: float = field(default=0.02, metadata=_within(0, 1))
    unique_images: bool = False
    """Whether one row of each image, near-duplicates counted as one, is kept."""
    decontaminate: tuple[str, ...] = ()
    """Evaluation sets: paths below the project, or names of sets on the Hub."""
    caps: dict[str, Caps] = field(default_factory=dict[str, Caps])
    band: Band = field(default_factory=Band)
    policy: PolicyRule = field(default_factory=PolicyRule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """Rows of one source that an earlier run of the paper's pipeline counted after each stage."""

    original: int = field(metadata=_within(1))
    rewritten: int = field(metadata=_within(1))
    verified: int = field(metadata=_within(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSource:
    """What the paper's own pipeline kept of one source, as far as it was published."""

    name: str
    answer_type: AnswerType | None = None
    """Of most of its answers."""
    original: int | None = field(default=None, metadata=_within(1))
    verified: int | None = field(default=None, metadata=_within(1))
    sft: int | None = field(default=None, metadata=_within(0))
    rl: int | None = field(default=None, metadata=_within(0))
    earlier: Earlier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """cards/paper.toml: the paper's figures, to be held beside a build's."""

    about: str
    """Where they come from."""
    source: dict[str, PaperSource]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A project as one build reads it: one profile and one preset, resolved."""

    root: Path
    profile: str
    preset: str
    roles: dict[Role, str]
    """The name of the model that plays each role that is cast."""
    models: dict[str, Model]
    """By name; those that play a role."""
    sources: tuple[Source, ...]
    prompts: dict[str, Prompt]
    """By step; that of `curate` is what the policy is asked, and what is published."""
    caption: CaptionHead
    distill: DistillHead
    rewrite: RewriteHead
    verify: VerifyHead
    verifiers: dict[str, Verifier]
    """By answer type."""
    cues: CueRule
    leaks: LeakRule
    curate: CurateRule
    paper: Paper
    template: str
    """The dataset card's template."""
    hashes: dict[str, str]
    """SHA-256 of each file that decides something, by its path below the project."""


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put `values` in the place of `{{name}}` in one pass, so that content is never rendered again."""
    texts = list(_parted(template))
    texts[1::2] = [values[name] for name in texts[1::2]]
    return "".join(texts)


@lru_cache(maxsize=64)
def _parted(template: str) -> tuple[str, ...]:
    """Split a template into its texts and, between two of them each, the names of what stands there."""
    return tuple(re.split(r"\{\{\s*(\w+)\s*\}\}", template))


def names_in(template: str) -> list[tuple[str, int]]:
    """List what a template asks for between double braces, each with its line from 0; it need not be a name."""
    found = re.finditer(r"\{\{\s*([^{}]*?)\s*\}\}", template)
    return [(asked[1], template.count("\n", 0, asked.start())) for asked in found]

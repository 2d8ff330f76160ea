"""A project: the folder of data that says what is asked, what is right and what is published."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vlaa_thinking import toml
from vlaa_thinking.errors import ProjectError, SetupError
from vlaa_thinking.front_matter import is_link, unfit
from vlaa_thinking.record import ANSWER_TYPES
from vlaa_thinking.settings import (
    MOST_IN_A_BATCH,
    CaptionHead,
    CueRule,
    CurateRule,
    DistillHead,
    Head,
    LeakRule,
    Models,
    Paper,
    PolicyRule,
    Profile,
    Prompt,
    RewriteHead,
    Settings,
    Source,
    SourceHead,
    Verifier,
    VerifyHead,
    names_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

H = TypeVar("H", bound=Head)

FOLDERS = ("generators", "verifiers", "cards", "recipes")
"""What makes a folder a project. `recipes` is along for the ride: it decides nothing."""

PROMPTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "caption": ("generators/2_caption.md", ("notes",)),
    "distill": ("generators/3_distill.md", ("caption", "question")),
    "rewrite": ("generators/4_rewrite.md", ("text",)),
    "verify": ("verifiers/5_verify.md", ("question", "gold", "prediction", "mark")),
}
"""The prompt of each step that asks a model: its file, and the names that its text may hold."""

RELEASE_CARD = "release.md.jinja"
"""Of cards/: the body of the README.md that `import` writes."""

PAPER = "paper.toml"
"""Of cards/: what the paper's own pipeline kept, to be shown beside a build's."""

STRICT = "strict"
"""The preset of the files as they stand; the others are tables `[preset.NAME]` in them."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with generators/, verifiers/, cards/ and recipes/. It is only ever read."""

    root: Path

    @classmethod
    def default(cls) -> Project:
        """Return the project that comes with this package: the offline demo."""
        package = Path(__file__).parent
        shipped = package / "_project"
        return cls(shipped if shipped.is_dir() else package.parent)

    @classmethod
    def open(cls, path: Path | str) -> Project:
        """Open the project in the folder `path`; raises `ProjectError` if it is none."""
        root = Path(path).resolve()
        missing = [f"{name}/" for name in FOLDERS[:3] if not (root / name).is_dir()]
        if missing:
            message = f"this is no project, it lacks {', '.join(missing)}; `vlaa-thinking init DIR` makes one"
            raise ProjectError(message, file=str(path))
        return cls(root)

    def copy(self, target: Path | str) -> Project:
        """Copy this project's folders into `target`, which must not hold any of them yet."""
        root = Path(target)
        for name in FOLDERS:
            if (root / name).exists():
                message = f"{name}/ is there already, so nothing was copied; name another folder"
                raise ProjectError(message, file=str(target))
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyo")
        try:
            for name in FOLDERS:
                if (self.root / name).is_dir():
                    shutil.copytree(self.root / name, root / name, ignore=ignore)
        except OSError as exc:
            message = f"the project cannot be copied here: {exc.strerror or exc}; name another folder"
            raise ProjectError(message, file=str(target)) from exc
        return Project.open(root)

    def settings(self, profile: str | None = None, preset: str | None = None) -> Settings:
        """Read every file for one profile and preset; raises `ProjectError` naming file, line and key."""
        models_file = self._read("generators/models.toml")
        models = models_file.into(Models)
        name = profile or models.default
        chosen = models.profile.get(name)
        if chosen is None:
            message = f'there is no profile "{name}"{toml.nearest(name, models.profile)}'
            if profile is None:
                raise models_file.error("default", message)
            raise ProjectError(message, file=models_file.file)
        profile_table = models_file.sub("profile").sub(name)
        for role, wrong in chosen.cast.items():
            if wrong not in models.model:
                known = toml.nearest(wrong, models.model)
                raise profile_table.error(role, f'there is no model "{wrong}"{known}')
        _refuse_terms(models, models_file)
        _refuse_batches(models, models_file)
        files = _Files(self.root, preset or chosen.preset)
        settings = files.settings(name, chosen, models, profile_table)
        if files.preset not in files.presets:
            message = f'there is no preset "{files.preset}"{toml.nearest(files.preset, files.presets)}'
            if preset is None:
                raise profile_table.error("preset", message)
            raise SetupError(message)
        return settings

    def sources(self, preset: str | None = None) -> tuple[Source, ...]:
        """Read every source of 1_collect.toml, whether a profile names it or not; without `preset`, as it stands."""
        tables = _Files(self.root, preset or STRICT).table("generators/1_collect.toml").sub("source")
        return tuple(_source(name, tables.sub(name)) for name in tables.values)

    def variants(self, profiles: Sequence[str] = ()) -> dict[str, list[str]]:
        """List every profile, or those named, with every preset that some file knows: each may be built."""
        models_file = self._read("generators/models.toml")
        models = models_file.into(Models)
        found = {}
        for name in profiles or models.profile:
            self.settings(name)  # tells what is wrong with it
            files = _Files(self.root, models.profile[name].preset)
            files.settings(name, models.profile[name], models, models_file.sub("profile").sub(name))
            found[name] = sorted(files.presets)
        return found

    def _read(self, name: str) -> toml.Table:
        return toml.read(self.root / name, name)


class _Files:
    """The files of a project under one preset."""

    def __init__(self, root: Path, preset: str) -> None:
        self.root = root
        self.preset = preset
        self.presets = {STRICT}
        """Every preset that some file knows."""

    def settings(self, name: str, profile: Profile, models: Models, profile_table: toml.Table) -> Settings:
        """Read them all."""
        caption, caption_head = self.prompt("caption", CaptionHead)
        distill, distill_head = self.prompt("distill", DistillHead)
        rewrite, rewrite_head = self.prompt("rewrite", RewriteHead)
        verify, verify_head = self.prompt("verify", VerifyHead)
        curate = self.curate()
        return Settings(
            root=self.root,
            profile=name,
            preset=self.preset,
            roles=profile.cast,
            models={m: models.model[m] for m in sorted(set(profile.cast.values()))},
            sources=self.sources(profile, profile_table),
            prompts={
                "caption": caption,
                "distill": distill,
                "rewrite": rewrite,
                "verify": verify,
                "curate": policy_prompt(curate.system, curate.policy),
            },
            caption=caption_head,
            distill=distill_head,
            rewrite=rewrite_head,
            verify=verify_head,
            verifiers={kind: self.table(f"verifiers/{kind}.toml").into(Verifier) for kind in ANSWER_TYPES},
            cues=self.table("verifiers/cues.toml").into(CueRule),
            leaks=self.table("verifiers/leaks.toml").into(LeakRule),
            curate=curate,
            paper=self.table(f"cards/{PAPER}").into(Paper),
            template=toml.text(self.root / "cards/dataset.md.jinja", "cards/dataset.md.jinja"),
            hashes=self.hashes(),
        )

    def table(self, name: str) -> toml.Table:
        """Read a TOML file with the preset laid over it."""
        return self.preset_over(toml.read(self.root / name, name))

    def preset_over(self, table: toml.Table) -> toml.Table:
        """Lay the chosen `[preset.NAME]` over the rest of the file."""
        presets = table.sub("preset")
        self.presets |= set(presets.values)
        return table.without("preset").over(presets.sub(self.preset))

    def prompt(self, step: str, cls: type[H]) -> tuple[Prompt, H]:
        """Read a step's prompt file: front matter as `cls`, then `# System` and `# User`.

        A part `# User (NAME)` behind them takes the place of `# User` under the preset NAME.
        """
        name, allowed = PROMPTS[step]
        table, body = toml.read_front_matter(self.root / name, name)
        head = self.preset_over(table).into(cls)
        before, *rest = re.split(r"^# (System|User)(?: \((\w+)\))?[ \t]*\n", body, flags=re.MULTILINE)
        parts = {(part, preset or STRICT): text.strip() for part, preset, text in _threes(rest)}
        plain = [part for part, preset in zip(rest[::3], rest[1::3], strict=True) if preset is None]
        if plain != ["System", "User"] or before.strip() or len(parts) != len(rest) / 3:
            raise ProjectError(
                "the text must be two parts, under the lines `# System` and `# User`", file=name
            )
        self.presets |= {preset for _, preset in parts}
        first = table.text.count("\n") + 3  # after the front matter and its fences
        for asked, line in names_in(body):
            if asked not in allowed:
                message = f'unknown name "{{{{{asked}}}}}"{toml.nearest(asked, allowed)}'
                raise ProjectError(message, file=name, line=first + line)
        system, user = (parts.get((part, self.preset), parts[part, STRICT]) for part in ("System", "User"))
        return Prompt(head=head, system=system, user=user), head

    def curate(self) -> CurateRule:
        """Read the rule of step 6."""
        table = self.table("cards/6_curate.toml")
        rule = table.into(CurateRule)
        if "{{" in rule.system:
            raise table.error("system", '"system" is published as it stands: it may hold no {{')
        if rule.band.above >= rule.band.below:
            message = f'"above" must be below "below", which is {rule.band.below:g}'
            raise table.sub("band").error("above", message)
        if fault := unfit(rule.card):
            raise table.sub("card").error(*fault)
        return rule

    def sources(self, profile: Profile, profile_table: toml.Table) -> tuple[Source, ...]:
        """Read the sources that the profile names."""
        tables = self.table("generators/1_collect.toml")
        for key in tables.values:
            if key != "source":
                raise tables.unknown(key, ["source", "preset"])
        known = tables.sub("source")
        for wanted in profile.sources:
            if profile.sources.count(wanted) > 1:
                raise profile_table.error("sources", f'the source "{wanted}" is named twice')
            if wanted not in known.values:
                near = toml.nearest(wanted, known.values)
                raise profile_table.error("sources", f'there is no source "{wanted}" in 1_collect.toml{near}')
        return tuple(_source(name, known.sub(name)) for name in profile.sources)

    def hashes(self) -> dict[str, str]:
        """Hash each file that decides something; READMEs, recipes, the paper's figures and `import`'s card do not."""
        files = sorted(p for folder in FOLDERS[:3] for p in (self.root / folder).iterdir())
        return {
            p.relative_to(self.root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in files
            if p.suffix in {".toml", ".md", ".jinja"}
            and p.name not in ("README.md", PAPER, RELEASE_CARD)
            and p.is_file()
        }


def _refuse_terms(models: Models, table: toml.Table) -> None:
    """Refuse terms of a model that a card could not show."""
    for name, model in models.model.items():
        if model.terms and not is_link(model.terms.link):
            place = table.sub("model").sub(name).sub("terms")
            raise place.error("link", f'"link" must be a web address, not "{model.terms.link}"')


def _refuse_batches(models: Models, table: toml.Table) -> None:
    """Refuse batches where there is no endpoint for them, and larger ones than it takes."""
    for name, model in models.model.items():
        place = table.sub("model").sub(name)
        most = MOST_IN_A_BATCH.get(model.api)
        if model.mode == "batch" and most is None:
            known = " and ".join(f'"{api}"' for api in MOST_IN_A_BATCH)
            raise place.error("mode", f'the api "{model.api}" has no batches; {known} have')
        for key, limit in zip(("count", "bytes"), most or (), strict=False):
            if getattr(model.batch, key) > limit:
                message = f'"{key}" must be at most {limit:,}: the api "{model.api}" takes no larger batch'
                raise place.sub("batch").error(key, message)


def policy_prompt(system: str, rule: PolicyRule) -> Prompt:
    """Return what the policy is asked: the prompt that is published, with the image before the question."""
    return Prompt(head=Head(role="policy", params=rule.params), system=system.strip(), user="{{question}}")


def _threes(parts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Give a list three by three."""
    return zip(parts[::3], parts[1::3], parts[2::3], strict=True)


def _source(name: str, table: toml.Table) -> Source:
    common = {field.name for field in dataclasses.fields(SourceHead)}
    head = table.without(*table.values.keys() - common).into(SourceHead)
    options = table.without(*common)
    own = {field.name: getattr(head, field.name) for field in dataclasses.fields(head)}
    return Source(name=name, options=options, **own)

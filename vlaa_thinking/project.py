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
from vlaa_thinking.record import ANSWER_TYPES
from vlaa_thinking.settings import (
    ROLES,
    CueRule,
    CurateRule,
    Head,
    LeakRule,
    Models,
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
    from collections.abc import Sequence

H = TypeVar("H", bound=Head)

FOLDERS = ("generators", "verifiers", "cards", "recipes")
"""What makes a folder a project. `recipes` is along for the ride: it decides nothing."""

PROMPTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "caption": ("generators/2_caption.md", ("notes",)),
    "distill": ("generators/3_distill.md", ("caption", "question")),
    "rewrite": ("generators/4_rewrite.md", ("text",)),
    "verify": ("verifiers/5_verify.md", ("question", "gold", "prediction")),
}
"""The prompt of each step that asks a model: its file, and the names that its text may hold."""

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
        for role in ROLES:
            if chosen.model(role) not in models.model:
                wrong = chosen.model(role)
                known = toml.nearest(wrong, models.model)
                raise profile_table.error(role, f'there is no model "{wrong}"{known}')
        files = _Files(self.root, preset or chosen.preset)
        settings = files.settings(name, chosen, models, profile_table)
        if files.preset not in files.presets:
            message = f'there is no preset "{files.preset}"{toml.nearest(files.preset, files.presets)}'
            if preset is None:
                raise profile_table.error("preset", message)
            raise SetupError(message)
        return settings

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
        caption, _ = self.prompt("caption", Head)
        distill, _ = self.prompt("distill", Head)
        rewrite, rewrite_head = self.prompt("rewrite", RewriteHead)
        verify, verify_head = self.prompt("verify", VerifyHead)
        return Settings(
            root=self.root,
            profile=name,
            preset=self.preset,
            roles={role: profile.model(role) for role in ROLES},
            models={m: models.model[m] for m in sorted({profile.model(role) for role in ROLES})},
            sources=self.sources(profile, profile_table),
            prompts={"caption": caption, "distill": distill, "rewrite": rewrite, "verify": verify},
            rewrite=rewrite_head,
            verify=verify_head,
            verifiers={kind: self.table(f"verifiers/{kind}.toml").into(Verifier) for kind in ANSWER_TYPES},
            cues=self.table("verifiers/cues.toml").into(CueRule),
            leaks=self.table("verifiers/leaks.toml").into(LeakRule),
            curate=self.table("cards/6_curate.toml").into(CurateRule),
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
        """Read a step's prompt file: front matter as `cls`, then `# System` and `# User`."""
        name, allowed = PROMPTS[step]
        table, body = toml.read_front_matter(self.root / name, name)
        head = self.preset_over(table).into(cls)
        parts = re.split(r"^# (System|User)[ \t]*\n", body, flags=re.MULTILINE)
        if parts[1::2] != ["System", "User"] or parts[0].strip():
            raise ProjectError(
                "the text must be two parts, under the lines `# System` and `# User`", file=name
            )
        first = table.text.count("\n") + 3  # after the front matter and its fences
        for asked, line in names_in(body):
            if asked not in allowed:
                message = f'unknown name "{{{{{asked}}}}}"{toml.nearest(asked, allowed)}'
                raise ProjectError(message, file=name, line=first + line)
        return Prompt(head=head, system=parts[2].strip(), user=parts[4].strip()), head

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
        """Hash each file that decides something; READMEs and recipes decide nothing."""
        files = sorted(p for folder in FOLDERS[:3] for p in (self.root / folder).iterdir())
        return {
            p.relative_to(self.root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in files
            if p.suffix in {".toml", ".md", ".jinja"} and p.name != "README.md" and p.is_file()
        }


def _source(name: str, table: toml.Table) -> Source:
    common = {field.name for field in dataclasses.fields(SourceHead)}
    head = table.without(*table.values.keys() - common).into(SourceHead)
    options = table.without(*common)
    return Source(name=name, options=options, reader=head.reader, license=head.license, take=head.take)

"""The dataset folder of an import: the same writer, spool, card and manifest as a build's."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import vlaa_thinking
from vlaa_thinking import card, croissant, toml
from vlaa_thinking.dataset import files_told, root_of, write_manifest, write_splits
from vlaa_thinking.licensing import licensing
from vlaa_thinking.markup import read_template
from vlaa_thinking.project import RELEASE_CARD, Project
from vlaa_thinking.release.origins import ORIGINS, RELEASE, UNKNOWN, place_of
from vlaa_thinking.release.pictures import look_only
from vlaa_thinking.release.result import defects_of
from vlaa_thinking.settings import CardText, Settings
from vlaa_thinking.spool import Decision, Spool
from vlaa_thinking.steps.curate import mark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vlaa_thinking.images import ImageStore
    from vlaa_thinking.places import Places
    from vlaa_thinking.record import Fault, Picture
    from vlaa_thinking.release.boxes import Frame
    from vlaa_thinking.release.files import ReleasedFile
    from vlaa_thinking.release.result import ImportCounts, ImportedFile
    from vlaa_thinking.release.rows import Entry
    from vlaa_thinking.release.settling import Settled

TEMPLATE = f"cards/{RELEASE_CARD}"
"""The body of an imported dataset's README.md."""

CARD = CardText(
    pretty_name="VLAA-Thinking, imported",
    license="other",
    license_name="by-source",
    about="The rows of VLAA-Thinking as its authors released them, in a form that `datasets` loads.",
)
"""What the card's front matter says; its rows have licences of their own."""

WHY = "{config}: the authors' split"

BETWEEN = 1000
"""Images after which what was found out about them is written down."""


def settings_of(project: Project) -> Settings:
    """Read a project as far as it decides about imported rows: their prompts, and what their answers must be."""
    root = project.root if (project.root / TEMPLATE).is_file() else Project.default().root
    settings = project.settings()
    return replace(
        settings,
        template=toml.text(root / TEMPLATE, TEMPLATE),
        curate=replace(settings.curate, card=CARD),
        hashes={
            name: hashed
            for name, hashed in settings.hashes.items()
            if name == "cards/6_curate.toml"
            or name in {f"verifiers/{kind}.toml" for kind in settings.verifiers}
        },
    )


class Folder:
    """A dataset folder under way."""

    def __init__(
        self, places: Places, settings: Settings, images: ImageStore | None, counts: ImportCounts
    ) -> None:
        """Open the spool; without `images` none is embedded, and fetch.jsonl says where they are to be had."""
        read_template(settings.template, TEMPLATE)
        self._places = places
        self._settings = settings
        self._images = images
        self._counts = counts
        self._looks = itertools.count(1)
        places.run.unlink(missing_ok=True)  # a build's note on rows that are about to go
        self._spool = Spool(places.spool, fresh=True, between_rows=self._count_written)
        self._lists = {
            name: (places.work / name).open("w", encoding="utf-8", errors="replace")
            for name in ("defects.jsonl", *(() if images else ("fetch.jsonl",)))
        }

    @property
    def place(self) -> Path:
        """Where the folder is to lie."""
        return self._places.out

    def look(self, image: Path | bytes) -> Picture | Fault:
        """Check an image, and store it if it is to be embedded; may be called from any thread."""
        if self._images is None:
            return look_only(image)
        looked = self._images.add(image)
        if next(self._looks) % BETWEEN == 0:
            self._images.settle()
        return looked

    def add(self, file: ReleasedFile, entry: Entry, settled: Settled) -> None:
        """Add a row."""
        record = mark(settled.record, self._settings.cues)
        why = WHY.format(config=file.config)
        kept = Decision(key=record.key, config=file.config, part="train", code="", why=why)
        self._spool.put(record, settled.copy, None if record.outcome else kept)
        name = {"id": record.id, "config": file.config if record.outcome is None else "rejected"}
        if settled.defects:
            place = {"file": file.path.name, "line": entry.line}
            self._note("defects.jsonl", {**name, **place, "defects": settled.defects})
        if self._images is None and record.outcome is None and entry.head.image:
            passed_on = {"license": record.source_license, "passed_on": entry.origin.passed_on}
            had = place_of(entry.origin, entry.head.image, entry.url)
            self._note("fetch.jsonl", {**name, "image": entry.head.image, **passed_on, **had})

    def finish(self, files: Sequence[ImportedFile], frames: Mapping[str, Frame]) -> bool:
        """Write the folder and put it in its place; returns whether it was changed."""
        self._counts.begin("writing the dataset")
        if self._images:
            self._images.settle()
        self._spool.decide(())
        target = self._places.next
        splits = write_splits(target, self._spool, self._images, self._settings)
        for name, file in self._lists.items():
            file.close()
            (self._places.work / name).replace(target / name)
        hashed = files_told(target)
        sources = card.counted_by(self._spool, "source")
        origins = {o.name: o for o in (*ORIGINS.values(), UNKNOWN)}
        licenses = {name: origins[name].license for name in sources}
        facts = {
            "made_by": "vlaa-thinking",
            "version": vlaa_thinking.__version__,
            "imported": RELEASE,
            "root_sha256": root_of(hashed),
            "inputs": [asdict(file) for file in files],
            "images": "embedded" if self._images else "to be fetched",
            "rows": {
                "in": self._counts.rows,
                "kept": sum(self._counts.kept.values()),
                "dropped": sum(self._counts.dropped.values()),
                "failed": 0,
            },
            "dropped": dict(sorted(self._counts.dropped.items())),
            "defects": {
                defect.code: {"what": defect.what, "done": defect.done, "rows": defect.rows}
                for defect in defects_of(self._counts)
            },
            "missing": dict(sorted(self._counts.missing.items())),
            "shared_images": self._spool.shared_images(),
            "box_frames": {source: asdict(frame) for source, frame in frames.items()},
            "splits": card.splits_told(splits),
            "sources": sources,
            "licenses": licenses,
            "licensing": licensing(licenses, CARD.license),
            "answer_types": card.counted_by(self._spool, "answer_type"),
            "origins": {name: asdict(origin) for name, origin in origins.items()},
            "project": self._settings.hashes,
        }
        croissant.write(target, self._settings.curate.card, facts, hashed)
        card.write(target, self._settings, facts, splits, file=TEMPLATE)
        write_manifest(target, facts, hashed)
        return self._places.put()

    def close(self) -> None:
        """Close what is open."""
        for file in self._lists.values():
            file.close()
        self._spool.close()

    def _note(self, name: str, line: Mapping[str, Any]) -> None:
        self._lists[name].write(json.dumps(line, ensure_ascii=False) + "\n")

    def _count_written(self) -> None:
        self._counts.written += 1
        self._counts.show()

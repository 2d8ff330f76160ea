"""croissant.json: what a dataset folder holds and who wrote it, in the words that other programs read.

Croissant 1.1 (mlcommons.org/croissant) in JSON-LD. Provenance is in W3C's PROV-O: the activities are the steps, each
with the file that says what is asked and the model that was asked; every field names the activities that wrote it.
Like all in the folder it is a function of the recorded answers, the project and the seed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking import columns
from vlaa_thinking.record import ANSWER_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vlaa_thinking.columns import Column, Form
    from vlaa_thinking.llm import Json
    from vlaa_thinking.settings import CardText

FILE = "croissant.json"

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

UNPUBLISHED = "0.0.0-unpublished"
"""The version of a folder that has none yet: it gets one where it is published."""

CITATION = (
    "@article{chen2025sft, title={SFT or RL? An Early Investigation into Training R1-Like Reasoning Large "
    "Vision-Language Models}, author={Chen, Hardy and Tu, Haoqin and Wang, Fali and Liu, Hui and Tang, Xianfeng and "
    "Du, Xinya and Zhou, Yuyin and Xie, Cihang}, journal={arXiv preprint arXiv:2504.11468}, year={2025}}"
)
"""The paper whose steps made the dataset."""

CONTEXT: dict[str, Json] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The specification's own (its appendix 1), and PROV-O's prefix."""

FORMATS = {".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}
"""The media types of the files that are described, by their suffix."""

TYPES = {"string": "sc:Text", "number": "sc:Float", "integer": "sc:Integer", "boolean": "sc:Boolean"}
"""Croissant's names of a column's types."""

SPLITS = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A step, as far as it writes columns."""

    about: str
    files: tuple[str, ...]
    """The project's files that say how."""
    role: str | None = None
    """Whose model writes."""


ACTIVITIES = {
    "collect": Activity(
        about="Takes images, questions and answers from the sources.", files=("generators/1_collect.toml",)
    ),
    "caption": Activity(
        about="Describes the image in words, where the source has no caption of its own.",
        files=("generators/2_caption.md",),
        role="captioner",
    ),
    "distill": Activity(
        about="Reasons about the question from the caption alone.",
        files=("generators/3_distill.md",),
        role="reasoner",
    ),
    "rewrite": Activity(
        about="Frees the reasoning from the caption's voice.",
        files=("generators/4_rewrite.md", "verifiers/leaks.toml"),
        role="rewriter",
    ),
    "verify": Activity(
        about="Holds the answer against the right one, by rule where one can tell, else by the judge.",
        files=("verifiers/5_verify.md", *(f"verifiers/{kind}.toml" for kind in ANSWER_TYPES)),
        role="judge",
    ),
    "mark": Activity(about="Finds the cues of self-reflection.", files=("verifiers/cues.toml",)),
    "measure": Activity(
        about="Shows the question to the model that is to be trained, to see how hard it is.",
        files=("cards/6_curate.toml",),
        role="policy",
    ),
    "curate": Activity(
        about="Decides in which config a row is published, and words its prompt.",
        files=("cards/6_curate.toml",),
    ),
}
"""What `columns.Column.by` names."""


def write(folder: Path, card: CardText, facts: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """Write croissant.json into a folder whose `facts` are the manifest's, and `files` the data files' sizes and hashes."""
    text = json.dumps(document(card, facts, files), indent=1, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def released(told: Mapping[str, Any], *, version: str, date: str, url: str) -> dict[str, Any]:
    """Return a document with what is known once a dataset is published: its version, the day and the page.

    `date` is ISO 8601; the document's order stays.
    """
    news = {"version": version, "datePublished": date, "url": url}
    whole: dict[str, Any] = {}
    for key, value in told.items():
        if key in news:
            whole |= {key: news.pop(key)}
        elif key == "distribution":
            whole |= {**news, key: value}
        else:
            whole[key] = value
    return whole


def document(card: CardText, facts: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a dataset: its files, its rows' columns, and what each of them was written by."""
    done = {name: a for name, a in ACTIVITIES.items() if _took_place(a, facts)}
    splits = dict.fromkeys(part for parts in facts["splits"].values() for part in parts)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": card.pretty_name,
        "description": card.about,
        "conformsTo": CONFORMS_TO,
        "license": {"@type": "sc:CreativeWork", "name": card.license},
        "citeAs": CITATION,
        "creator": {"@type": "sc:Organization", "name": f"vlaa-thinking {facts['version']}"},
        "inLanguage": list(card.language),
        "keywords": ["vlaa-thinking", "reasoning", "multimodal", "visual question answering", "sft", "grpo"],
        "version": UNPUBLISHED,
        "prov:wasDerivedFrom": _sources(facts),
        "prov:wasGeneratedBy": [_activity(name, activity, facts) for name, activity in done.items()],
        "distribution": [*_file_objects(files), *(_file_set(config) for config in facts["splits"])],
        "recordSet": [
            _split_names(splits),
            *(_record_set(config, list(parts), done) for config, parts in facts["splits"].items()),
        ],
    }


def _took_place(activity: Activity, facts: Mapping[str, Any]) -> bool:
    played = activity.role is None or activity.role in facts.get("models", {})
    return played and any(file in facts["project"] for file in activity.files)


def _sources(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name the sources, each with its licence as the rows have it."""
    licences = facts.get("licenses") or {
        name: origin["license"] for name, origin in facts.get("origins", {}).items()
    }
    return [
        {"@type": "prov:Entity", "name": name, "license": licences.get(name, "unknown")}
        for name in facts["sources"]
    ]


def _activity(name: str, activity: Activity, facts: Mapping[str, Any]) -> dict[str, Any]:
    used = [
        {"@type": "prov:Entity", "@id": file, "name": file, "sha256": facts["project"][file]}
        for file in activity.files
        if file in facts["project"]
    ]
    told: dict[str, Any] = {
        "@type": "prov:Activity",
        "@id": _step(name),
        "name": name,
        "description": activity.about,
        "prov:used": used,
    }
    if activity.role is not None:
        told["prov:wasAssociatedWith"] = _agent(activity.role, facts["models"][activity.role])
    return told


def _agent(role: str, model: Mapping[str, Any]) -> dict[str, Any]:
    program = model.get("api") == "demo"
    return {
        "@type": "prov:SoftwareAgent",
        "@id": _model(role),
        "name": model.get("model") or model["name"],
        "description": f"The {role}{': a program that works by rule, no model' if program else ''}.",
    }


def _step(name: str) -> str:
    return f"step/{name}"


def _model(role: str) -> str:
    return f"model/{role}"


def _file_objects(files: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, facts in files.items():
        suffix = name[name.rfind(".") :]
        if suffix in FORMATS:
            yield {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "contentSize": f"{facts['bytes']} B",
                "encodingFormat": FORMATS[suffix],
                "sha256": facts["sha256"],
            }


def _file_set(config: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _files_of(config),
        "name": _files_of(config),
        "encodingFormat": FORMATS[".parquet"],
        "includes": f"{config}/*.parquet",
    }


def _files_of(config: str) -> str:
    return f"{config}-files"


def _split_names(splits: Mapping[str, object]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits of the configs.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": ["sc:URL", "cr:Split"]},
        ],
        "data": [{"splits/name": part, "splits/url": SPLITS[part]} for part in splits],
    }


def _record_set(config: str, parts: list[str], done: Mapping[str, Activity]) -> dict[str, Any]:
    split = {
        "@type": "cr:Field",
        "@id": f"{config}/split",
        "name": "split",
        "description": "The split that the row is in.",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": _files_of(config)},
            "extract": {"fileProperty": "fullpath"},
            # A reader that joins the splits' names applies it again to what it found: that must fit, too.
            "transform": {"regex": rf"^(?:{config}/)?({'|'.join(parts)})(?:-.*\.parquet)?$"},
        },
        "references": {"field": {"@id": "splits/name"}},
    }
    about = {
        "sft": "Rows for supervised fine-tuning.",
        "rl": "Rows for GRPO.",
        "rejected": "Rows that were dropped, each with the reason.",
    }
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": about[config],
        **({"key": {"@id": f"{config}/id"}} if config in columns.KEPT else {}),
        "field": [split, *(_field(config, column, done) for column in columns.of(config))],
    }


def _field(config: str, column: Column, done: Mapping[str, Activity]) -> dict[str, Any]:
    by = [name for name in column.by if name in done]
    roles = dict.fromkeys(role for name in by if (role := done[name].role) is not None)
    told = {
        **_formed(f"{config}/{column.name}", column.name, column.form, config, column.name, ()),
        "description": f"{column.about}.",
    }
    if by:
        told["prov:wasGeneratedBy"] = [{"@id": _step(name)} for name in by]
    if roles:
        told["prov:wasAttributedTo"] = [{"@id": _model(role)} for role in roles]
    return told


def _formed(
    place: str, name: str, form: Form, config: str, column: str, path: tuple[str, ...]
) -> dict[str, Any]:
    """Say what a column holds, or a field of it at `path`, and where it is to be read."""
    told: dict[str, Any] = {"@type": "cr:Field", "@id": place, "name": name}
    source: dict[str, Any] = {"fileSet": {"@id": _files_of(config)}, "extract": {"column": column}}
    if "contentMediaType" in form:
        return {
            **told,
            "dataType": "sc:ImageObject",
            "source": {**source, "transform": {"jsonPath": "bytes"}},
        }
    shape = []
    while form["type"] == "array":
        shape.append(form["minItems"] if form.get("minItems") == form.get("maxItems", 0) else -1)
        form = form["items"]
    if shape:
        told |= {"isArray": True, "arrayShape": ",".join(map(str, shape))}
    if form["type"] == "object":
        below = form["properties"].items()
        return {
            **told,
            "subField": [_formed(f"{place}/{n}", n, f, config, column, (*path, n)) for n, f in below],
        }
    if path:
        source["transform"] = {"jsonPath": ".".join(path)}
    return {**told, "dataType": TYPES[form["type"]], "source": source}

"""The columns as Arrow, Parquet and `datasets` call them.

What `datasets` would write down of them is written here without it: to import it takes half a second and a hundred
megabytes of every build, and the form is settled. tests/test_arrow.py holds each against its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vlaa_thinking.columns import of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

CHUNKING: Any = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
"""Content-defined chunks of a column, in bytes: the Hub stores what two versions share once."""

_IMAGE = {"_type": "Image"}
_TYPES = {"string": "string", "number": "float64", "integer": "int32", "boolean": "bool"}

Feature = dict[str, Any]
"""A feature as `datasets` writes it into a schema's metadata."""


def arrow_schema(config: str) -> pa.Schema:
    """Return the schema of a config's files, in the order in which a viewer should show the columns."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    features = _features(config)
    told = json.dumps({"info": {"features": features}})
    fields = [pa.field(name, _arrow(feature)) for name, feature in features.items()]
    return pa.schema(fields, metadata={"huggingface": told})


def parquet_options(config: str) -> dict[str, Any]:
    """Return how the Parquet writer is to store each column: images as they are, all else in dictionaries by Snappy."""
    compression: dict[str, str] = {}
    dictionaries: list[str] = []
    plain: dict[str, str] = {}
    for name, feature in _features(config).items():
        for leaf in _leaves(name, feature):
            compression[leaf] = "none" if feature == _IMAGE else "snappy"
            if feature == _IMAGE:
                plain[leaf] = "PLAIN"
            else:
                dictionaries.append(leaf)
    return {"compression": compression, "use_dictionary": dictionaries, "column_encoding": plain}


def card_features(config: str) -> list[dict[str, Any]]:
    """Return the features as a dataset card's YAML lists them."""
    return _struct(_features(config))


def _features(config: str) -> dict[str, Feature]:
    return {column.name: _feature(column.form) for column in of(config)}


def _feature(form: Mapping[str, Any]) -> Feature:
    if "contentMediaType" in form:
        return _IMAGE
    match form["type"]:
        case "array":
            return {"feature": _feature(form["items"]), "_type": "List"}
        case "object":
            return {name: _feature(field) for name, field in form["properties"].items()}
        case kind:
            return {"dtype": _TYPES[kind], "_type": "Value"}


def _arrow(feature: Feature) -> pa.DataType:
    import pyarrow as pa  # noqa: PLC0415 - heavy

    match feature.get("_type"):
        case "Image":
            return pa.struct({"bytes": pa.binary(), "path": pa.string()})
        case "List":
            return pa.list_(_arrow(feature["feature"]))
        case "Value":
            return pa.type_for_alias(feature["dtype"])
        case _:
            return pa.struct([pa.field(name, _arrow(field)) for name, field in feature.items()])


def _leaves(path: str, feature: Feature) -> Iterator[str]:
    """Give the paths of the columns that a feature takes in a Parquet file."""
    match feature.get("_type"):
        case "Image":
            yield from (f"{path}.bytes", f"{path}.path")
        case "List":
            yield from _leaves(f"{path}.list.element", feature["feature"])
        case "Value":
            yield path
        case _:
            for name, field in feature.items():
                yield from _leaves(f"{path}.{name}", field)


def _struct(features: Mapping[str, Feature]) -> list[dict[str, Any]]:
    return [{"name": name, **_yaml(feature)} for name, feature in features.items()]


def _yaml(feature: Feature) -> dict[str, Any]:
    match feature.get("_type"):
        case "Image":
            return {"dtype": "image"}
        case "List":
            held = _yaml(feature["feature"])
            return {"list": next(iter(held.values())) if held.keys() <= {"dtype", "struct"} else held}
        case "Value":
            return {"dtype": feature["dtype"]}
        case _:
            return {"struct": _struct(feature)}

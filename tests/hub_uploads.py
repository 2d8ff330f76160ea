"""What the small Hub does with files that come up: large ones apart by LFS, the others within their commit."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

BATCH = re.compile(r"/datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
OBJECT = re.compile(r"/objects/(?P<sha>[0-9a-f]{64})")

LARGE = (".parquet", ".png")
"""The names of files that are large ones, however small."""


class Large(bytes):
    """The content of a file that git only points to."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self).hexdigest()

    def pointed(self) -> dict[str, Any]:
        return {"oid": self.sha256, "size": len(self), "pointerSize": 130}


Files = dict[str, bytes]


class Refused(Exception):  # noqa: N818 - an answer
    """What the Hub answers where it does not do as asked."""

    def __init__(self, status: int, words: str, code: str | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.headers = {"X-Error-Message": words, **({"X-Error-Code": code} if code else {})}


def oid(data: bytes) -> str:
    """Hash a file as git does."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def upload_modes(given: bytes, files: Files, *, lfs: bool) -> dict[str, Any]:
    """Say for each file which way it is to come, and whether the repository's .gitignore keeps it out."""
    said = []
    asked = json.loads(given)
    rules = asked.get("gitIgnore", files.get(".gitignore", b"").decode()).split()
    for wish in asked["files"]:
        path, here = wish["path"], files.get(wish["path"])
        mode = "lfs" if lfs and path.endswith(LARGE) else "regular"
        known = {} if here is None else {"oid": here.sha256 if isinstance(here, Large) else oid(here)}
        said.append(
            {
                "path": path,
                "uploadMode": mode,
                "shouldIgnore": any(fnmatch(path, rule) for rule in rules),
                **known,
            }
        )
    return {"files": said}


def batch(given: bytes, objects: Mapping[str, Large], url: str) -> dict[str, Any]:
    """Say where each large file that is not there yet is to be put."""
    said = []
    for wish in json.loads(given)["objects"]:
        told = {"oid": wish["oid"], "size": wish["size"]}
        if wish["oid"] not in objects:
            told["actions"] = {"upload": {"href": f"{url}/objects/{wish['oid']}"}}
        said.append(told)
    return {"transfer": "basic", "objects": said}


def changed(given: bytes, head: str, files: Files, objects: Mapping[str, Large]) -> tuple[str, Files]:
    """Apply a commit to the files of `head`; returns its title and what there is then."""
    title, after = "", dict(files)
    for line in given.splitlines():
        entry = json.loads(line)
        value: dict[str, Any] = entry["value"]
        match entry["key"]:
            case "header":
                title = value["summary"]
                if value.get("parentCommit", head) != head:
                    raise Refused(412, f"The expected parent commit is not the head: {head}")
            case "file":
                after[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                if value["oid"] not in objects or len(objects[value["oid"]]) != value["size"]:
                    raise Refused(400, f"LFS object of {value['path']} was not uploaded")
                after[value["path"]] = objects[value["oid"]]
            case "deletedFile":
                if value["path"] not in after:
                    raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
                del after[value["path"]]
            case key:
                raise Refused(400, f"no such operation here: {key}")
    return title, after

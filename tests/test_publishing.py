"""A dataset folder published as versions on a small Hub: whole or not at all, loaded by tag, refused where it must be."""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hub_client import HubClient, hub_client
from hub_server import Cut, HubServer, Repo
from hub_uploads import Files, Large
from tampered import edit, file_of, manifest_of, rows_of, seal, write_manifest

from vlaa_thinking import Project, build
from vlaa_thinking.edition import Edition
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.licensing import licensing
from vlaa_thinking.publishing.terms import doubts
from vlaa_thinking.versions import Version

DAYS = {"1.0.0": "2026-01-31", "1.1.0": "2026-02-28"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first") / "set"
    build(Project.default(), out=out, limit=40)
    return out


@pytest.fixture(scope="module")
def second(first: Path) -> Path:
    """Add rows, and change one."""
    out = first.parents[1] / f"{first.parent.name}-second/set"
    build(Project.default(), out=out, limit=60)
    known = {row["id"] for row in rows_of(first)}
    edit(out, next(n for n, row in enumerate(rows_of(out)) if row["id"] in known), caption=None)
    return out


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[HubServer, HubClient]]:
    with HubServer() as hub, hub_client(hub.publisher) as client:
        yield hub, client


@pytest.fixture
def hub(served: tuple[HubServer, HubClient]) -> HubServer:
    served[0].repos.clear()
    served[0].objects.clear()
    served[0].asked.clear()
    served[0].cut = None
    return served[0]


@pytest.fixture
def client(served: tuple[HubServer, HubClient]) -> HubClient:
    return served[1]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name a dataset that no other test has: the client keeps what it fetched."""
    return "org/" + re.sub(r"\W+", "-", request.node.name)[:80].strip("-")


def put(client: HubClient, name: str, folder: Path | str, version: str, **options: Any) -> dict[str, Any]:
    return client(
        "publish", name, str(folder), version=version, date=DAYS.get(version, "2026-03-31"), **options
    )


def titles(repo: Repo) -> list[str]:
    return list(repo.messages.values())


def assert_whole(files: Files, version: str) -> None:
    """See that a commit holds what its manifest says, and nothing else."""
    manifest = json.loads(files["manifest.json"])
    assert manifest["release"]["version"] == version
    found = {path: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for path, data in files.items()}
    assert {
        path: found[path] for path in found if path not in ("manifest.json", ".gitattributes")
    } == manifest["files"]
    assert all(len(data) < 2**20 or isinstance(data, Large) for data in files.values())


# --- the demonstration -----------------------------------------------------------------------------------------------


def test_the_demo_is_published_changed_published_again_and_both_are_loaded(
    hub: HubServer, client: HubClient, first: Path, second: Path
) -> None:
    name = "org/demo"
    done = client("cli", "publish", name, str(first), "--version", "1.0.0")
    assert (done["code"], done["err"].splitlines()[0]) == (0, f"Making the private dataset {name}.")
    assert f'rows = load_dataset("{name}", revision="v1.0.0")' in done["out"]
    asked = client("cli", "publish", name, str(second), "--version", "1.1.0", "--dry-run")
    print(asked["err"] + asked["out"])
    assert asked["code"] == 0
    assert "A minor version, for rows changed: 1.0.0 becomes 1.1.0." in asked["out"]
    assert (
        asked["out"]
        .rstrip()
        .endswith(f"Nothing was published (--dry-run): it would become v1.1.0 of {name} (private).")
    )
    assert set(hub.repos[name].tags) == {"v1.0.0"}
    done = client("cli", "publish", name, str(second), "--version", "1.1.0")
    print(done["err"] + done["out"])
    assert done["code"] == 0
    repo = hub.repos[name]
    assert repo.private
    assert titles(repo) == ["Version 1.0.0", "Version 1.1.0"]
    for tag, folder in {"v1.0.0": first, "v1.1.0": second}.items():
        assert_whole(repo.commits[repo.tags[tag]], tag[1:])
        for config in ("sft", "rl", "rejected"):
            loaded = client("load", name, config, "train", tag)
            assert loaded["ids"] == [row["id"] for row in rows_of(folder, f"{config}/train")]
            print(f"load_dataset({name!r}, {config!r}, revision={tag!r}): {len(loaded['ids'])} rows")
        audited = client("cli", "audit", f"{name}@{tag}")
        print(audited["out"])
        assert (audited["code"], audited["out"].splitlines()[-1]) == (0, f"Nothing disagrees in {name}@{tag}")
    told = client("cli", "diff", f"{name}@v1.0.0", f"{name}@v1.1.0", "--last", "1.0.0")
    print(told["out"])
    entry = told["out"].partition("Its entry in CHANGELOG.md:\n\n")[2]
    assert entry.startswith("### Added\n\n- 20 rows: ")
    assert "### Changed\n\n- 1 row changed: `caption` in 1.\n" in entry
    changelog = repo.commits[repo.head]["CHANGELOG.md"].decode()
    assert re.findall(r"^## \[(.*)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE) == ["1.1.0", "1.0.0"]
    assert entry.strip() in changelog
    print(changelog)


def test_a_folder_is_not_touched_and_like_its_published_version(
    hub: HubServer, client: HubClient, name: str, first: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    made = put(client, name, first, "1.0.0", public=True)
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    assert not hub.repos[name].private
    assert made["done"] == "published"
    assert made["files"] == len(before)
    assert client("diff", str(first), f"{name}@v1.0.0")["part"] is None
    again = put(client, name, first, "1.0.1")
    assert again == {
        "error": "SetupError",
        "words": f"{first} holds just what {name}@v1.0.0 holds: there is nothing to publish",
    }
    files = hub.repos[name].commits[hub.repos[name].head]
    card = files["README.md"].decode()
    assert f'rows = load_dataset("{name}", "sft", revision="v1.0.0")' in card
    assert card.index("Version 1.0.0, published on 2026-01-31") < card.index("## Load it")
    copied = put(client, f"{name}-copy", f"{name}@v1.0.0", "2.0.0")  # what was fetched can be published, too
    assert copied["done"] == "published"
    card = hub.repos[f"{name}-copy"].commits[copied["commit"]]["README.md"].decode()
    assert card.count("published on") == card.count("<!-- /version -->") == 1
    assert client("diff", f"{name}@v1.0.0", f"{name}-copy@v2.0.0")["part"] is None
    page = client("cli", "preview", f"{name}@v1.0.0", "--out", str(tmp_path / "page.html"))
    assert page["code"] == 0
    assert f"{name.partition('/')[2]}@v1.0.0" in (tmp_path / "page.html").read_text()


# --- cuts ------------------------------------------------------------------------------------------------------------


def prepare(
    hub: HubServer, client: HubClient, name: str, folders: dict[str, Path]
) -> dict[str, tuple[Repo | None, Repo, list[str]]]:
    """Publish two versions without a cut; returns for each what stood before, what stands then, and the requests."""
    states: dict[str, tuple[Repo | None, Repo, list[str]]] = {}
    for version, folder in folders.items():
        before = copy.deepcopy(hub.repos.get(name))
        hub.asked.clear()
        if before:  # under another name, so that the last version is fetched
            name = f"{name}-next"
            hub.repos[name] = copy.deepcopy(before)
        assert put(client, name, folder, version)["done"] == "published"
        states[version] = (before, copy.deepcopy(hub.repos[name]), list(hub.asked))
    return states


def unversioned(files: Files, name: str) -> dict[str, bytes]:
    """Take the dataset's own name out of the files that say how to load it, and their hashes out of the manifest."""
    named = {path: data.replace(name.encode(), b"org/name") for path, data in files.items()}
    manifest = json.loads(named.pop("manifest.json"))
    manifest["files"].pop("README.md")
    return {**named, "manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize("lfs", [True, False], ids=["lfs", "regular"])
def test_a_cut_at_any_request_leaves_versions_whole_and_the_same_command_ends_it(
    lfs: bool, first: Path, second: Path
) -> None:
    folders = {"1.0.0": first, "1.1.0": second}
    with HubServer() as hub:
        hub.lfs = lfs
        with hub_client(hub.publisher) as client:
            plain = "org/cut-lfs" if lfs else "org/cut-regular"
            states = prepare(hub, client, plain, folders)
            ends = set()
            for version, (before, wanted, requests) in states.items():
                for number, cut in enumerate(cuts(requests, lfs=lfs)):
                    name = f"{plain}-{version}-{number}"
                    hub.objects = {data.sha256: data for data in large(before)}
                    if before:
                        hub.repos[name] = copy.deepcopy(before)
                    ends.add(cut_and_run_again(hub, client, name, folders[version], version, cut))
                    repo = hub.repos[name]
                    assert titles(repo) == titles(wanted), cut
                    assert repo.tags.keys() == wanted.tags.keys()
                    after = wanted.commits[wanted.head]
                    reference = f"{plain}-next" if before else plain
                    assert unversioned(repo.commits[repo.head], name) == unversioned(after, reference), cut
            assert ends == {"published", "tagged", "nothing"}


def cut_and_run_again(
    hub: HubServer, client: HubClient, name: str, folder: Path, version: str, cut: Cut
) -> str:
    """Publish with a cut, see that every tag is whole, publish again; returns how the second run ended."""
    hub.asked.clear()
    hub.cut = cut
    said = put(client, name, folder, version)
    hub.cut = None
    may = {"Unfinished"} if cut.lasting else {"Unfinished", "published"}
    assert said.get("done", said.get("error")) in may, (cut, said)
    for tag, commit in (hub.repos[name].tags if name in hub.repos else {}).items():
        assert_whole(hub.repos[name].commits[commit], tag[1:])
    said = put(client, name, folder, version)
    assert said.get("done") in ("published", "tagged", "nothing"), (cut, said)
    assert hub.repos[name].tags[f"v{version}"] == hub.repos[name].head == said["commit"]
    return str(said["done"])


def cuts(requests: list[str], *, lfs: bool) -> Iterator[Cut]:
    """Name every request that is asked before the answer is lost, and after; fetching is the same in both ways."""
    for at, request in enumerate(requests, start=1):
        if lfs or "/resolve/" not in request:
            yield Cut(at)
            yield Cut(at, after=True)
        if lfs:  # and a cut that the next request does not meet: the client may try again by itself
            yield Cut(at, lasting=False)


def large(repo: Repo | None) -> list[Large]:
    commits = repo.commits.values() if repo else ()
    return [data for files in commits for data in files.values() if isinstance(data, Large)]


def test_what_was_sent_before_a_cut_is_not_sent_again(
    hub: HubServer, client: HubClient, name: str, first: Path
) -> None:
    hub.cut = Cut(8)  # the second of three large files
    assert put(client, name, first, "1.0.0")["error"] == "Unfinished"
    hub.cut = None
    kept = set(hub.objects)
    assert kept
    hub.asked.clear()
    assert put(client, name, first, "1.0.0")["done"] == "published"
    sent = {line.rpartition("/")[2] for line in hub.asked if line.startswith("PUT")}
    assert sent == set(hub.objects) - kept


def test_a_cut_is_told_with_what_to_do_and_ends_with_3(
    hub: HubServer, client: HubClient, name: str, first: Path
) -> None:
    hub.cut = Cut(5)
    done = client("cli", "publish", name, str(first), "--version", "1.0.0")
    assert done["code"] == 3
    last = done["err"].splitlines()[-1]
    assert last.startswith(f"{name} was not published to the end: ")
    assert last.endswith("; every version there is as it was: run the same command again")


# --- refusals --------------------------------------------------------------------------------------------------------


def told(said: dict[str, Any]) -> str:
    assert said.get("error") in ("SetupError", "OutputError"), said
    assert "\n" not in said["words"]
    return str(said["words"])


def test_a_tag_is_never_set_anew(
    hub: HubServer, client: HubClient, name: str, first: Path, second: Path
) -> None:
    commit = put(client, name, first, "1.0.0")["commit"]
    assert told(put(client, name, second, "1.0.0")) == (
        f"{name} has a version 1.0.0 already (commit {commit[:12]}), and it is not this one: "
        "a version never changes, so choose the next number"
    )
    assert (
        told(put(client, name, second, "0.9.9")) == f"0.9.9 does not follow 1.0.0, the last version of {name}"
    )
    assert hub.repos[name].head == commit


def test_a_changed_main_is_refused_by_its_commit_and_accepted_by_its_commit(
    hub: HubServer, client: HubClient, name: str, first: Path, second: Path
) -> None:
    commit = put(client, name, first, "1.0.0")["commit"]
    repo = hub.repos[name]
    head = repo.commit({**repo.commits[commit], ".gitignore": b"*.parquet\n"})
    words = told(put(client, name, second, "1.1.0"))
    assert words == (
        f"main of {name} is at commit {head[:12]}, which is neither v1.0.0 ({commit[:12]}) nor this v1.1.0 waiting for its "
        f"tag, but no version of this dataset: look at it there; `--onto {head[:12]}` puts v1.1.0 on top of it"
    )
    assert told(put(client, name, second, "1.1.0", onto=commit)) == (
        f"main of {name} is at commit {head[:12]}, not at {commit}: look at what is there"
    )
    planned = put(client, name, second, "1.1.0", onto=head[:12], dry_run=True)
    assert (planned["done"], planned["removed"]) == ("dry run", [".gitignore"])
    made = put(client, name, second, "1.1.0", onto=head[:12])
    assert (made["done"], made["removed"]) == ("published", [".gitignore"])
    assert_whole(repo.commits[made["commit"]], "1.1.0")
    assert list(repo.commits)[-2:] == [head, made["commit"]]


def test_an_unfinished_version_with_other_contents_is_named(
    hub: HubServer, client: HubClient, name: str, first: Path, second: Path
) -> None:
    put(client, name, first, "1.0.0")
    del hub.repos[name].tags["v1.0.0"]
    words = told(put(client, name, second, "1.0.0"))
    assert (
        "which is neither empty nor this v1.0.0 waiting for its tag, but an unfinished v1.0.0 with other contents"
        in words
    )
    head = hub.repos[name].head
    assert put(client, name, first, "1.0.0", onto=head)["done"] == "tagged"


def test_a_main_that_moves_meanwhile_is_not_overwritten(first: Path, second: Path) -> None:
    class Busy(HubServer):
        armed = False

        def note(self, request: str) -> int:
            if self.armed and "preupload" in request:
                self.armed = False
                self.repos["org/busy"].commit(
                    {**self.repos["org/busy"].commits[self.repos["org/busy"].head], "x": b""}
                )
            return super().note(request)

    with Busy() as hub, hub_client(hub.publisher) as client:
        put(client, "org/busy", first, "1.0.0")
        hub.armed = True
        assert told(put(client, "org/busy", second, "1.1.0")) == (
            "somebody else has just changed main of org/busy; no version was touched: look at it, and run the command again"
        )
        assert set(hub.repos["org/busy"].tags) == {"v1.0.0"}


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0 ", "1.0.٣", ""])
def test_only_a_plain_version_is_one(version: str) -> None:
    with pytest.raises(SetupError, match=r"is no version: write it as 1\.0\.0"):
        Version.read(version)


def test_versions_are_ordered_as_numbers() -> None:
    assert Version.read("1.10.0") > Version.read("1.9.9")
    assert [Version.of_tag(tag) for tag in ("v1.2.3", "1.2.3", "v1.2", "main")] == [
        Version(1, 2, 3),
        None,
        None,
        None,
    ]


def spoil_unknown(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def spoil_changed(folder: Path) -> None:
    file = file_of(folder)
    data = file.read_bytes()
    file.write_bytes(data[:-9] + b"?" + data[-8:])


def spoil_missing(folder: Path) -> None:
    (folder / "README.md").unlink()


def spoil_card(folder: Path) -> None:
    (folder / "README.md").write_text("# Mine\n")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_unknown, "{}/notes.txt is not part of the dataset: move it away before you publish"),
        (spoil_changed, "{}/{} is not as manifest.json has it: `vlaa-thinking audit {}` says more"),
        (spoil_missing, "{}/README.md is missing: build the dataset again before you publish it"),
        (spoil_card, "{}/README.md is not as manifest.json has it: `vlaa-thinking audit {}` says more"),
    ],
)
def test_a_folder_that_is_not_whole_is_not_published(
    hub: HubServer,
    client: HubClient,
    name: str,
    first: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
    words: str,
) -> None:
    folder = shutil.copytree(first, tmp_path / "set")
    place = file_of(folder).relative_to(folder)
    spoil(folder)
    said = told(put(client, name, folder, "1.0.0"))
    wanted = words.format(folder, place, folder) if words.count("{}") == 3 else words.format(folder, folder)
    assert said == wanted
    assert not hub.repos


def test_a_wrong_set_up_is_one_sentence_and_ends_with_2(
    hub: HubServer, client: HubClient, name: str, first: Path
) -> None:
    def end(*words: str) -> str:
        done = client("cli", "publish", *words)
        assert (done["code"], done["out"]) == (2, "")
        (line,) = done["err"].splitlines()
        return str(line).removeprefix("error: ")

    assert end(name, str(first), "--version", "1.0") == '"1.0" is no version: write it as 1.0.0'
    assert (
        end("set", str(first), "--version", "1.0.0") == '"set" is no name of a dataset: write it as ORG/NAME'
    )
    assert end("a b/set", str(first), "--version", "1.0.0").startswith('"a b/set" is no name of a dataset: ')
    assert "is no folder: name a dataset folder" in end(name, "nowhere", "--version", "1.0.0")
    assert end(name, str(first), "--version", "1.0.0", "--onto", "abcdef0") == (
        f"there is no {name} on the Hub that this token may see, so no commit abcdef0 of it"
    )
    assert not hub.repos
    hub.add(name, {".gitattributes": b"", "README.md": b"# Ours\n"})
    assert "which is neither empty nor this v1.0.0" in end(name, str(first), "--version", "1.0.0")


def test_without_a_token_nothing_is_written(hub: HubServer, first: Path) -> None:
    with hub_client(hub.environment) as client:
        words = told(put(client, "org/tokenless", first, "1.0.0"))
        assert words.startswith(
            "the Hub does not let you write org/tokenless: set HF_TOKEN to a token that may (403 "
        )
    with hub_client({**hub.publisher, "HF_HUB_OFFLINE": "1"}) as client:
        words = told(put(client, "org/offline", first, "1.0.0"))
        assert words == "org/offline cannot be written to the Hub: HF_HUB_OFFLINE is set: unset it"
    assert not hub.repos


@pytest.mark.parametrize("place", ["org/none@v1.0.0", "org/here@v9.9.9", "org/plain@v1.0.0"])
def test_what_is_no_version_on_the_hub_cannot_be_audited(
    hub: HubServer, client: HubClient, place: str
) -> None:
    for name in ("org/here", "org/plain"):
        repo = hub.add(name, {"README.md": b"# Set\n"})
        repo.tags["v1.0.0"] = repo.head
    done = client("cli", "audit", place)
    assert (done["code"], done["out"]) == (2, "")
    why = {
        "org/none@v1.0.0": "cannot be read from the Hub: there is no such dataset, or it is private",
        "org/here@v9.9.9": "cannot be read from the Hub: it has no such revision: see its tags there",
        "org/plain@v1.0.0": "holds no manifest.json: it is no finished dataset folder",
    }
    assert why[place] in done["err"].splitlines()[-1]


# --- what a version holds --------------------------------------------------------------------------------------------


def test_files_that_are_gone_are_removed_and_a_small_number_is_doubted(
    hub: HubServer, client: HubClient, name: str, first: Path, tmp_path: Path
) -> None:
    put(client, name, first, "1.0.0")
    folder = shutil.copytree(first, tmp_path / "set")
    gone = file_of(folder, "rl/train").relative_to(folder).as_posix()
    shutil.rmtree(folder / "rl")
    manifest = manifest_of(folder)
    del manifest["splits"]["rl"]
    write_manifest(folder, manifest)
    seal(folder)
    made = put(client, name, folder, "1.0.1")
    assert (made["done"], made["removed"], made["part"]) == ("published", [gone], "major")
    assert made["warnings"] == [
        "What is different makes a major version, 2.0.0 at least; 1.0.1 was asked for."
    ]
    assert made["warnings"][0] in made["lines"][1]
    files = hub.repos[name].commits[made["commit"]]
    assert gone not in files
    assert ".gitattributes" in files
    assert_whole(files, "1.0.1")


def test_croissant_gets_version_and_date(
    hub: HubServer, client: HubClient, name: str, first: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(first, tmp_path / "set")
    (folder / "croissant.json").write_text(
        json.dumps({"@type": "sc:Dataset", "name": "déjà", "version": "0.0.0"})
    )
    seal(folder)
    put(client, name, folder, "1.0.0")
    files = hub.repos[name].commits[hub.repos[name].head]
    assert json.loads(files["croissant.json"]) == {
        "@type": "sc:Dataset", "name": "déjà", "version": "1.0.0", "datePublished": "2026-01-31",
    }  # fmt: skip
    assert client("diff", str(folder), f"{name}@v1.0.0")["part"] is None


def test_nothing_of_this_machine_is_published(
    hub: HubServer, client: HubClient, name: str, first: Path
) -> None:
    put(client, name, first, "1.0.0")
    for path, data in hub.repos[name].commits[hub.repos[name].head].items():
        text = data if not path.endswith(".parquet") else repr(pq.read_table(file_of(first)).schema).encode()
        for secret in (str(first.parent).encode(), HubServer.token.encode(), hub.url.encode()):
            assert secret not in text, path


# --- warnings --------------------------------------------------------------------------------------------------------


def test_what_the_card_says_of_licences_is_said_again() -> None:
    """Which licences fit together is held in test_licensing.py."""
    licenses = {"a": "CC-BY-NC-4.0", "b": "unknown", "c": "The Wine Licence"}
    against, unstated, unread = doubts({"licensing": licensing(licenses, "cc-by-4.0")})
    assert "declared cc-by-4.0, and CC-BY-NC-4.0 (a) asks for non-commercial use" in against
    assert unstated.startswith("The licence of source b is not stated")
    assert unread.startswith("The licence of source c is not a known one")


def test_models_whose_terms_nobody_stated_are_named() -> None:
    models: dict[str, Any] = {
        "captioner": {
            "name": "vision",
            "model": "org/vision",
            "terms": {"link": "https://x.test", "says": "So."},
        },
        "reasoner": {"name": "thinker", "model": "org/thinker", "terms": None},
        "rewriter": {"name": "thinker", "model": "org/thinker", "terms": None},
    }
    (sentence,) = doubts({"licensing": licensing({"a": "CC0-1.0"}, "cc0-1.0"), "models": models})
    assert sentence == (
        "The terms that bind the outputs of org/thinker (reasoner, rewriter) are not stated: see them, and set `terms` of "
        "the model in generators/models.toml."
    )


def test_a_name_that_is_no_folder_may_be_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match=r"or a version on the Hub, as org/name@v1\.0\.0"):
        Edition.open("org/name")
    here = shutil.copytree(first, tmp_path / "org/name@v1.0.0")
    assert Edition.open("org/name@v1.0.0").folder == Path("org/name@v1.0.0")
    assert here.exists()

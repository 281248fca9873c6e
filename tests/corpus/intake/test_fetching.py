"""Sources that are fsspec URLs: archives and a web server of our own, which can be made to fail."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bedside_core.errors import ArtifactError, ConfigError, InputError
from bedside_core.inspection import Inspection
from bedside_core.kinds.corpus import PASSPORT, PASSPORT_PAGE
from bedside_core.registry import erasure, removal
from bedside_corpus.check import check
from bedside_corpus.config import CorpusConfig, Source
from bedside_corpus.intake import fetching
from bedside_corpus.intake.fetching import find_all, known_bytes
from bedside_corpus.passport.files import CROISSANT

A = "Der Patient erhält Ramipril 5 mg bei Hypertonie; Kreatinin 1,2 mg/dl, EKG unauffällig."
B = "Die Koloskopie zeigt eine Kolitis; Therapie mit Budesonid, Biopsie aus dem Dünndarm."


def source(path, kind="text", **settings):
    declared = {"licence": "CC0-1.0", "personal_data": "none", **settings}
    return Source(name="s", path=path, format=kind, **declared)


@pytest.fixture
def work(tmp_path):
    return tmp_path / "home/work"


def fetched(url, work, **settings):
    return {file.name: file.path.read_bytes() for file in find_all([source(url, **settings)], work)}


def zipped(path, members, **settings):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **settings) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data.encode())
            archive.addfile(info, io.BytesIO(data.encode()))
    return path


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; `asked` has every GET of a file, `trouble` what goes wrong with which."""

    asked: list[str]
    trouble: dict[str, str]

    def do_GET(self):
        if "." in self.path:
            self.asked.append(self.path)
        match self.trouble.get(self.path, ""):
            case "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
                self.wfile.flush()
                self.connection.close()
            case "slow":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
                self.wfile.flush()
                time.sleep(30)
            case other:
                super().do_GET() if not other else self.elsewhere(other)

    def do_HEAD(self):
        to = self.trouble.get(self.path, "")
        self.elsewhere(to) if to.startswith("http") else super().do_HEAD()

    def elsewhere(self, to):
        self.send_response(302)
        self.send_header("Location", to)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def serving(folder):
    kind = type("Ours", (Handler,), {"asked": [], "trouble": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(kind, directory=str(folder))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", kind
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def web(tmp_path):
    folder = tmp_path / "web"
    (folder / "in/Arzt Briefe").mkdir(parents=True)
    (folder / "in/a.txt").write_text(A)
    (folder / "in/Arzt Briefe/b.txt").write_text(B)
    (folder / "other.txt").write_text("none of it")
    with serving(folder) as (address, kind):
        yield address, kind, folder


def test_an_archive_is_built_from_like_its_folder(build, registry, tmp_path, capsys):
    members = {"2025/a.txt": A, "2025/b.txt": B, "2025/notes.pdf": "no", ".hidden/c.txt": "c"}
    zipped(tmp_path / "a.zip", members)
    tarred(tmp_path / "a.tar.gz", {f"./{name}": data for name, data in members.items()})
    folder = tmp_path / "folder"
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(data)
    declared = {"name": "s", "format": "text", "licence": "CC0-1.0", "personal_data": "none"}
    listings, about = [], (PASSPORT, PASSPORT_PAGE, CROISSANT)  # these have the recipe
    for path in (
        f"{folder}",
        f"file://{folder}",
        f"zip://*::{tmp_path}/a.zip",
        f"tar://*::file://{tmp_path}/a.tar.gz",
    ):
        assert build({**declared, "path": path}) == 0
        corpus = registry.get("test/corpus")
        listings.append({f.sha256 for f in corpus.manifest.files if f.path not in about})
    assert all(listing == listings[0] for listing in listings)
    assert capsys.readouterr().out.count("kept 2 documents") == 3  # file:// is the folder itself


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", ["2025/a.txt", "2025/x/b.txt", "c.txt"]),
        ("*", ["2025/a.txt", "2025/x/b.txt", "c.txt"]),
        ("2025", ["a.txt", "x/b.txt"]),
        ("/2025/", ["a.txt", "x/b.txt"]),
        ("2025/*.txt", ["a.txt"]),
        ("**/b.txt", ["2025/x/b.txt"]),
        ("c.txt", ["c.txt"]),
    ],
)
def test_a_pattern_means_files_and_what_is_below_folders(tmp_path, work, pattern, names):
    members = {"2025/a.txt": "a", "2025/x/b.txt": "b", "c.txt": "c"}
    for url in (
        f"zip://{pattern}::{zipped(tmp_path / 'a.zip', members)}",
        f"tar://{pattern}::{tarred(tmp_path / 'a.tar', members, 'w')}",
    ):
        assert sorted(fetched(url, work)) == names


def test_copies_are_private_and_what_did_not_change_is_not_fetched_again(web, work):
    address, kind, folder = web
    assert fetched(f"{address}/in/", work) == {"a.txt": A.encode(), "Arzt Briefe/b.txt": B.encode()}
    assert sorted(kind.asked) == ["/in/Arzt%20Briefe/b.txt", "/in/a.txt"]
    (room,) = work.iterdir()
    for path in (room, *room.rglob("*")):
        if path in (room, room / "fetched.jsonl") or path.is_file():
            want = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == want
    kind.asked.clear()
    fetched(f"{address}/in/", work)
    assert kind.asked == []
    (folder / "in/a.txt").write_text("changed")
    (folder / "in/Arzt Briefe/b.txt").unlink()
    (folder / "in/c.txt").write_text("new")
    assert fetched(f"{address}/in/*.txt", work) == {"a.txt": b"changed", "c.txt": b"new"}
    kind.asked.clear()
    assert fetched(f"{address}/in/", work) == {"a.txt": b"changed", "c.txt": b"new"}
    assert sorted(kind.asked) == ["/in/a.txt", "/in/c.txt"]
    (room / "files/a.txt").write_text("lost")
    kind.asked.clear()
    assert fetched(f"{address}/in/", work)["a.txt"] == b"changed"
    assert kind.asked == ["/in/a.txt"]


def test_one_file_and_an_archive_of_a_server(web, work):
    address, kind, folder = web
    zipped(folder / "a.zip", {"x/a.txt": A})
    tarred(folder / "b.tar.xz", {"a.zip": "no zip", "n.txt": B}, "w:xz")
    assert fetched(f"{address}/other.txt", work) == {"other.txt": b"none of it"}
    assert fetched(f"zip://*::{address}/a.zip", work) == {"x/a.txt": A.encode()}
    assert kind.asked == ["/other.txt", "/a.zip"]
    assert fetched(f"tar://n.txt::{address}/b.tar.xz", work) == {"n.txt": B.encode()}
    with pytest.raises(InputError, match=r"cannot be read \(BadZipFile\)"):
        fetched(f"zip://*::tar://a.zip::{address}/b.tar.xz", work)
    with pytest.raises(ConfigError, match="is 2 files, not one archive"):
        fetched(f"zip://*::{address}/in/", work)


def test_a_transfer_that_is_cut_off_leaves_nothing_and_goes_on(web, work):
    address, kind, folder = web
    (folder / "in/b.txt").write_text("x" * 1000)
    kind.trouble["/in/b.txt"] = "cut"
    with pytest.raises(InputError, match=r"source 's': b\.txt cannot be read \(ClientPayloadError"):
        fetched(f"{address}/in/*.txt", work)
    (room,) = work.iterdir()
    assert [p.name for p in (room / "files").iterdir()] == ["a.txt"]
    kind.trouble.clear()
    kind.asked.clear()
    assert len(fetched(f"{address}/in/*.txt", work)["b.txt"]) == 1000
    assert kind.asked == ["/in/b.txt"]


def test_a_killed_fetch_goes_on(web, work, tmp_path):
    address, kind, folder = web
    (folder / "in/b.txt").write_text("x" * 1000)
    kind.trouble["/in/b.txt"] = "slow"
    code = (
        "import sys; from pathlib import Path; from bedside_corpus.config import Source;"
        "from bedside_corpus.intake.fetching import find_all;"
        "find_all([Source(name='s', path=sys.argv[1], format='text', personal_data='none')],"
        "Path(sys.argv[2]))"
    )
    url = f"{address}/in/*.txt"
    child = subprocess.Popen([sys.executable, "-c", code, url, str(work)])
    while "/in/b.txt" not in kind.asked:
        assert child.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (room,) = work.iterdir()
    assert any(p.name.startswith(".b.txt-") for p in (room / "files").iterdir())
    with (room / "fetched.jsonl").open("a") as notes:
        notes.write('["b.txt", 10')
    kind.trouble.clear()
    kind.asked.clear()
    assert set(fetched(url, work)) == {"a.txt", "b.txt"}
    assert kind.asked == ["/in/b.txt"]
    assert sorted(p.name for p in (room / "files").iterdir()) == ["a.txt", "b.txt"]
    lines = [json.loads(line) for line in (room / "fetched.jsonl").read_text().splitlines()]
    assert [(name, size) for name, size, _ in lines] == [
        ("a.txt", len(A.encode())),
        ("b.txt", 1000),
    ]


def test_what_sends_elsewhere_is_not_followed(web, work, tmp_path):
    address, kind, _ = web
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.txt").write_text("secret")
    with serving(tmp_path / "elsewhere") as (other, theirs):
        kind.trouble["/in/a.txt"] = f"{other}/a.txt"
        for url in (f"{address}/in/a.txt", f"{address}/in/"):
            with pytest.raises(InputError, match=r"sends elsewhere \(a redirect\)"):
                fetched(url, work)
        # Links of a listing to another server are not its files.
        (tmp_path / "web/in/index.html").write_text(f'<a href="{other}/a.txt">a</a>')
        with pytest.raises(InputError, match=r"no \.txt files in"):
            fetched(f"{address}/in/", work)
        assert theirs.asked == []


def test_nobody_answers(web, work):
    address, _, _ = web
    with pytest.raises(InputError, match=r"x\.txt cannot be read \(FileNotFoundError\)"):
        fetched(f"{address}/x.txt", work)
    for end in ("a.txt", "in/"):
        with pytest.raises(InputError, match="steps in containers have no network"):
            fetched(f"http://127.0.0.1:9/{end}", work)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("https://example.org/a.txt", "must be a loopback or private address"),
        ("zip://*::http://8.8.8.8/a.zip", "must be a loopback or private address"),
        ("http://134744072/a", "must be a loopback or private address"),
        ("http://me:secret@127.0.0.1/a", "without user"),
        ("http://127.0.0.1\\@example.org/a", "must be a loopback"),
        ("http://127.0.0.1/a?sig=x", "without user, query or blank"),
        ("s3://bucket/letters", "s3:// needs endpoint_url"),
        ("hf://datasets/a/b", "known are file, zip, tar, http, https, s3"),
        ("simplecache::http://127.0.0.1/a", "simplecache:// is not read from"),
        ("zip://a.zip", "names no archive"),
        ("file://a", "needs an absolute path"),
    ],
)
def test_what_is_not_read_from(path, words):
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        source(path)


def test_a_store_needs_its_package_and_an_endpoint_in_the_house(work):
    with pytest.raises(ValueError, match="s3:// needs endpoint_url"):
        source("s3://b/a", endpoint_url="https://s3.amazonaws.com")
    with pytest.raises(ValueError, match=r"path\n  Value error, must be a path or a URL"):
        source(5)
    with pytest.raises(ValueError, match="endpoint_url is for s3://"):
        source("a", endpoint_url="http://127.0.0.1")
    with pytest.raises(ConfigError, match=r"not installed here \(Install s3fs to access S3\)"):
        find_all([source("s3://b/a", endpoint_url="http://127.0.0.1:9")], work)


def test_a_bomb_is_not_unpacked(tmp_path, work, monkeypatch):
    monkeypatch.setattr(fetching, "LEAST_BYTES", 1 << 20)
    bomb = zipped(tmp_path / "a.zip", {"a.txt": "\0" * (4 << 20)})
    tar = tarred(tmp_path / "a.tar.gz", {"a.txt": "\0" * (4 << 20), "b.txt": "b"})
    for url in (f"zip://*::{bomb}", f"tar://*::{tar}"):
        with pytest.raises(InputError, match="holds more than an archive of texts does"):
            fetched(url, work)
    monkeypatch.setattr(fetching, "TABLE_BYTES", {"zip": 200, "tar": 1000})
    many = {f"{n}.txt": "a" for n in range(20)}
    for url in (
        f"zip://*::{zipped(tmp_path / 'm.zip', many)}",
        f"tar://*::{tarred(tmp_path / 'm.tar', many, 'w')}",
    ):
        with pytest.raises(InputError, match="table of contents that is larger than we read"):
            fetched(url, work)
    monkeypatch.undo()
    monkeypatch.setattr(fetching, "MAX_FILES", 19)
    with pytest.raises(InputError, match="20 files are more than the 19"):
        fetched(f"zip://*::{tmp_path}/m.zip", work)
    assert not [path for path in work.rglob("files/*")]


@pytest.mark.parametrize("name", ["../a.txt", "x/../../a.txt", "x//a.txt", "n" * 201 + ".txt"])
def test_a_name_that_leads_out_is_refused(tmp_path, work, name):
    urls = [f"zip://::{zipped(tmp_path / 'a.zip', {'ok.txt': 'a', name: 'b'})}"]
    if "//" not in name:  # fsspec's tar collapses these
        urls.append(f"tar://::{tarred(tmp_path / 'a.tar', {'ok.txt': 'a', name: 'b'}, 'w')}")
    for url in urls:
        with pytest.raises(InputError, match="is too long, or leads out of the folder"):
            fetched(url, work)
    assert {path.name for path in tmp_path.rglob("*.txt")} == set()


def test_a_name_that_is_file_and_folder_is_refused(tmp_path, work):
    archive = zipped(tmp_path / "a.zip", {"a.txt": "a", "a.txt/b.txt": "b"})
    with pytest.raises(InputError, match=r"a folder of 'a\.txt/b\.txt' is a file as well"):
        fetched(f"zip://::{archive}", work)
    assert fetched(f"zip://*/b.txt::{archive}", work) == {"a.txt/b.txt": b"b"}


def test_links_of_an_archive_stay_in_it(tmp_path, work):
    path = tmp_path / "a.tar"
    for target, fits in (("b.txt", True), ("/etc/hostname", False), ("a.txt", False)):
        with tarfile.open(path, "w") as archive:
            text = tarfile.TarInfo("b.txt")
            text.size = 1
            archive.addfile(text, io.BytesIO(b"b"))
            link = tarfile.TarInfo("a.txt")
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
        if fits:
            assert fetched(f"tar://::{path}", work) == {"a.txt": b"b", "b.txt": b"b"}
        else:
            with pytest.raises(InputError, match=r"a\.txt cannot be read"):
                fetched(f"tar://::{path}", work)


def test_damaged_archives(tmp_path, work):
    good = zipped(tmp_path / "a.zip", {"a.txt": A * 40}).read_bytes()
    (tmp_path / "a.zip").write_bytes(good[:60] + b"????" + good[64:])
    with pytest.raises(InputError, match=r"a\.txt cannot be read"):
        fetched(f"zip://*::{tmp_path}/a.zip", work)
    (tmp_path / "a.zip").write_bytes(good[:100])
    with pytest.raises(InputError, match=r"cannot be read \(BadZipFile\)"):
        fetched(f"zip://*::{tmp_path}/a.zip", work)
    whole = tarred(tmp_path / "a.tar.gz", {"a.txt": os.urandom(9999).hex()}).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[:5000])
    with pytest.raises(InputError, match="cannot be read"):
        fetched(f"tar://*::{tmp_path}/a.tar.gz", work)
    with pytest.raises(InputError, match=r"none\.zip does not exist"):
        fetched(f"zip://*::{tmp_path}/none.zip", work)


def test_a_full_disk_is_said(tmp_path, work, monkeypatch):
    url = f"zip://*::{zipped(tmp_path / 'a.zip', {'a.txt': A})}"
    usage = fetching.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(InputError, match="are free - make room"):
        fetched(url, work)
    monkeypatch.undo()

    @contextmanager
    def full(*_, **__):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(fetching, "appearing", full)
    with pytest.raises(ArtifactError, match=r"disk full while writing s/a\.txt"):
        fetched(url, work)


def test_a_look_copies_nothing(tmp_path, web, work):
    address, kind, folder = web
    archive = zipped(tmp_path / "a.zip", {"a.txt": A, "b.txt": B})
    assert known_bytes(source(f"zip://*::{archive}")) == len((A + B).encode())
    assert known_bytes(source(f"{address}/in/")) == len((A + B).encode())
    (folder / "a.zip").write_bytes(archive.read_bytes())
    assert known_bytes(source(f"zip://*::{address}/a.zip")) == archive.stat().st_size
    assert kind.asked == []
    assert not work.exists()


def test_the_look_ahead_finds_what_is_missing(web, registry, monkeypatch):
    address, kind, _ = web

    def found(end):
        inspection = Inspection({"name": "test"})
        check(CorpusConfig(language="de", sources=(source(f"{address}/{end}"),)), inspection)
        return {f.kind: f.amount or f.text for f in inspection.findings if f.kind != "needs"}

    assert found("in/") == {
        "checked": "corpus.sources: s, its files can be read",
        "has": len((A + B).encode()),
    }
    assert "none.txt cannot be read (FileNotFoundError)" in found("none.txt")["fault"]
    kind.asked.clear()
    monkeypatch.setenv("BEDSIDE_CHECK", "files")
    assert "fetched by the build" in found("none.txt")["unsure"]
    assert kind.asked == []


def test_copies_go_after_a_month_or_with_a_withdrawal(registry, tmp_path):
    work = registry.workrooms[0]
    url = f"zip://*::{zipped(tmp_path / 'a.zip', {'a.txt': A})}"
    fetched(url, work)
    (room,) = work.iterdir()
    now = datetime.now(UTC)
    assert removal.garbage(registry, now) == []
    assert [g.path for g in removal.garbage(registry, now + timedelta(days=31))] == [room]
    assert erasure.clear_rooms(registry) == (1, [])
    assert not room.exists()

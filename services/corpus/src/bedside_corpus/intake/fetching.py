"""The files of an fsspec URL, copied into the home before a build; all that follows is local.

A source's copy is `BEDSIDE_HOME/work/fetched-<hash>/files`. What was not changed, by what the store
or archive says of it, is not fetched again; `registry gc` removes copies of a month ago.

Tested in tests/corpus/intake/test_fetching.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from bedside_core.addresses import is_in_house
from bedside_core.console import say
from bedside_core.errors import BedsideError, ConfigError, InputError
from bedside_core.files import appearing, disk_errors, lock_directory, write_atomic
from bedside_core.memory import gib
from bedside_core.progress import Progress
from bedside_corpus.config import Source
from bedside_corpus.intake.address import ORIGIN, innermost, is_url, local, outermost
from bedside_corpus.sources import SourceFile, find_files

NOTES = "fetched.jsonl"
"""Beside the files: name, size and version of each that is whole, in the order they came."""
MAX_FILES = 500_000
MAX_DEPTH = 32
"""Of folders of a web server, whose listings may lead round in a circle."""
MAX_RATIO, LEAST_BYTES = 200, 1 << 26
"""Of what an archive may hold to its own size, where that is more than the bytes; texts have 3 to
20."""
TABLE_BYTES = {"zip": 1 << 26, "tar": 1 << 28}
"""Largest table of contents, of a tar all headers together."""
MAX_NAME_BYTES = 200
PIECE_BYTES = 1 << 20
CONNECT_SECONDS, SILENCE_SECONDS = 10, 60
VERSION = ("ETag", "LastModified", "Last-Modified", "Content-MD5", "CRC", "date_time", "mtime")
"""What stores and archives say of a file that changes with its content, by fsspec's names."""
MAGIC = re.compile(r"[*?\[]")
OF_ARCHIVES = {"gz": "gzip", "tgz": "gzip", "bz2": "bz2", "xz": "xz"}
"""How a tar is compressed, by its suffix."""


class Entry(NamedTuple):
    """One file of a URL."""

    name: str
    """Below the URL, with `/`."""
    at: str
    """What the file system calls it."""
    size: int | None
    """None: the server does not say."""
    version: str | None
    """Changes with the content; None: nothing is said that does."""


class Place(NamedTuple):
    """An opened store or archive, and which of its files are meant."""

    system: Any
    """The fsspec file system."""
    entries: list[Entry]
    options: Callable[[Entry], dict[str, Any]]
    """With which a file is opened."""


def find_all(sources: Iterable[Source], work: Path) -> list[SourceFile]:
    """The files of all sources, after those of URLs were fetched.

    Args:
        sources: of a corpus.
        work: where a home keeps unfinished work.

    Raises:
        ConfigError, InputError, ArtifactError: see `sources.find_files` and `_fetch`.
    """
    return [
        file
        for source in sources
        for file in find_files(source, _fetch(source, source.url, work) if source.url else None)
    ]


def copy_of(source: Source, work: Path) -> Path:
    """Where the files of a source with a URL lie once they were fetched."""
    return _folder(source.url or "", source.endpoint_url, work) / "files"


def known_bytes(source: Source) -> int:
    """Size of what the URL of a source stands for, of an archive elsewhere that of the archive.

    Nothing is copied.

    Raises:
        ConfigError, InputError: see `_fetch`.
    """
    url, store = source.url or "", innermost(source.url or "")
    archive = None if is_url(store) else _local_archive(source, store)
    if archive is not None and outermost(url).inside != store:
        return archive.stat().st_size
    with _opened(source, store if archive is None else url, archive) as place:
        return sum(entry.size or 0 for entry in place.entries)


def _fetch(source: Source, url: str, work: Path) -> Path:
    """Copy what is new of a URL, and remove what is not there any more.

    Returns:
        The folder of the files.

    Raises:
        ConfigError: a package is missing, or an archive is not one file.
        InputError: the store does not answer, the archive is damaged, larger than an archive of
            texts is or holds a name that leads out of it, or the files do not fit the disk.
        ArtifactError: the disk is full.
    """
    inside = outermost(url).inside
    archive = None if inside is None else _one_file(source, inside, work)
    folder = _folder(url, source.endpoint_url, work)
    with _held(folder), _opened(source, url, archive) as place:
        files, notes = folder / "files", folder / NOTES
        known = _noted(notes)
        fresh = [e for e in place.entries if not _is_there(e, known.get(e.name), files)]
        _remove_others(files, _names(source, place.entries))
        need, free = sum(e.size or 0 for e in fresh), shutil.disk_usage(folder).free
        if need > free:
            raise InputError(
                f"source {source.name!r}: {url} has {gib(need)} to fetch, {gib(free)} are free - "
                "make room, or put BEDSIDE_HOME on a larger disk"
            )
        if fresh:
            say(f"source {source.name}: {len(fresh):,} of {len(place.entries):,} files to fetch")
            with Progress(f"fetch {source.name}", total=need, unit="B") as progress:
                for entry in fresh:
                    size = _copy(source, place, entry, files / entry.name, progress)
                    known[entry.name] = (size, entry.version)
                    _note(notes, entry.name, known[entry.name])
        lines = (json.dumps([e.name, *known[e.name]]) + "\n" for e in place.entries)
        write_atomic(notes, "".join(lines).encode("ascii"), mode=0o600)
    return files


def _names(source: Source, entries: Iterable[Entry]) -> set[str]:
    names = {entry.name for entry in entries}
    for name in names:
        if any(folder in names for folder in _upward(name.rpartition("/")[0])):
            raise InputError(
                f"source {source.name!r}: a folder of {name!a} is a file as well, which no disk "
                "can hold - fetch one of them, by a pattern"
            )
    return names


def _one_file(source: Source, place: str, work: Path) -> Path:
    if not is_url(place):
        return _local_archive(source, place)
    folder = _fetch(source, place, work)
    found = [path for path in folder.rglob("*") if path.is_file()]
    if len(found) != 1:
        raise ConfigError(
            f"corpus.sources: {source.name}: {place} is {len(found)} files, not one archive - name "
            "one"
        )
    return found[0]


def _local_archive(source: Source, place: str) -> Path:
    path = Path(local(place))
    if not path.is_file():
        raise InputError(f"source {source.name!r}: {path} does not exist - correct corpus.sources")
    return path


def _folder(url: str, endpoint_url: str | None, work: Path) -> Path:
    key = hashlib.sha256(json.dumps([url, endpoint_url]).encode()).hexdigest()[:16]
    return work / f"fetched-{key}"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The folder, for its owner alone, locked: who else fetches the same waits, and has it then."""
    lock = None
    with disk_errors(folder.name):
        while lock is None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = lock_directory(folder)
        (folder / "files").mkdir(exist_ok=True)
    try:
        yield
    finally:
        os.close(lock)


def _note(path: Path, name: str, noted: tuple[int, str | None]) -> None:
    with disk_errors(path.name):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a", encoding="ascii") as file:
            file.write(json.dumps([name, *noted]) + "\n")


def _noted(path: Path) -> dict[str, tuple[int, str | None]]:
    known: dict[str, tuple[int, str | None]] = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            name, size, version = json.loads(line)
        except (ValueError, TypeError):  # the last one of a process that was killed
            continue
        known[name] = (size, version)
    return known


def _is_there(entry: Entry, noted: tuple[int, str | None] | None, files: Path) -> bool:
    if noted is None or entry.version is None or noted[1] != entry.version:
        return False
    path = files / entry.name
    return path.is_file() and path.stat().st_size == noted[0]


def _remove_others(files: Path, names: set[str]) -> None:
    """Also what a killed process had half written."""
    for path in sorted(files.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(files).as_posix() not in names:
            path.unlink()


def _copy(source: Source, place: Place, entry: Entry, path: Path, progress: Progress) -> int:
    size = 0
    with disk_errors(f"{source.name}/{entry.name}"), appearing(path, mode=0o600) as out:
        for piece in _pieces(source, place, entry):
            size += len(piece)
            if entry.size is not None and size > entry.size:
                break
            out.write(piece)
            progress.update(len(piece))
        if entry.size is not None and size != entry.size:
            raise InputError(
                f"source {source.name!r}: {entry.name} has not the {entry.size} bytes that were "
                "said: it was cut off, or changed meanwhile - run the same command again"
            )
    return size


def _pieces(source: Source, place: Place, entry: Entry) -> Iterator[bytes]:
    with (
        _reading(source, entry.name),
        place.system.open(entry.at, "rb", **place.options(entry)) as file,
    ):
        while piece := file.read(PIECE_BYTES):
            yield piece


@contextmanager
def _reading(source: Source, what: str) -> Iterator[None]:
    """Whatever a library raises over a store or archive, as an error that names the place.

    Its words are left out: they may quote what it read.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"corpus.sources: {source.name}: a package for {what} is not installed here "
            f"({error.name or error}) - install it into this environment, or copy the files"
        ) from None
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        found: BaseException | None = error
        while found is not None:
            if isinstance(found, BedsideError):
                raise found from None
            found = found.__cause__ or found.__context__
        raise InputError(
            f"source {source.name!r}: {what} cannot be read ({type(error).__name__}) - see that it "
            "is whole and may be read, and that this machine reaches it: steps in containers have "
            "no network, there the files are mounted"
        ) from None


@contextmanager
def _opened(source: Source, url: str, archive: Path | None) -> Iterator[Place]:
    with ExitStack() as stack:
        with _reading(source, url):
            if archive is not None:
                place = stack.enter_context(_archive(source, url, archive))
            elif outermost(url).protocol == "s3":
                place = _s3(source, url)
            else:
                place = stack.enter_context(_http(source, url))
        yield place


class _Bounded:
    """An archive of which no more is unpacked, and while it is listed no more read, than is said.

    It has no name, by which fsspec would guess a compression.
    """

    def __init__(self, file: Any, most: int, table: int) -> None:
        self.file, self.most, self.table = file, most, table
        self.tell, self.close, self.seekable = file.tell, file.close, file.seekable
        self.listed = False

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset > self.most:
            raise InputError("holds more than an archive of texts does")
        place: int = self.file.seek(offset, whence)
        return place

    def read(self, size: int = -1) -> bytes:
        if not self.listed and size > self.table:
            raise InputError("has a table of contents that is larger than we read")
        found: bytes = self.file.read(size)
        if not self.listed:
            self.table -= len(found)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def _archive(source: Source, url: str, path: Path) -> Iterator[Place]:
    from fsspec.compression import compr
    from fsspec.implementations.tar import TarFileSystem
    from fsspec.implementations.zip import ZipFileSystem

    protocol, pattern, _ = outermost(url)
    infos: dict[str, Mapping[str, Any]]
    with path.open("rb") as raw:
        stat = os.fstat(raw.fileno())
        stamp = f"{stat.st_size} {stat.st_mtime_ns}"
        most = max(MAX_RATIO * stat.st_size, LEAST_BYTES)
        packed = OF_ARCHIVES.get(path.suffix[1:].lower()) if protocol == "tar" else None
        file = raw if packed is None else compr[packed](raw, mode="rb")
        bounded = _Bounded(file, most, TABLE_BYTES[protocol])
        try:
            if protocol == "zip":
                system = ZipFileSystem(fo=bounded)
                infos = system.find("", detail=True)
            else:
                system = TarFileSystem(fo=bounded)
                infos = {at: i for at, (i, *_) in system.index.items() if i["type"] == "file"}
            bounded.listed = True
            entries = _chosen(source, infos, pattern, stamp)
            if sum(entry.size or 0 for entry in entries) > most:
                raise InputError("holds more than an archive of texts does")  # noqa: TRY301
        except InputError as error:
            raise InputError(
                f"source {source.name!r}: {path} {error} - unpack it where it can do no harm, and "
                "name the folder"
            ) from None
        yield Place(system, entries, lambda _: {})
        system.close()


def _s3(source: Source, url: str) -> Place:
    import fsspec

    if source.endpoint_url is None or not is_in_house(source.endpoint_url):
        raise InputError(f"source {source.name!r}: endpoint_url is no address in the house")
    system = fsspec.filesystem(
        "s3",
        endpoint_url=source.endpoint_url,
        # With the other style the bucket's name is a part of the host's.
        config_kwargs={"s3": {"addressing_style": "path"}, "proxies": {}},
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    pattern = outermost(url).pattern
    folder = _base(pattern) if MAGIC.search(pattern) else pattern
    entries = _chosen(source, system.find(folder, detail=True), pattern, None)
    return Place(system, entries, lambda _: {})


@contextmanager
def _http(source: Source, url: str) -> Iterator[Place]:
    import aiohttp
    from fsspec.asyn import get_loop, sync
    from fsspec.implementations.http import HTTPFileSystem

    host = (ORIGIN.match(url) or [""])[0]
    if not is_in_house(host):
        raise InputError(f"source {source.name!r}: {host} is no address in the house")
    sessions: list[aiohttp.ClientSession] = []
    system = HTTPFileSystem(
        get_client=_client(host, sessions),
        encoded=True,
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    pattern = url[len(host) :].lstrip("/")
    try:
        if MAGIC.search(pattern) or not pattern or pattern.endswith("/"):
            found = system.find(f"{host}/{_base(pattern)}", maxdepth=MAX_DEPTH, on_error="raise")
            # What a listing links to otherwise: itself, and other ways to sort it.
            names = [at for at in found if not at.endswith("/") and not {"?", "#"} & set(at)]
        else:
            names = [url]
        _few(source, names)
        wanted = _matching((at[len(host) + 1 :] for at in names), pattern)
        infos = {f"{host}/{name}": system.info(f"{host}/{name}") for name in wanted}
        entries = [
            Entry(_safe(source, unquote(below)), at, infos[at]["size"], _version(infos[at], None))
            for at, below in ((f"{host}/{name}", below) for name, below in wanted.items())
        ]
        yield Place(system, entries, lambda entry: {"block_size": 0, "size": entry.size})
    finally:
        for session in sessions:
            sync(get_loop(), session.close)


def _client(host: str, sessions: list[Any]) -> Callable[..., Awaitable[Any]]:
    """Makes sessions that ask this server and, whatever it answers, no other."""
    import aiohttp

    async def here_alone(_session: object, _context: object, asked: Any) -> None:
        if not f"{asked.url}/".startswith(f"{host}/"):
            raise InputError(f"{host} is not all that would be asked - name the other place itself")

    async def nowhere_else(_session: object, _context: object, asked: Any) -> None:
        headers, path = asked.response.headers, asked.url.raw_path
        to = headers.get("Location") or headers.get("URI")
        # A server may send from a folder to its listing; two slashes would begin a host's name.
        if to != f"{asked.url}/" and (to != f"{path}/" or path.startswith("//")):
            raise InputError(f"{host} sends elsewhere (a redirect) - name the place itself")

    async def client(**kwargs: Any) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(here_alone)
        trace.on_request_redirect.append(nowhere_else)
        session = aiohttp.ClientSession(
            trace_configs=[trace],
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
            ),
            **kwargs,
        )
        sessions.append(session)
        return session

    return client


def _chosen(
    source: Source, infos: Mapping[str, Mapping[str, Any]], pattern: str, stamp: str | None
) -> list[Entry]:
    """The files that a pattern means; what is below a folder that it means, too."""
    # Object stores mark folders by empty objects of their names.
    names = {at.removeprefix("./"): at for at in infos if not at.endswith("/")}
    _few(source, names)
    wanted = _matching(names, pattern)
    return [
        Entry(
            _safe(source, below),
            names[name],
            infos[names[name]].get("size"),
            _version(infos[names[name]], stamp),
        )
        for name, below in wanted.items()
    ]


def _few(source: Source, names: Any) -> None:
    if len(names) > MAX_FILES:
        raise InputError(
            f"source {source.name!r}: {len(names):,} files are more than the {MAX_FILES:,} that "
            "are fetched - put documents together, for example as JSONL"
        )


def _base(pattern: str) -> str:
    """The folder before the first sign of a pattern, with its `/`."""
    return "".join(MAGIC.split(pattern, maxsplit=1)[0].rpartition("/")[:2])


def _matching(names: Iterable[str], pattern: str) -> dict[str, str]:
    """Those that a pattern means, in order, with their names below it."""
    from fsspec.utils import glob_translate

    known = sorted(names)
    if MAGIC.search(pattern):
        fits, base = re.compile(glob_translate(pattern.rstrip("/"))), _base(pattern)
        return {name: name[len(base) :] for name in known if any(map(fits.match, _upward(name)))}
    folder = pattern.rstrip("/")
    if folder in known:
        return {folder: folder.rpartition("/")[2]}
    base = f"{folder}/" if folder else ""
    return {name: name[len(base) :] for name in known if name.startswith(base)}


def _upward(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition("/")[0]


def _version(info: Mapping[str, Any], stamp: str | None) -> str | None:
    said = {name: str(info[name]) for name in VERSION if info.get(name)}
    if stamp is None and not said:
        return None
    return json.dumps([stamp, info.get("size"), said])


def _safe(source: Source, name: str) -> str:
    """A name, if it stays below the folder."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or len(os.fsencode(part)) > MAX_NAME_BYTES for part in parts):
        raise InputError(
            f"source {source.name!r}: the name {name[:MAX_NAME_BYTES]!a} is too long, or leads out "
            "of the folder - see where it comes from, it may be made to do harm"
        )
    return name

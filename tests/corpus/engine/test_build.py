"""From lines to documents in a corpus: every record is kept or counted, whatever interrupts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import ArtifactError
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_corpus.config import CorpusConfig
from bedside_corpus.counts import MAX_PLACES
from bedside_corpus.engine import build as engine
from bedside_corpus.engine.build import run_stages
from bedside_corpus.engine.shards import divide
from bedside_corpus.sources import find_files
from bedside_corpus.tally import Tally

Rows = list[dict[str, Any]]

MEDICAL = "Der Patient erhält Ramipril bei Hypertonie."
OTHER = "Der Garten liegt hinter dem Haus und ist im Mai am schönsten."


@pytest.fixture
def run(tmp_path: Path, registry: Registry) -> Callable[..., tuple[Rows, Tally]]:
    """Build from lines of one JSONL source; returns the rows of the corpus and the tally."""
    rooms: list[Path] = []

    def run(
        *lines: Any, licence: str | None = "CC0-1.0", heldout: Any = (), medical: bool = False
    ) -> tuple[Rows, Tally]:
        path = tmp_path / "a.jsonl"
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        path.write_bytes(b"\n".join(raw))
        config = CorpusConfig.model_validate(
            {
                "language": "de",
                "sources": [
                    {
                        "name": "s",
                        "path": path,
                        "format": "jsonl",
                        "licence": licence,
                        "personal_data": "none",
                    }
                ],
                "heldout": heldout,
                "medical_filter": {"min_density": 0.03} if medical else None,
            }
        )
        rooms.append(tmp_path / f"room-{len(rooms)}")
        files = [file for source in config.sources for file in find_files(source)]
        tally, _ = run_stages(config, files, rooms[-1])
        return rows_of(rooms[-1] / "write"), tally

    return run


def rows_of(folder: Path) -> Rows:
    return [
        row for file in sorted(folder.glob("data/*")) for row in pq.read_table(file).to_pylist()
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"id": "x"}, "no_text"),
        ({"text": 7}, "no_text"),
        ({"text": None}, "no_text"),
        ({"text": " \u200b\n\x00"}, "empty"),
        ({"text": "a", "licence": ["CC0-1.0"]}, "bad_field"),
        (b'{"text": "half a pair \\ud800"}', "not_utf8"),
        (b'{"text": "a", "id": "\\udfff"}', "not_utf8"),
        (b'{"text": ', "malformed"),
        (b'{"text": "\xff"}', "not_utf8"),
        ({"text": MEDICAL}, "duplicate_text"),
        ({"text": f"\ufeff{MEDICAL} \r\n"}, "duplicate_text"),
        ({"text": MEDICAL, "id": "first"}, "duplicate_text"),
    ],
)
def test_every_reason_is_counted_with_its_place(run, line, reason):
    documents, tally = run({"text": MEDICAL, "id": "first"}, line, {"text": "Das Letzte."})
    assert [d["id"] for d in documents] == ["s/a.jsonl#first", "s/a.jsonl:3"]
    assert (tally.read, tally.kept, dict(tally.dropped)) == (3, 2, {reason: 1})
    assert tally.places[reason] == ["s/a.jsonl:2"]


def test_a_document_without_any_licence_is_dropped_and_its_own_overrides(run):
    lines = [{"text": "a"}, {"text": "b", "licence": "CC-BY-4.0"}, {"text": "c", "licence": " "}]
    documents, tally = run(*lines, licence=None)
    assert [(d["text"], d["licence"]) for d in documents] == [("b", "CC-BY-4.0")]
    assert tally.dropped == {"no_licence": 2}
    documents, tally = run(*lines)
    assert [d["licence"] for d in documents] == ["CC0-1.0", "CC-BY-4.0", "CC0-1.0"]
    assert tally.licence_ids() == ["CC-BY-4.0", "CC0-1.0"]


def test_a_heldout_text_is_dropped_however_it_is_spelt(run, tmp_path):
    held = tmp_path / "held"
    held.mkdir()
    (held / "h.txt").write_text("Fieber \u00fcber 39\u00a0°C\n", encoding="utf-8")
    documents, tally = run({"text": "Fieber u\u0308ber 39 °C"}, {"text": "a"}, heldout=[held])
    assert [d["text"] for d in documents] == ["a"]
    assert tally.dropped == {"heldout": 1}


def test_a_document_that_holds_or_is_part_of_a_heldout_text_is_dropped(run, tmp_path):
    held = tmp_path / "held"
    held.mkdir()
    words = [f"wort{chr(97 + n % 7)}{chr(97 + n % 26)}" for n in range(60)]
    (held / "h.txt").write_text(" ".join(words))
    documents, tally = run(
        {"text": f"Kopf {' '.join(words)} Fuß"},
        {"text": " ".join([*words[:35], "anders"])},
        {"text": " ".join(words[20:32])},
        {"text": " ".join(["Nur", "dies", *words[20:26], "steht", "in", "beiden"])},
        heldout=[held],
    )
    assert [d["id"] for d in documents] == ["s/a.jsonl:4"]
    assert tally.dropped == {"heldout_near": 1, "heldout_ngram": 2}


def test_only_medical_texts_pass_the_filter(run):
    documents, tally = run({"text": OTHER}, {"text": MEDICAL}, medical=True)
    assert [d["text"] for d in documents] == [MEDICAL]
    assert documents[0]["medical_density"] == pytest.approx(3 / 6)
    assert tally.dropped == {"not_medical": 1}


def test_fields_of_a_record_are_kept(run):
    (document,), tally = run({"text": "eins zwei\ndrei", "id": 12, "language": "fr", "more": {}})
    assert (document["id"], document["language"]) == ("s/a.jsonl#12", "fr")
    assert document["words"] == tally.words == 3


def test_places_are_bounded_and_counts_are_not(run):
    _, tally = run(*[b"{"] * 50, {"text": "a"})
    assert tally.dropped["malformed"] == 50
    assert tally.places["malformed"] == [f"s/a.jsonl:{n}" for n in range(1, MAX_PLACES + 1)]


def test_an_id_that_is_taken_costs_no_document(run):
    lines = [{"text": "a", "id": 7}, {"text": "b", "id": 7}, {"text": "a", "id": 7}, {"text": "c"}]
    documents, tally = run(*lines)
    assert [(d["id"], d["text"]) for d in documents] == [
        ("s/a.jsonl#7", "a"),
        ("s/a.jsonl:2", "b"),
        ("s/a.jsonl:4", "c"),
    ]
    assert tally.dropped == {"duplicate_text": 1}
    assert tally.steps["deduplicating"].noted == {"id_taken": 1}


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["a", "b", "a ", "\u200bb", "", "c"]), max_size=12))
def test_every_record_is_kept_or_counted_and_texts_are_unique(run, texts):
    documents, tally = run(*({"text": text} for text in texts))
    assert tally.read == len(texts) == len(documents) + tally.dropped.total()
    assert len({d["text"] for d in documents}) == len(documents)
    assert {d["text"] for d in documents} == {t.strip(" \u200b") for t in texts} - {""}


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Two sources of several shards each, which repeat texts and ids of each other."""
    monkeypatch.setattr(engine, "divide", lambda files: divide(files, 2000))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            lines = [
                {"text": f"Befund {(number * 7 + n) % 23} {name if n % 3 else ''}", "id": n % 13}
                for n in range(40)
            ]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tmp_path / name / f"{number}.jsonl").write_text(text)
    return [
        {
            "name": name,
            "path": str(tmp_path / name),
            "format": "jsonl",
            "licence": "CC0-1.0",
            "personal_data": "none",
        }
        for name in ("a", "b")
    ]


def test_the_corpus_is_the_same_whoever_builds_it(
    sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = []
    for workers in (1, 2):
        values = {"language": "de", "sources": sources, "executor": {"workers": workers}}
        config = CorpusConfig.model_validate(values)
        files = [file for source in config.sources for file in find_files(source)]
        room = tmp_path / f"room-{workers}"
        tally, _ = run_stages(config, files, room)
        written = sorted((room / "write").rglob("*0.*"))
        found.append(({p.relative_to(room): p.read_bytes() for p in written}, tally.stats()))
    assert found[0] == found[1]
    rows = rows_of(tmp_path / "room-1/write")
    lines = [
        (file.stem, n, json.loads(line)["text"].strip())
        for name in ("a", "b")
        for file in sorted((tmp_path / name).iterdir())
        for n, line in enumerate(file.read_text().splitlines(), start=1)
    ]
    first = list(dict.fromkeys(text for _, _, text in lines))
    assert [row["text"] for row in rows] == first
    assert len({row["id"] for row in rows}) == len(rows)
    assert tally.read == len(lines) == tally.kept + tally.dropped.total()
    assert len(list((tmp_path / "room-1/write/data").iterdir())) == 6


def test_large_files_in_parts_give_the_documents_of_whole_ones(
    sources: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CorpusConfig.model_validate(
        {"language": "de", "sources": sources, "executor": {"workers": 1}}
    )
    files = [file for source in config.sources for file in find_files(source)]
    found = []
    for size in (2**20, 400):
        monkeypatch.setattr(engine, "divide", lambda files, size=size: divide(files, size))
        room = tmp_path / f"room-{size}"
        tally, _ = run_stages(config, files, room)
        found.append((rows_of(room / "write"), tally.stats()))
    assert found[0] == found[1]
    assert len(list((tmp_path / "room-400/write/data").iterdir())) > 2 * len(files)


def test_a_shard_that_is_done_is_not_done_again(
    sources: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CorpusConfig.model_validate(
        {"language": "de", "sources": sources, "executor": {"workers": 1}}
    )
    files = [file for source in config.sources for file in find_files(source)]
    expected = run_stages(config, files, tmp_path / "undisturbed")
    from bedside_corpus.engine import reading

    read, opened = reading.read, []

    def failing(file: Any) -> Any:
        opened.append(file.label)
        if len(opened) == 4:
            raise RuntimeError("here")
        yield from read(file)

    monkeypatch.setattr(reading, "read", failing)
    with pytest.raises(RuntimeError, match="here"):
        run_stages(config, files, tmp_path / "room")
    assert run_stages(config, files, tmp_path / "room") == expected
    assert sorted(opened) == sorted([*(file.label for file in files), opened[3]])


STOPPED = """
import errno, json, os, signal, sys
from pathlib import Path
from bedside_core import cli
from bedside_core.registry.registry import Registry
from bedside_corpus.engine import build, comparing, executor, resolving, shards, writing
divide = shards.divide
build.divide = lambda found: divide(found, 2000)

def stopped(name, text, how):
    original = getattr(Path, name)
    def at(path, *given, **named):
        if text in f"{path} {given}":
            if how == "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.kill(os.getpid(), signal.SIGKILL)
        return original(path, *given, **named)
    setattr(Path, name, at)

for stop in json.loads(sys.argv[2]):
    if not (child := os.fork()):
        if stop:
            stopped(*stop)
        os._exit(cli.main(["corpus", "build", "--config", sys.argv[1]]))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    made = Registry.from_environment().slot("test", "corpus")
    print(json.dumps([status, made]), file=sys.stderr)
"""
STOPS = [
    ("replace", "read/documents/00002", "killed"),
    ("replace", "read/signed/00003", "full"),
    ("replace", "group/bands", "full"),
    ("replace", "compare/id", "killed"),
    ("replace", "compare/near", "killed"),
    ("replace", "compare/near", "full"),
    ("replace", "resolve/spread/00003", "killed"),
    ("replace", "resolve/copies/00001", "killed"),
    ("replace", "resolve/taken/00002", "full"),
    ("replace", "write/data/00002", "full"),
    ("replace", "write/decisions/00004", "killed"),
    ("hardlink_to", "documents/00003", "full"),
    ("hardlink_to", "decisions/00005", "killed"),  # on its way into the artifact
    ("rename", "corpus-", "killed"),  # where the artifact would get its name
    ("replace", "runs/test", "killed"),  # where the run would name it
]


def test_a_kill_or_a_full_disk_at_any_point_changes_no_byte(
    sources: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "held"
    held.mkdir()
    (held / "h.txt").write_text(" ".join(f"wort{chr(97 + n % 23)}" for n in range(60)))
    corpus = {
        "language": "de",
        "sources": sources,
        "executor": {"workers": 1},
        "heldout": [str(held)],
        "near_duplicates": {"min_words": 5},
        "language_threshold": None,
    }
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "test", "corpus": corpus}))

    def build(home: str, stops: list[Any]) -> tuple[Registry, list[list[Any]]]:
        monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / home))
        registry = Registry(tmp_path / home)
        found(registry)
        command = [sys.executable, "-c", STOPPED, str(config), json.dumps(stops)]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
        return registry, [json.loads(line) for line in lines]

    stopped, ends = build("stopped", [*STOPS, None])
    codes = {"killed": -signal.SIGKILL, "full": ArtifactError.exit_code}
    assert ends[:-1] == [[codes[how], None] for _, _, how in STOPS]
    assert ends[-1][0] == 0
    undisturbed, [[status, _]] = build("undisturbed", [None])
    assert status == 0
    one, other = (registry.get("test/corpus") for registry in (stopped, undisturbed))
    one.verify()
    assert {"data/00003.parquet", "decisions/00005.parquet", "removed.jsonl"} <= {
        entry.path for entry in one.manifest.files
    }
    assert one.manifest.files == other.manifest.files
    assert one.manifest.facts == other.manifest.facts
    # One artifact, though it was published twice, and nothing that somebody would have to remove.
    assert len(list(stopped.store.iterdir())) == 1
    assert list((stopped.home / "tmp").iterdir()) == []


def test_two_builds_at_once_are_one(
    sources: list[dict[str, Any]], tmp_path: Path, registry: Registry
) -> None:
    corpus = {"language": "de", "sources": sources, "language_threshold": None}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"name": "test", "corpus": corpus}))
    command = [sys.executable, "-m", "bedside_core.cli", "corpus", "build", "--config", str(config)]
    both = [
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [one.communicate()[1] for one in both]
    for one, text in zip(both, said, strict=True):
        assert one.returncode == 0 or "another process is doing this step" in text
    assert 0 in [one.returncode for one in both]
    registry.get("test/corpus").verify()
    assert len(list(registry.store.iterdir())) == 1
    assert list((registry.home / "work").iterdir()) == []

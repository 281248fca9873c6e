"""What the project's papers say of commands, files, words and licences is so."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedside_core import __version__, cli
from bedside_core.arguments import arguments_of, parse
from bedside_core.commands import Command

ROOT = Path(__file__).parent.parent
PAPERS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "services/*/*.md", "docker/*.md", "helm/*/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
HOUSE_WORDS = (
    "house run slot artifact recipe evidence verdict policy exam canary exchange place envelope "
    "lineup paper tally withdraw revoke stop promote chain look plan cluster overlap pseudonym "
    "subject"
).split()


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """Lines of indented code, without comments."""
    lines = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(path.read_text(encoding="utf-8"))]
    inside = [link for link in targets if link and not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (path.parent / link).exists()] == []


# CONTRIBUTING


def test_commands_of_contributing_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):.*##", read("Makefile"), re.MULTILINE))
    for line in blocks(read("CONTRIBUTING.md")):
        program, *words = shlex.split(line)
        if program == "make":
            assert words[0] in targets, line
        elif program == "bash":
            assert (ROOT / words[0]).is_file(), line
        else:
            assert program == ".venvs/dev/bin/pytest", line
            assert (ROOT / words[0]).exists(), line


def test_set_up_is_two_commands_and_one_test_needs_no_linter() -> None:
    text = read("CONTRIBUTING.md")
    set_up = text[text.index("## Set up") : text.index("## Test")]
    assert [line.split()[0] for line in blocks(set_up)] == ["bash", "make"]
    first = blocks(text[text.index("## Test") :])[0]
    assert first.split() == [".venvs/dev/bin/pytest", "tests/core/test_config.py"]


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "docs/glossary.md"])
def test_files_that_are_named_exist(name: str) -> None:
    named = re.findall(r"`((?:docs|tests|scripts|services|packages)/[\w./-]*)`", read(name))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_modules_of_the_recipes_exist() -> None:
    places = {
        "services/corpus/src/bedside_corpus": (
            "run",
            "cli",
            "config",
            "blocks/base",
            "engine/build",
        ),
        "services/eval/src/bedside_eval": ("records", "harness", "conclude", "report"),
        "services/inference/src/bedside_inference": ("gateway/errors",),
    }
    text = read("CONTRIBUTING.md")
    for folder, modules in places.items():
        for module in modules:
            assert f"{module}.py`" in text, module
            assert (ROOT / folder / f"{module}.py").is_file(), module


def test_reasons_of_the_corpus_stand_in_its_table() -> None:
    sources = (ROOT / "services/corpus/src").rglob("*.py")
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    reasons = set(re.findall(r'Dropped\("(\w+)"', code))
    assert "heldout" in reasons
    assert [
        reason for reason in reasons if f"`{reason}`" not in read("services/corpus/README.md")
    ] == []


# Licence, people


def test_the_missing_licence_is_said() -> None:
    assert not list(ROOT.glob("LICEN[CS]E*")), "say in README and CONTRIBUTING which licence it is"
    for name in ("README.md", "CONTRIBUTING.md"):
        text = " ".join(read(name).split())
        assert "no licence file" in text and "owner" in text and "LGPL-3.0" in text, name


def test_no_addresses_of_people() -> None:
    found = {path.name: MAIL.findall(path.read_text(encoding="utf-8")) for path in PAPERS}
    assert {name: mails for name, mails in found.items() if mails} == {}


def test_security_names_this_version() -> None:
    minor = __version__.rpartition(".")[0]
    assert f"| {minor}.x | yes |" in read("SECURITY.md")


# Glossary


def rows() -> list[list[str]]:
    cells = [line.strip("|").split("|") for line in read("docs/glossary.md").splitlines()]
    lines = [[cell.strip() for cell in row] for row in cells if len(row) > 1]
    return [row for row in lines if row[0] != "word" and set(row[0]) != {"-"}]


def test_each_word_stands_once() -> None:
    words = [row[0] for row in rows()]
    assert len(words) == len(set(words))
    assert set(HOUSE_WORDS) - set(words) == set()


def test_commands_of_the_glossary_exist(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"`bedside ([a-z -]+)`", read("docs/glossary.md")))
    assert {"registry withdraw", "inference keys revoke", "check"} <= named
    for command in sorted(named):
        assert cli.main([*command.split(), "--help"]) == 0, command
        assert f"usage: bedside {command}" in capsys.readouterr().out


def test_code_that_a_word_names_exists() -> None:
    roots = [*ROOT.glob("packages/*/src"), *ROOT.glob("services/*/src")]
    named = {path for row in rows() for path in re.findall(r"`(bedside_[\w./]+)`", row[-1])}
    assert len(named) > 30
    assert [path for path in named if not any((root / path).exists() for root in roots)] == []


# pre-commit


def hooks() -> list[dict[str, Any]]:
    (repo,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repo["repo"] == "local"
    return list(repo["hooks"])


def test_hooks_fetch_nothing_and_none_is_left_to_memory() -> None:
    for hook in hooks():
        assert hook["language"] == "system" and "stages" not in hook, hook["id"]


def test_hooks_check_what_make_lint_checks() -> None:
    lint = read("Makefile").partition("\nlint:")[2].partition("\n\n")[0]
    by_id = {hook["id"]: hook["entry"] for hook in hooks()}
    assert by_id["mypy"].split("'")[1] in lint
    for tool in ("ruff format", "ruff check"):
        assert f".venvs/dev/bin/{tool}" in lint
        assert by_id[tool.replace(" ", "-")].startswith(f".venvs/dev/bin/{tool}")


def test_large_files_are_stopped(tmp_path: Path) -> None:
    (entry,) = (hook["entry"] for hook in hooks() if hook["id"] == "large-files")
    small, large = tmp_path / "a small one", tmp_path / "a large one"
    small.write_bytes(b"x" * 500_000)
    large.write_bytes(b"x" * 500_001)
    for files, code in (([small], 0), ([small, large], 1)):
        command = [*shlex.split(entry), *map(str, files)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == code
        assert ("a large one is over 500 kB" in result.stdout) == bool(code)


# Data protection

PROOF = re.compile(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)")
GERMAN = ["datenschutz.md", "vorlage-dsfa.md", "vorlage-verarbeitungsverzeichnis.md"]


def defines(path: Path, test: str) -> bool:
    return f"def {test}(" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GERMAN)
def test_proofs_for_the_officer_exist(name: str) -> None:
    proofs = PROOF.findall(read(f"docs/{name}"))
    assert len(proofs) > 10
    assert [proof for proof in proofs if not defines(ROOT / proof[1], proof[0])] == []
    links = re.findall(r"\]\((\.\./tests/[^)]*)\)", read(f"docs/{name}"))
    assert len(links) == len(proofs), "a link to a test names the test"


@pytest.mark.parametrize("name", GERMAN)
def test_each_statement_to_the_officer_has_a_proof_or_a_reason(name: str) -> None:
    column = None
    for line in read(f"docs/{name}").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            column = None
        elif "Nachweis" in cells:
            column = cells.index("Nachweis")
        elif column is not None and set(line) - set("|-"):
            assert PROOF.search(cells[column]) or cells[column].startswith("ohne Test: "), line


def test_what_is_left_to_the_house_is_marked() -> None:
    for name in GERMAN[1:]:
        assert read(f"docs/{name}").count("▢") > 20


def test_proofs_of_data_protection_exist() -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.py)(?:::(\w+))?`", read("docs/data-protection.md"))
    assert len(named) > 50
    for path, test in named:
        found = [place / path for place in (ROOT, ROOT / "tests/inference")]
        file = next((file for file in found if file.is_file()), None)
        assert file, path
        assert not test or defines(file, test), (path, test)


# The ways that somebody walks by hand


@pytest.mark.parametrize("name", ["docs/evidence.md", "docs/compare.md"])
def test_commands_of_a_walk_are_taken_by_their_parsers(name: str) -> None:
    found = (re.match(r"(?:BEDSIDE_\w+=\S+ )?bedside (.*)", line) for line in blocks(read(name)))
    lines = [match[1] for match in found if match]
    assert lines
    for line in lines:
        path, command, rest = cli.route(shlex.split(line))
        assert isinstance(command, Command), line
        arguments_of(command, parse(path, command, rest))

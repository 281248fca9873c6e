"""`bedside eval import-exam LAYOUT PATH --out FILE`: a published exam into our format.

Needs no run, no key and no network. Texts go into the file and nowhere else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bedside_core.config import Config
from bedside_core.console import say, table
from bedside_core.errors import ArtifactError, ConfigError, InputError
from bedside_core.files import sha256_file, write_atomic
from bedside_core.messages import did_you_mean
from bedside_eval.importing.equals import Contradicting, Equal, Resolved, resolve
from bedside_eval.importing.examples import with_examples

if TYPE_CHECKING:
    from bedside_core.registry.registry import Registry
    from bedside_eval.importing.layout import Layout
    from bedside_eval.importing.reading import Read

RECORD = ".import.json"
"""Follows the name of the exam's file."""
SCHEMA_VERSION = 1


class ImportOptions(Config):
    """What is taken, and how."""

    out: Path
    """The exam's file (JSON Lines); a record of the import lies beside it."""
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    """BCP 47; by default the layout's own. A translation says here what it was translated to."""
    split: str | None = None
    """`train`, `dev`, `test`, or `all`; by default the one that is examined on."""
    subject: str | None = None
    """Take this subject alone, as `anatomy`."""
    shots: Annotated[int, Field(ge=0, le=20)] = 0
    """Examples before each item, the first of the split that the layout has for them."""
    examples: Path | None = None
    """Another file or folder of the same layout that examples come from."""
    equal: Equal = "keep"
    """Items that ask the same with the same key: `keep` them, or the `first` alone."""
    contradicting: Contradicting = "refuse"
    """Items that ask the same with other keys: `refuse` the import, or `drop` all of them."""


def import_exam(registry: Registry, layout: str, path: str, options: ImportOptions) -> None:
    """Write the items, and what became of every line.

    Raises:
        ConfigError: there is no such layout, or it has no split for examples.
        InputError: nothing can be read, nothing is left, or keys contradict each other.
        ArtifactError: the file cannot be written.
    """
    # pyarrow: not for the other verbs of this service.
    from bedside_eval.importing.layouts import LAYOUTS
    from bedside_eval.importing.reading import Wanted, read
    from bedside_eval.importing.selection import chosen

    if layout not in LAYOUTS:
        raise ConfigError(f"no layout {layout!r} - {did_you_mean(layout, LAYOUTS)}")
    importer, snapshot = LAYOUTS[layout], Path(path)
    if not snapshot.exists():
        raise InputError(f"{path}: there is no such file or folder")
    language = options.language or _only_language(layout, importer)
    split = {None: importer.split, "all": ""}.get(options.split, options.split or "")
    source = _example_split(layout, importer, options, split)
    files = chosen(snapshot, importer, split=split, language=language)
    wanted = Wanted(language, split, source if options.shots else "", options.subject or "")
    found = read(layout, importer, files, wanted)
    if not found.items:
        raise InputError(f"{path}: no item is left of {found.rows} line(s){_reasons(found)}")
    resolved = resolve(found.items, equal=options.equal, contradicting=options.contradicting)
    items, used, unused = resolved.items, [], 0
    if options.shots:
        used = chosen(options.examples or snapshot, importer, split=source, language=language)
        _refuse_the_same_file(files, used, by_row=importer.split_of is not None)
        pool = read(layout, importer, used, Wanted(language, source))
        items, unused = with_examples(
            items, pool.items, options.shots,
            worked=pool.worked, by_specialty=importer.by_specialty,
        )  # fmt: skip
    if not items:
        raise InputError(f"{path}: no item is left: keys of all of them contradict each other")
    lines = "".join(
        json.dumps(item.model_dump(exclude_defaults=True) | {"id": item.id}, ensure_ascii=False)
        + "\n"
        for item in items
    )
    record = {
        "schema_version": SCHEMA_VERSION, "layout": layout, "licence": importer.licence,
        "obligations": importer.obligations, "burnt": importer.burnt, "language": language,
        "split": split or "all", "subject": options.subject, "shots": options.shots,
        "examples_from": source if options.shots else None,
        "files": {file.name: sha256_file(file) for file in (*files, *used)},
        "lines": found.rows, "left_out": dict(sorted(found.left_out.items())),
        "rules": {"equal": options.equal, "contradicting": options.contradicting},
        "equal": resolved.equal, "contradicting": resolved.contradicting,
        "dropped_by_rule": resolved.dropped, "unused_examples": unused, "items": len(items),
        "clusters": len({item.cluster for item in items}),
    }  # fmt: skip
    _write(options.out, lines, record)
    _show(options, importer, found, resolved, record)


def _only_language(name: str, layout: Layout) -> str:
    if len(layout.languages) > 1:
        raise ConfigError(
            f"{name} has several languages - name one with --language: "
            f"{', '.join(layout.languages)}"
        )
    return layout.languages[0]


def _example_split(name: str, layout: Layout, options: ImportOptions, split: str) -> str:
    """The split that examples come from; empty where a file of its own is named for them."""
    if not options.shots:
        return ""
    if options.examples is None and not layout.examples:
        raise ConfigError(
            f"{name} has no split that examples could come from, and none comes from the items - "
            "name another file or folder with --examples, or leave --shots out"
        )
    if options.examples is None and split == layout.examples:
        raise ConfigError(
            f"--split {split} is the one that examples of {name} come from - take another, or name "
            "another file or folder with --examples"
        )
    return layout.examples


def _refuse_the_same_file(files: list[Path], used: list[Path], *, by_row: bool) -> None:
    same = {file.resolve() for file in files} & {file.resolve() for file in used}
    if same and not by_row:
        raise InputError(
            f"{len(same)} file(s) would give both items and examples - name a file or folder of "
            "another split with --examples"
        )


def _write(out: Path, lines: str, record: dict[str, Any]) -> None:
    try:
        write_atomic(out, lines.encode())
        text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
        write_atomic(out.with_name(out.name + RECORD), text.encode())
    except OSError as error:
        raise ArtifactError(
            f"--out {out}: cannot be written ({error.strerror}) - name another file"
        ) from error


def _reasons(found: Read) -> str:
    return "".join(f"\n  {number} x {reason}" for reason, number in found.left_out.most_common())


def _show(
    options: ImportOptions, layout: Layout, found: Read, resolved: Resolved, record: dict[str, Any]
) -> None:
    rows = [["lines", "", f"{found.rows}"]]
    rows += [["left out", reason, f"{n}"] for reason, n in found.left_out.most_common()]
    if resolved.equal:
        rows.append(["ask the same", f"rule: {options.equal}", f"{resolved.equal}"])
    if resolved.contradicting:
        rule = f"rule: {options.contradicting}"
        rows.append(["contradict each other", rule, f"{resolved.contradicting}"])
    if record["unused_examples"]:
        rows.append(["examples not used", "they are items", f"{record['unused_examples']}"])
    rows.append(["items", f"{record['clusters']} clusters", f"{record['items']}"])
    say(table(rows))
    say(f"licence: {layout.licence or 'none published'}. {layout.obligations}")
    if layout.burnt:
        say(f"burnt: {layout.burnt}")
    say(f"written: {options.out}")

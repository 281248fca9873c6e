"""The passport for people: one HTML page that needs no network and no script, and can be printed.

Tested in tests/corpus/passport/test_passport.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from bedside_corpus.passport.curve import curve
from bedside_corpus.passport.pictures import funnel, histogram

STYLE = """
:root { color-scheme: light dark; --ground: #f3f6f7; --surface: #fff; --ink: #16242c;
  --soft: #475963; --line: #d5dfe3; --accent: #0b5c6b; --tint: #e4f0f2; }
@media (prefers-color-scheme: dark) { :root { --ground: #10181c; --surface: #18232a;
  --ink: #e6eef1; --soft: #aebfc7; --line: #2c3b43; --accent: #7fd0df; --tint: #1b3540; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.5;
  font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 0 0 .75rem; color: var(--accent); }
p { margin: 0 0 .75rem; max-width: 42rem; } .soft { color: var(--soft); }
code { font: .85em ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
section { background: var(--surface); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1.25rem 1.4rem; margin-top: 1rem; break-inside: avoid; }
section > :last-child { margin-bottom: 0; }
dl.numbers { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; margin: 1.5rem 0 0; }
dl.numbers div { display: flex; flex-direction: column-reverse; }
dl.numbers dt { color: var(--soft); font-size: .85rem; }
dl.numbers dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin-bottom: .75rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; padding-right: 0;
  white-space: nowrap; }
td.number + td, th.number + th { padding-left: 1.25rem; }
svg { width: 100%; height: auto; display: block; margin-bottom: .75rem; }
ul { margin: 0; padding-left: 1.1rem; } li { margin-bottom: .4rem; max-width: 42rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--tint); padding: .75rem;
  border-radius: .4rem; font: .85rem/1.45 ui-monospace, Menlo, Consolas, monospace; }
@media print { body { background: none; } main { max-width: none; padding: 0; }
  section { border: 0; border-top: 1px solid #999; border-radius: 0; padding: 1rem 0; } }
"""
PURPOSES = {
    "commercial": "any use, also commercial",
    "research": "research",
    "internal": "use within the house",
    "unstated": "a purpose that nobody stated",
}


def page(passport: Mapping[str, Any], title: str, more: str = "") -> str:
    """The whole page.

    Args:
        passport: the content of `passport.json`.
        title: of the page.
        more: sections that stand at the end, for example of examples.
    """
    sections = (
        _selected, _funnel, _sources, _licences, _texts, _cleaning, _duplicates, _held_out,
        _classifiers, _personal, _notes, _limits, _made,
    )  # fmt: skip
    body = "\n".join(part for part in (make(passport) for make in sections) if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{_head(passport, title)}\n{body}\n{more}</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A part of the page; `parts` are HTML."""
    return "\n".join(["<section>", f"<h2>{escape(title)}</h2>", *parts, "</section>"])


def paragraph(text: str, *, soft: bool = False) -> str:
    """Plain text as a paragraph."""
    kind = ' class="soft"' if soft else ""
    return f"<p{kind}>{escape(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows of plain text and numbers; numbers stand on the right."""
    rows = [list(row) for row in rows]
    of = [bool(rows) and all(isinstance(row[i], int) for row in rows) for i in range(len(head))]

    def line(tag: str, cells: Sequence[object]) -> str:
        kinds = (' class="number"' if number else "" for number in of)
        made = (f"<{tag}{k}>{_shown(c)}</{tag}>" for k, c in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(made)}</tr>"

    return "\n".join(["<table>", line("th", head), *(line("td", row) for row in rows), "</table>"])


def _shown(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else escape(str(cell))


def _head(passport: Mapping[str, Any], title: str) -> str:
    numbers = {
        "documents": passport["documents"],
        "words": passport["words"],
        **{f"tokens ({name})": count for name, count in passport["tokens"].items()},
        "records read": passport["read"],
    }
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{count:,}</dd></div>" for name, count in numbers.items()
    )
    return "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            paragraph(f"Built for {PURPOSES[passport['purpose']]}.", soft=True),
            f'<dl class="numbers">{listed}</dl>',
        ]
    )


def _selected(passport: Mapping[str, Any]) -> str:
    if "selected" not in passport:
        return ""
    of = passport["selected"]
    rows = [(column, _condition(wanted)) for column, wanted in of["select"].items()]
    if of["sample"] is not None:
        drawn = f"{of['sample']['words']:,} words, seed {of['sample']['seed']}"
        rows.append(("random subset", drawn))
    origin = of["from"]
    more = (
        "Its passport says more of its sources and what cleaning changed. What stands below of "
        "classifiers, held-out texts and personal data was counted when it was built: "
        f"bedside corpus passport {origin[:12]} --out FOLDER"
        if of["has_passport"]
        else "It has no passport of this form, so nothing is said here of how it was made."
    )
    return section(
        "Selected from another corpus",
        f"<p>Each document is one of the corpus <code>{escape(origin)}</code>, as it is there.</p>",
        table(("column", "condition"), rows),
        paragraph(more, soft=True),
    )


def _condition(wanted: Mapping[str, float | None] | Sequence[str]) -> str:
    if isinstance(wanted, Mapping):
        if "values" in wanted:
            return f"one of {wanted['values']:,}, which are not named here"
        ends = (("at least", wanted["min"]), ("at most", wanted["max"]))
        return ", ".join(f"{said} {end:g}" for said, end in ends if end is not None)
    return "one of " + ", ".join(wanted)


def _funnel(passport: Mapping[str, Any]) -> str:
    steps = passport["funnel"]
    rows = [
        (name, gone["records"], gone["the_record"])
        for step in steps
        for name, gone in step["dropped"].items()
    ]
    out = table(("reason", "records", "the record"), rows) if rows else ""
    return section("From what was read to what was kept", funnel(steps), out)


def _sources(passport: Mapping[str, Any]) -> str:
    rows = [
        (
            one["name"],
            ", ".join(str(one[n]) for n in ("type", "language") if one.get(n)) or one["format"],
            one["personal_data"],
            one["read"],
            one["documents"],
            one["words"],
        )
        for one in passport["sources"]
    ]
    head = ("source", "what", "personal data, as declared", "read", "kept", "words")
    parts = [table(head, rows)]
    named = [one for one in passport["sources"] if one.get("attribution")]
    if named:
        parts.append(
            table(("source", "to be named as"), [(n["name"], n["attribution"]) for n in named])
        )
    if passport.get("left_out"):
        rows = list(passport["left_out"].items())
        parts.append(table(("left out for this purpose", "because"), rows))
    return section("Sources", *parts)


def _licences(passport: Mapping[str, Any]) -> str:
    rows = [
        (one["licence"], one["documents"], ", ".join(one["obligations"]) or "none")
        for one in passport["licences"]
    ]
    more = ", and those of the other corpus" if "selected" in passport else ""
    return section(
        "Licences",
        table(("licence", "documents", "obligations"), rows),
        paragraph(f"A model that is trained on the corpus carries all of these{more}.", soft=True),
    )


def _texts(passport: Mapping[str, Any]) -> str:
    rows = [(name, of["documents"], of["words"]) for name, of in passport["languages"].items()]
    return section(
        "Languages and lengths",
        table(("language", "documents", "words"), rows),
        paragraph("Documents by their number of words:", soft=True),
        histogram(passport["lengths"]),
    )


def _cleaning(passport: Mapping[str, Any]) -> str:
    if "cleaning" not in passport:
        return ""
    cleaned = passport["cleaning"]
    if not cleaned["documents"]:
        return section("Cleaning", paragraph("No document had to be changed."))
    return section(
        "Cleaning",
        paragraph(f"{cleaned['documents']:,} documents were changed."),
        table(("rule", "changes"), cleaned["changes"].items()),
    )


def _duplicates(passport: Mapping[str, Any]) -> str:
    if "duplicates" not in passport:
        return ""
    exact, near = (passport["duplicates"][n] for n in ("duplicate_text", "duplicate_near"))
    return section(
        "Duplicates",
        paragraph(f"{exact:,} equal texts and {near:,} near-copies are out; the first one stays."),
    )


def _held_out(passport: Mapping[str, Any]) -> str:
    if "held_out" not in passport:
        return ""
    held = passport["held_out"]
    if not held["sets"]:
        said = "No held-out set was named to the build, so none was looked for."
        return section("Held-out texts and exams", paragraph(said))
    number = sum(held["dropped"].values())
    said = (
        "Each of their texts and items was looked for in every document; "
        f"{number or 'no'} {'document is' if number == 1 else 'documents are'} out for it."
    )
    rows = [
        (one["set"], *(one[n] for n in ("asked", "found", "exact", "near", "ngram", "spread")))
        for one in held["sets"]
    ]
    head = ("set", "texts or items", "found", "as a copy", "near-copy", "in parts", "spread")
    return section("Held-out texts and exams", paragraph(said), table(head, rows))


def _classifiers(passport: Mapping[str, Any]) -> str:
    used = passport.get("classifiers")
    if not used:
        return ""
    rows = [
        (name, of["kind"], _at(of["threshold"]), of["classifier"][:12]) for name, of in used.items()
    ]
    parts = [table(("column", "kind", "threshold", "classifier"), rows)]
    for name, of in used.items():
        if of["certificate"] is not None:
            parts += _certificate(name, of["certificate"], of["threshold"])
        else:
            parts += _classes(name, of["classes"])
        if "published" in of:
            parts.append(_joined(name, of["published"]))
    return section("Classifiers", *parts)


def _certificate(name: str, of: Mapping[str, Any], threshold: float | None) -> list[str]:
    share, found = of["prevalence"], of["clusters"]
    precision = "unknown" if of["precision"] is None else f"{of['precision']:.1%}"
    rows = [
        ("target", f"precision of {of['target_precision']:.1%}"),
        (
            "prevalence",
            f"{share['value']:.2%}, as was set"
            if of["prevalence_from"] == "config"
            else f"{_between(share)}, as in the test set",
        ),
        ("threshold", _at(of["threshold"])),
        ("certified", "yes" if of["certified"] else "no"),
        (
            "precision",
            f"{precision}, at least {of['precision_low']:.1%} with {of['confidence']:.0%} "
            "confidence",
        ),
        ("recall", _between(of["recall"])),
        ("false positives", f"{_between(of['false_positive_rate'])} of others"),
        ("test set", f"{found['yes']:,} texts and {found['no']:,} others; near-copies count once"),
    ]
    if of["needed_no"] is not None:
        rows.append(("missing", f"{of['needed_no']:,} others without one false positive"))
    if of["first_stage"] is not None:
        rows.append(("lost by the first stage", _between(of["first_stage"]["lost"])))
    said = [paragraph(f"Certificate of {name}"), table(("figure", "value"), rows), curve(of)]
    if threshold != of["threshold"]:
        but = (
            "leaves nothing out by it"
            if threshold is None
            else f"is built at {_at(threshold)}, which it does not certify"
        )
        at = f"The certificate is of the threshold {_at(of['threshold'])}; the corpus {but}."
        said.append(paragraph(at, soft=True))
    return said


def _classes(name: str, of: Mapping[str, Any]) -> list[str]:
    said = f"{name}: macro-F1 {_between(of['macro_f1'])} on {of['documents']:,} documents"
    rows = [(kind, f"{value:.1%}") for kind, value in of["f1"].items()]
    return [paragraph(said), table(("class", "F1"), rows)]


def _joined(name: str, published: Mapping[str, Any]) -> str:
    no, yes = _at(published["no_below"]), _at(published["yes_from"])
    return paragraph(
        f"Scores that others published go before those of {name}: a document is out below {no} and "
        f"in from {yes}. No certificate speaks of these."
    )


def _at(threshold: float | None) -> str:
    return "none is left out" if threshold is None else f"{threshold:.4g}"


def _between(bound: Mapping[str, float]) -> str:
    return f"{bound['value']:.1%} ({bound['low']:.1%} to {bound['high']:.1%})"


def _personal(passport: Mapping[str, Any]) -> str:
    if "personal_data" not in passport:
        return ""
    found = passport["personal_data"]
    if found is None:
        said = "There was no gate: nothing was looked for beyond what sources declare."
        return section("Personal data", paragraph(said))
    out = sum(found["dropped"].values())
    hit = {"drop": "left out", "quarantine": "laid aside for a person", "pseudonymise": "rewritten"}
    parts = [
        paragraph(
            f"{found['read']:,} documents were looked at. What is over a risk of "
            f"{found['max_risk']:g} is {hit[found['on_hit']]}; {out:,} documents are out, "
            f"{found['released']:,} were released by a person."
        )
    ]
    for kind, head in (
        ("categories", ("found in documents that are out", "documents")),
        ("replaced", ("replaced", "times")),
    ):
        if found[kind]:
            parts.append(table(head, found[kind].items()))
    return section("Personal data", *parts)


def _notes(passport: Mapping[str, Any]) -> str:
    rows = [
        (step.replace("_", " "), note, count)
        for step, notes in passport.get("notes", {}).items()
        for note, count in notes.items()
    ]
    if not rows:
        return ""
    return section("What the steps counted beside", table(("step", "what", "times"), rows))


def _limits(passport: Mapping[str, Any]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in passport["is_not"])
    return section("What this corpus is not", f"<ul>{items}</ul>")


def _made(passport: Mapping[str, Any]) -> str:
    rows = [
        ("content, SHA-256", passport["content_sha256"]),
        ("recipe, SHA-256", passport["recipe_sha256"]),
        *passport["made_by"].items(),
    ]
    lines = "\n".join(
        f"<tr><td>{escape(name)}</td><td><code>{escape(value)}</code></td></tr>"
        for name, value in rows
    )
    return section(
        "How it was made",
        f"<table>\n{lines}\n</table>",
        paragraph(
            "The artifact that holds this page is named by the SHA-256 of its manifest, which "
            "lists this page. What became of one document says: bedside corpus why DOCUMENT",
            soft=True,
        ),
    )

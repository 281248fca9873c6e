"""What two cleaners do to clinical notation: ours and the one described with PARCOMED.

    .venvs/dev/bin/python bench/corpus/cleaning.py

Counts notations (units, ranges, decimals, comparators, ...) in the real texts of `../shared/data`
before and after, first as the texts are, then with dirt put into them: UTF-8 read as Windows-1252,
Windows-1252 read as Latin-1, decomposed letters. A notation is damaged if the cleaned text has it
fewer times than the text without dirt. Addresses are not counted, both cleaners delete them. No
text is written: counts go to `bench/results/cleaning.json`.

PARCOMED's cleaner is written anew from its description (arXiv 2604.06903, section 3.3, and the
expressions of the published script): characters outside French letters, digits and ASCII
punctuation go, repeated signs become one, a blank follows each of `:;,!?.` and precedes `:;!?`,
words of 35 letters or more go. It is made for French; that it meets German here is said.
"""

from __future__ import annotations

import json
import os
import re
import string
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bedside_core.console import say
from bedside_corpus.cleaning.clean import clean

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "bench/results/cleaning.json"
NUMBER = r"\d+(?:[.,]\d+)?"
UNIT = "[µμmknp]?g|[µμmnp]?mol|m?val|[dmµμ]?l|[cmµμn]?m|mmHg|IE|UI|kg/m²|°C|°F|°|%|‰|h|min"
KINDS = {
    "decimal": re.compile(r"(?<![\d.,])\d+[.,]\d+(?![.,]?\d)"),
    "range": re.compile(rf"(?<![\d.,]){NUMBER} ?[–‐‑−-] ?{NUMBER}(?![.,]?\d)"),
    "unit": re.compile(rf"(?<![\d.,]){NUMBER} ?(?:{UNIT})(?:/[A-Za-zµμ²³]+)?(?![\w²³])"),
    "comparator": re.compile(rf"[<>≤≥±≈~] ?{NUMBER}"),
    "date": re.compile(r"(?<![\d.])\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})(?!\d)"),
    "ratio": re.compile(r"(?<![\d/])\d+[/:]\d+(?![\d/])"),
    "code": re.compile(r"\b[A-Z]\d{2}\.\d{1,2}\b"),
    "superscript": re.compile(r"\w?[²³¹⁰-⁹₀-₉½¼¾]"),
    "greek": re.compile(r"[Α-Ωα-ωµ]"),
    "quote": re.compile(r"[«»„“”‚‘’›‹]"),
    "accented_word": re.compile(r"\b\w*[äöüÄÖÜßîùëâôûïœæ]\w*\b"),
}
ADDRESS = re.compile(r"(?:https?://|www\.)\S+")


def parcomed() -> Callable[[str], str]:
    letters = string.ascii_letters + "ŒœÀÁÂÇÈÉÊÏÔàáâçèéêïôû"
    foreign = re.compile(f"[^{letters}{string.digits}{re.escape(string.punctuation)}\\s]")
    repeated = re.compile(rf"([{re.escape(string.punctuation)}\s])\1+")
    glued_behind = re.compile(r"([:;,!?.])(?=\S)")
    glued_before = re.compile(r"(?<=\S)([:;!?])")
    long_word = re.compile(rf"\s?\w{{35,}}[{re.escape(string.punctuation)}]?\s?")

    def cleaned(text: str) -> str:
        text = repeated.sub(r"\1", foreign.sub("", text.replace("’", "'")))
        return long_word.sub("", glued_before.sub(r" \1", glued_behind.sub(r"\1 ", text))).strip()

    return cleaned


def as_windows(text: str) -> str:
    """UTF-8 bytes read as Windows-1252, its undefined bytes as Latin-1."""
    return "".join(
        bytes([byte]).decode("windows-1252", errors="ignore") or chr(byte) for byte in text.encode()
    )


def as_latin(text: str) -> str:
    """Windows-1252 read as Latin-1: dashes, quotes and the ellipsis become C1 controls."""
    return "".join(c.encode("windows-1252", errors="ignore").decode("latin-1") or c for c in text)


DIRT: dict[str, Callable[[str], str]] = {
    "none": str,
    "utf8_as_windows_1252": as_windows,
    "windows_1252_as_latin_1": as_latin,
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
}


def texts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(DATA.glob("*/*.jsonl")):
        rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
        found[f"{path.parent.name}/{path.stem}"] = [
            row.get("text")
            or "\n".join([row["question"], *row["options"], row.get("explanation") or ""])
            for row in rows
        ]
    return found


def notations(text: str) -> dict[str, Counter[str]]:
    return {kind: Counter(found.findall(text)) for kind, found in KINDS.items()}


def plain(text: str) -> str:
    """The text whose notations count: one spelling of blanks and letters, no addresses."""
    text = unicodedata.normalize("NFC", ADDRESS.sub(" ", text))
    return re.sub(r"[^\S\n]", " ", text)


def measure(documents: list[str], cleaner: Callable[[str], str], dirt: str) -> dict[str, object]:
    damaged: Counter[str] = Counter()
    seconds, size, touched = 0.0, 0, 0
    for document in documents:
        given = DIRT[dirt](document)
        began = time.process_time()
        cleaned = cleaner(given)
        seconds += time.process_time() - began
        size += len(given.encode())
        before, after = notations(plain(document)), notations(plain(cleaned))
        lost = {kind: (before[kind] - after[kind]).total() for kind in KINDS}
        damaged.update(lost)
        touched += any(lost.values())
    return {
        "damaged": {kind: damaged[kind] for kind in KINDS},
        "documents_damaged": touched,
        "mb_per_cpu_second": round(size / 1e6 / seconds, 1),
    }


def bench() -> None:
    cleaners = {"bedside": lambda text: clean(text).text, "parcomed": parcomed()}
    results = {}
    for name, documents in texts().items():
        there: Counter[str] = Counter()
        for document in documents:
            there.update({k: c.total() for k, c in notations(plain(document)).items()})
        changes: Counter[str] = Counter()
        for document in documents:
            changes.update(clean(document).changes)
        results[name] = {
            "documents": len(documents),
            "notations": {kind: there[kind] for kind in KINDS},
            "changes_by_bedside": dict(sorted(changes.items())),
            "dirt": {
                dirt: {n: measure(documents, cleaner, dirt) for n, cleaner in cleaners.items()}
                for dirt in DIRT
            },
        }
        say(f"{name} {json.dumps(results[name]['dirt']['none'])}")
    load = round(os.getloadavg()[0], 2)
    RESULTS.write_text(
        json.dumps({"load_average": load, "sets": results}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    bench()

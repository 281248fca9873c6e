"""How much of what identifies a person the gate's rules find, and what they find elsewhere.

    .venvs/dev/bin/python bench/corpus/phi.py development   # as often as you like
    .venvs/dev/bin/python bench/corpus/phi.py held          # five times in all

`development` is the half of the annotated letters by which the rules were written; `held` the half
that nobody who wrote rules read (`grascco.py` has the split). Each look at the held half is
recorded in `bench/results/phi.json` with the hash of the rules, and a sixth is refused: whoever
looks often enough writes rules for it. Besides: French letters that we invented, without a claim;
German news and our own texts, where a finding is rather a false one. Nothing is asserted, no text
is printed.

An annotated span is found if each of its letters and digits lies in a finding of any category, as a
half-hidden name is not hidden. Intervals are 95 %: Clopper and Pearson over spans (as if they were
independent), and a bootstrap over letters (families); the lower bound is the lower of the two. Of
letters, which are few, Clopper and Pearson.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from scipy import stats

from bedside_core.console import say, table
from bedside_corpus.phi.config import PhiConfig
from bedside_corpus.phi.recognisers import recognisers, risk, scan

sys.path.insert(0, str(Path(__file__).parent))
import grascco
from grascco import Letter

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "bench" / "results" / "phi.json"
RULES = ROOT / "services/corpus/src/bedside_corpus/phi"
INVENTED = ROOT / "tests" / "corpus" / "phi" / "letters"
MAX_LOOKS = 5
GOAL = 0.95
GROUPS = {
    "names": ("NAME_PATIENT", "NAME_DOCTOR", "NAME_EXT", "NAME_USERNAME", "NAME_RELATIVE", "NAME"),
    "dates": ("DATE",),
    "contacts": ("CONTACT_PHONE", "CONTACT_FAX", "CONTACT_EMAIL", "CONTACT_URL", "CONTACT"),
    "ids": ("ID",),
}
"""What the goal is about; every other label is reported under its own name."""
OF = {label: group for group, labels in GROUPS.items() for label in labels}
BY = recognisers(PhiConfig())


class Found(NamedTuple):
    """One letter: per group how many spans there are and how many were found; false findings."""

    family: str
    spans: Counter[str]
    found: Counter[str]
    findings: int
    false: int
    words: int
    dropped: bool


def look(letter: Letter, language: str) -> Found:
    """Compare one letter with its annotations."""
    findings = scan(letter.text, language, BY)
    hidden, real = bytearray(len(letter.text)), bytearray(len(letter.text))
    for span in findings:
        hidden[span.start : span.end] = b"\1" * (span.end - span.start)
    spans, found = Counter[str](), Counter[str]()
    for begin, end, label in letter.spans:
        group = OF.get(label, label)
        spans[group] += 1
        real[begin:end] = b"\1" * (end - begin)
        found[group] += all(hidden[i] for i in range(begin, end) if letter.text[i].isalnum())
    false = sum(not any(real[s.start : s.end]) for s in findings)
    over = risk(letter.text, findings) > PhiConfig().max_risk
    words = len(letter.text.split())
    return Found(grascco.family(letter.name), spans, found, len(findings), false, words, over)


def exact(found: int, of: int) -> list[float]:
    """Two-sided 95 % interval of Clopper and Pearson (Biometrika 26, 1934)."""
    interval = stats.binomtest(found, of).proportion_ci(0.95, method="exact")
    return [round(float(interval.low), 4), round(float(interval.high), 4)]


def resampled(letters: Sequence[Found], group: str) -> list[float]:
    """95 % percentiles of the recall over 10,000 draws of families."""
    families: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for letter in letters:
        families[letter.family][0] += letter.found[group]
        families[letter.family][1] += letter.spans[group]
    counts = np.array(list(families.values()))
    drawn = np.random.default_rng(15).integers(len(counts), size=(10_000, len(counts)))
    found, of = counts[drawn].sum(axis=1).T
    low, high = np.percentile(found[of > 0] / of[of > 0], [2.5, 97.5])
    return [round(float(low), 4), round(float(high), 4)]


def measure(letters: Iterable[Letter], language: str) -> dict[str, Any]:
    """Recall per group, letters that are wholly clean, findings that are none."""
    looked = [look(letter, language) for letter in letters]
    recall: dict[str, Any] = {}
    for group in [*GROUPS, *sorted({g for one in looked for g in one.spans} - set(GROUPS))]:
        found, of = sum(one.found[group] for one in looked), sum(one.spans[group] for one in looked)
        if not of:
            continue
        intervals = {"spans": exact(found, of), "letters": resampled(looked, group)}
        recall[group] = {
            "found": found,
            "of": of,
            "recall": round(found / of, 4),
            "lower": min(low for low, _ in intervals.values()),
            "intervals": intervals,
        }
    clean = {
        "names, dates, contacts, ids": sum(
            all(one.found[g] == one.spans[g] for g in GROUPS) for one in looked
        ),
        "every label": sum(one.found == +one.spans or one.spans == one.found for one in looked),
    }
    words, findings = sum(one.words for one in looked), sum(one.findings for one in looked)
    return {
        "letters": len(looked),
        "words": words,
        "recall": recall,
        "wholly clean": {
            what: {
                "letters": n,
                "share": round(n / len(looked), 4),
                "interval": exact(n, len(looked)),
            }
            for what, n in clean.items()
        },
        "kept out at the default risk": sum(one.dropped for one in looked),
        "findings": findings,
        "precision": round(1 - sum(one.false for one in looked) / findings, 4),
        "false per 1,000 words": round(1000 * sum(one.false for one in looked) / words, 2),
    }


def elsewhere(texts: Sequence[str], language: str) -> dict[str, Any]:
    """What is found in texts about nobody's treatment; news name people and days, rightly found."""
    counts, over, words = Counter[str](), 0, 0
    for text in texts:
        findings = scan(text, language, BY)
        counts.update(span.entity_type for span in findings if span.score)
        over += risk(text, findings) > PhiConfig().max_risk
        words += len(text.split())
    per_thousand = {name: round(1000 * n / words, 2) for name, n in sorted(counts.items())}
    return {"texts": len(texts), "words": words, "kept out": over, "per 1,000 words": per_thousand}


def of_the_rules() -> str:
    """SHA-256 (hex) of the code that finds."""
    whole = hashlib.sha256()
    for path in sorted(RULES.rglob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def invented(language: str) -> list[Letter]:
    """Our own letters in one language."""
    return [grascco.read_marked(path) for path in sorted(INVENTED.glob(f"{language}_*.txt"))]


def held(recorded: list[dict[str, Any]]) -> dict[str, Any]:
    """One more look at the held half.

    Raises:
        SystemExit: there were enough.
    """
    if len(recorded) >= MAX_LOOKS:
        raise SystemExit(f"the held half was looked at {MAX_LOOKS} times: no more")
    return {
        "look": len(recorded) + 1,
        "rules_sha256": of_the_rules(),
        **measure(grascco.read("held", DATA / "grascco/letters.jsonl"), "de"),
    }


def texts(path: Path, section: str | None = None) -> list[str]:
    records = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [r["text"] for r in records if section is None or r["label"] == section]


def report(name: str, result: dict[str, Any]) -> None:
    say(name)
    rows = [["group", "found", "recall", "lower bound", "goal"]]
    for group, one in result["recall"].items():
        met = "" if group not in GROUPS else "met" if one["recall"] >= GOAL else "missed"
        rows.append(
            [
                group,
                f"{one['found']} of {one['of']}",
                f"{one['recall']:.3f}",
                f"{one['lower']:.3f}",
                met,
            ]
        )
    say(table(rows))
    for what, one in result["wholly clean"].items():
        low, high = one["interval"]
        say(
            f"wholly clean ({what}): {one['letters']} of {result['letters']} "
            f"({low:.2f} to {high:.2f})"
        )
    say(f"false findings per 1,000 words: {result['false per 1,000 words']}")


def draw(result: dict[str, Any], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = [*result["recall"].items()]
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for row, (group, one) in enumerate(reversed(shown)):
        high = max(top for _, top in one["intervals"].values())
        colour = "#0072b2" if group in GROUPS else "#999999"
        axes.plot([one["lower"], high], [row, row], color=colour, linewidth=2)
        axes.plot(one["recall"], row, "o", color=colour)
    axes.set_yticks(range(len(shown)), [f"{g} ({o['of']})" for g, o in reversed(shown)])
    axes.axvline(GOAL, color="#d55e00", linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1.02), xlabel="recall on the held half, 95 % interval (lower of two methods)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(half: str) -> None:
    letters = DATA / "grascco/letters.jsonl"
    if half == "development":
        report("development half", measure(grascco.read("development", letters), "de"))
        return
    recorded = json.loads(RESULTS.read_text())["held"] if RESULTS.exists() else []
    recorded.append(held(recorded))
    result = {
        "goal": {"groups": list(GROUPS), "recall": GOAL},
        "split": {
            half: [x.name for x in grascco.read(half, letters)] for half in ("development", "held")
        },
        "held": recorded,
        "development": measure(grascco.read("development", letters), "de"),
        "French, invented, no claim": measure(invented("fr"), "fr"),
        "German, invented, no claim": measure(invented("de"), "de"),
        "German news": elsewhere(texts(DATA / "gnad/articles.jsonl")[::4], "de"),
        "German news, science": elsewhere(
            texts(DATA / "gnad/articles.jsonl", "Wissenschaft"), "de"
        ),
        "French abstracts": elsewhere(texts(DATA / "morfitt/abstracts.jsonl")[::8], "fr"),
        "demo, our own": elsewhere(
            [p.read_text("utf-8") for p in sorted((ROOT / "demo").rglob("*.txt"))], "de"
        ),
    }
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    report(f"held half, look {len(recorded)} of {MAX_LOOKS}", recorded[-1])
    draw(recorded[-1], RESULTS.with_suffix(".png"))


if __name__ == "__main__":
    if sys.argv[1:] not in (["development"], ["held"]):
        raise SystemExit(__doc__)
    main(sys.argv[1])

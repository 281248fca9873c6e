"""Why a record is not in the corpus, in words: the one list of reasons.

`bedside corpus why` and the passport speak from it, and the table in the service's README is made
of it by tests/corpus/test_reasons.py, which also looks for reasons in the code that are not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

KEEP_OUT = "it stays out, as it should"


class Reason(NamedTuple):
    """What a counted reason says of a record."""

    says: str
    """Follows "The record"."""
    remedy: str
    """What can be done, where the record should be in."""
    by: str = ""
    """What stands beside the decision, as words before it."""


def _quality(says: str) -> Reason:
    return Reason(
        says, "set `quality: house` for its source, which letters and lists pass, or none"
    )


REASONS: dict[str, Reason] = {
    "malformed": Reason(
        "is no JSON object or whole row, or its file is damaged", "export it again from its system"
    ),
    "cut_off": Reason(
        "is the rest of a file of many documents that is cut off or damaged, and of which the "
        "source keeps what can be read (`damaged_files`)",
        "copy the file again",
    ),
    "not_utf8": Reason(
        "is in no encoding that can be told, or spells half a character",
        "declare `encoding` of its source",
    ),
    "too_large": Reason(
        "is over 32 MiB, or unpacks to more than a parser may hold", "divide it into documents"
    ),
    "trailing_bytes": Reason(
        "is what follows a gzip stream and is none", "copy the file again if something is missing"
    ),
    "too_slow": Reason("took its parser over a minute", "export it in a simpler format"),
    "crashed": Reason("ended the process that parsed it", "export it in another format"),
    "no_text_layer": Reason(
        "is a scan or an image without letters", "recognise its text (OCR) and add the result"
    ),
    "unmapped_glyphs": Reason(
        "is a PDF that does not tell which letters its glyphs are", "recognise its text (OCR)"
    ),
    "encrypted": Reason("needs a password", "save it without one"),
    "entities": Reason("is XML with entities of its own, which are not read", "export it without"),
    "not_cda": Reason(
        "is XML, but no CDA document", "read it as `xml`, with `record` and `fields.text`"
    ),
    "no_text": Reason(
        "has no text, or one that is not a string", "name the field in `fields.text`"
    ),
    "bad_field": Reason("has a licence that is not a string", "correct the field at its source"),
    "empty": Reason("has nothing left after cleaning", KEEP_OUT),
    "no_licence": Reason(
        "has no licence of its own, and its source declares none",
        "declare `licence` of its source, if the house knows it",
    ),
    "licence_forbids": Reason(
        "has a licence of its own that does not permit the corpus's purpose",
        "build another corpus for the purpose that it permits",
    ),
    "withdrawn": Reason("was withdrawn, or is of a patient who was", KEEP_OUT),
    "withdrawn_near": Reason("has half of the phrases of a document that was withdrawn", KEEP_OUT),
    "heldout": Reason(
        "is a held-out text or an exam's item, which training must never see",
        KEEP_OUT,
        "held-out text",
    ),
    "heldout_near": Reason(
        "holds at least 80 % of the words of a held-out text, in runs of 8",
        KEEP_OUT,
        "held-out text",
    ),
    "heldout_ngram": Reason(
        "holds at least 50 % of the words of a held-out text, or consists of them by half, in runs "
        "of 8",
        KEEP_OUT,
        "held-out text",
    ),
    "heldout_patient": Reason("is another text of a patient of a held-out set", KEEP_OUT),
    "heldout_document": Reason(
        "is another part of a source document of which a held-out set has one", KEEP_OUT
    ),
    "heldout_spread": Reason(
        "would make half of a held-out text of what earlier documents hold of it",
        "leave the text out of `heldout` or `exams` if it is a template's",
        "held-out text",
    ),
    "duplicate_text": Reason(
        "equals an earlier text, by the order of sources, files and lines", KEEP_OUT, "copy of"
    ),
    "duplicate_near": Reason(
        "is nearly the same as an earlier text that stays, with the same values",
        "raise `near_duplicates.jaccard`, or set `near_duplicates: null`",
        "near-copy of",
    ),
    "not_medical": Reason(
        "has too few medical words, or too low a score of a classifier",
        "lower `medical_filter.min_density` or the threshold in `classifiers`, or leave them out",
        "share of medical words, or the score",
    ),
    "not_selected": Reason(
        "misses a condition of `select`", "widen the condition, or leave it out", "column"
    ),
    "not_sampled": Reason("is not in the random subset", "draw more words"),
    "not_labelled": Reason(
        "is not named in the file of labels that `annotate.labelled` has",
        "name it there, if it belongs to the labelled set",
    ),
    "phi": Reason(
        "says too much about a person",
        "let a person decide (`phi.on_hit: quarantine`), or pseudonymise",
        "risk, and what was found",
    ),
    "phi_unjudged": Reason(
        "broke one of the recognisers of personal data, so nobody judged it",
        "correct the recogniser; the log has the kind of its error",
    ),
    "other_language": Reason(
        "is in another language than the one declared for it",
        "correct `language` of its source, or raise `language_threshold`",
        "language and its probability",
    ),
    "quality_length": _quality("has too few or too many words"),
    "quality_word_length": _quality("has words that are too short or too long on average"),
    "quality_letters": _quality("has too few words with a letter"),
    "quality_signs": _quality("is signs, `#` or `...` for a large part"),
    "quality_bullets": _quality("has hardly a line that is not a bullet"),
    "quality_ellipses": _quality("breaks off at too many line ends"),
    "quality_list": _quality("has short lines only, like a menu"),
    "quality_sentences": _quality("has too few lines that end as a sentence does"),
    "quality_stop_words": _quality("has fewer than two of its language's most frequent words"),
    "quality_repeated_lines": _quality("says the same lines over and over"),
    "quality_repeated_phrases": _quality("says the same phrases over and over"),
}
"""By the reason's name in statistics and decisions; in the order of the steps."""

UNKNOWN = Reason("is out for a reason that this version does not know", "read the step's own page")


def reason(name: str) -> Reason:
    """What is known of a reason."""
    return REASONS.get(name, UNKNOWN)


def table() -> Iterator[str]:
    """The lines of the README's table, in Markdown."""
    yield "| reason | the record | what can be done |"
    yield "|---|---|---|"
    for name, found in REASONS.items():
        yield f"| `{name}` | {found.says} | {found.remedy} |"

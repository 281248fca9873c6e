"""The verbs of `bedside corpus`.

Tested in tests/corpus/test_run.py.
"""

from bedside_core.commands import Command
from bedside_corpus.absence import absence
from bedside_corpus.check import check
from bedside_corpus.classifier.verb import train_classifier
from bedside_corpus.config import CorpusConfig
from bedside_corpus.labelling.people import ReviewOptions, agreement, review
from bedside_corpus.labelling.verb import annotate
from bedside_corpus.passport.verb import Copy, copy_passport
from bedside_corpus.phi.screening import ScreenOptions, screen_exam
from bedside_corpus.run import build, work
from bedside_corpus.splitting.verb import split
from bedside_corpus.why import WhyOptions, why

COMMANDS: tuple[Command, ...] = (
    Command(
        "build",
        "documents to a licensed, cleaned, filtered corpus",
        build,
        CorpusConfig,
        check=check,
    ),
    Command(
        "annotate",
        "a labelled set: draw documents, let a model or people label them, split them",
        annotate,
        CorpusConfig,
        examples=(
            "--config configs/finemed-de.yaml",
            "--config run.yaml --set corpus.annotate.documents=500",
        ),
    ),
    Command(
        "split",
        "draw held-out sets from the sources, whole patients at a time; seal them",
        split,
        CorpusConfig,
        examples=(
            "--config configs/house-documents.yaml",
            "--config run.yaml --set corpus.split.draw=2",
        ),
    ),
    Command(
        "train-classifier",
        "labels to a classifier, with a certificate of its threshold",
        train_classifier,
        CorpusConfig,
        examples=(
            "--config configs/finemed-de.yaml",
            "--config run.yaml --set corpus.train_classifier.prevalence=0.02",
        ),
    ),
    Command(
        "absence",
        "prove that a corpus holds nothing that was withdrawn, by its texts",
        absence,
        words=("corpus",),
        examples=("demo/corpus",),
    ),
    Command(
        "passport",
        "a copy of a corpus's passport; with texts, for who may see them",
        copy_passport,
        words=("corpus?",),
        arguments=Copy,
        examples=("demo --out passport", "demo --with-examples --out private"),
    ),
    Command(
        "why",
        "what was decided on one document, step by step, and why",
        why,
        words=("document", "corpus?"),
        arguments=WhyOptions,
        examples=("letters/2024.jsonl:17 demo", "letters/2024.jsonl#4711 --config FILE"),
    ),
    Command(
        "screen-exam",
        "whether items of an exam say something about a person, by line",
        screen_exam,
        words=("file...",),
        arguments=ScreenOptions,
        examples=("data/exams/*.jsonl",),
    ),
    Command(
        "review",
        "look at documents of a review file one by one, and say what they are",
        review,
        words=("file",),
        arguments=ReviewOptions,
        examples=("review-anna.csv --by anna",),
    ),
    Command(
        "agreement",
        "how often people agree with each other, and the labels with them",
        agreement,
        words=("file...",),
        examples=("review-anna.csv review-ben.csv review-cem.csv",),
    ),
    Command(
        "work",
        "one task of a build; `build` has Slurm start it (corpus.executor)",
        work,
        words=("room", "stage", "task"),
    ),
)

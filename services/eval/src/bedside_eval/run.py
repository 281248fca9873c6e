"""`bedside eval run`: the models sit one paper, once; `bedside eval report`: print it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.config import Config, load_document, load_section
from bedside_core.console import say
from bedside_core.errors import ArtifactError
from bedside_core.files import write_atomic
from bedside_core.heldout import measured_files
from bedside_core.kinds.evidence import EVIDENCE, evidence_seal, read_evidence
from bedside_core.kinds.serving import ENGINE_VERSION, Serving
from bedside_core.matching import VERSION
from bedside_core.registry.ledger import Planned
from bedside_core.registry.registry import Registry
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.evidence import SCHEMA_VERSION, Evidence, load_evidence
from bedside_eval.exam import Paper
from bedside_eval.groups import groups_of
from bedside_eval.lineup import lineup, shortlisted
from bedside_eval.plan import read_papers
from bedside_eval.planned import plan_of
from bedside_eval.report import markdown, show
from bedside_eval.reporting.contents import DATA, RESULTS, names
from bedside_eval.reporting.numerals import LANGUAGES, Language
from bedside_eval.reporting.text import plain
from bedside_eval.reporting.view import view_of
from bedside_models.device import ASKED, choose_device, device_kind
from bedside_models.settle import settle

Name = TypeVar("Name", bound=str)
PLOT = "evidence.png"
REPORT = "report.md"
LIBRARIES = (
    *("evalica", "lingua-language-detector", "lm_eval", "numpy", "rouge-score", "scipy"),
    *("tokenizers", "torch", "transformers"),
)


def evaluate(path: Path, overrides: list[str], registry: Registry) -> None:
    """Choose, look, compare in pairs, judge, sign: as this run's plan says.

    An interrupted run goes on with the first model that it had not finished, in the same look.

    Raises:
        ConfigError: BEDSIDE_DEVICE asks for a GPU, and there is none.
        PolicyError: there is no plan, it allows no other look, something was withdrawn, or a
            condition rests on a judge that failed its own exam.
        InputError: a held-out set, an exam or a model is unusable or not as planned, an earlier
            step has not run, or there is too little memory.
        ArtifactError: an input was tampered with, or the disk is full.
        EngineError: the engine that answers the exams ended.
    """
    document = load_document(path, overrides)
    config = load_section(EvalConfig, document, "eval")
    run = Run(document["name"], "eval", "run", registry, Serving.of(document))
    options = ["--config", str(path), *(w for o in overrides for w in ("--set", o))]
    name = str((document.get("inference") or {}).get("model_name", "bedside"))
    planned = plan_of(config, run)
    development, sealed = read_papers(config, planned.plan.sets)
    candidate = _candidate(config, run, planned, development)
    models = lineup(run.registry, candidate, planned.plan.reference)
    recipe = _recipe(config, run, planned, models)
    if _reused(run, recipe):
        report(config, run, ReportOptions())
        return
    # Before a look is spent: a GPU that the environment asks for is there.
    settle()
    choose_device("auto", name=ASKED)
    # numpy, scipy and torch: not for a step that is reused.
    from bedside_eval.answering.examined import Engine
    from bedside_eval.examination import examine_sealed
    from bedside_eval.judging.judged import seated

    engine = Engine(options, name)
    digests = {role: model.digest for role, model in models.items()}
    with seated(config, run, recipe, sealed.exams, digests, planned.plan.policy) as bench:
        evidence = examine_sealed(config, run, planned, models, recipe, sealed, engine, bench)
    evidence = _signed_off(config, run, planned, evidence)
    _publish(run, recipe, evidence)
    show(evidence)


class ReportOptions(Config):
    """The options of `bedside eval report`."""

    language: Language | None = None
    """de, fr or en: the report as text; with --out, this language alone."""
    out: Path | None = None
    """Folder for the report's files, as they were signed: HTML, PDF, JSON and CSV."""


def report(config: EvalConfig, run: Run, options: ReportOptions) -> None:
    """Check the signature of the newest evidence of this run, then print it or copy its report.

    Raises:
        InputError: this run has no evidence yet.
        ArtifactError: the evidence was changed or is not signed by this house, or is of an
            earlier version and has no such report.
    """
    artifact = run.input("evidence")
    read_evidence(artifact, run.registry.keyring())
    if options.out is not None:
        _export(artifact, options.out, options.language)
        return
    evidence = load_evidence(artifact)
    if options.language is None:
        show(evidence)
    else:
        say(plain(view_of(evidence, options.language)))


def _export(artifact: Artifact, folder: Path, language: Language | None) -> None:
    """Copy the files that were signed, byte by byte."""
    pages = [name for each in LANGUAGES if language in (None, each) for name in names(each)]
    for name in (*pages, DATA, RESULTS):
        content = artifact.file(name).read_bytes()
        write_atomic(folder / name, content)
        say(f"{folder / name}")


def _candidate(config: EvalConfig, run: Run, planned: Planned, development: Paper) -> Artifact:
    """The only candidate, or the one that the planned rule chooses on the development parts."""
    candidates = shortlisted(run, config.shortlist)
    if len(candidates) == 1:
        return next(iter(candidates.values()))
    from bedside_eval.choice import asked, best
    from bedside_eval.measurement import measure, refuse_unusable

    policy, rule, groups = planned.plan.policy, config.selection, groups_of(config)
    if rule == "last":
        return list(candidates.values())[-1]
    paper = asked(policy, development, rule, groups)
    recipe = _recipe(config, run, planned, candidates)
    measurement = measure(config, run, recipe, candidates, paper)
    refuse_unusable(measurement.results)
    return candidates[best(policy, paper, measurement.results, rule, groups)]


def _recipe(
    config: EvalConfig, run: Run, planned: Planned, models: Mapping[Name, Artifact]
) -> Recipe:
    recipe = run.recipe(
        config,
        parents={str(name): model for name, model in models.items()},
        inputs=_input_files(config),
        formats={"evidence": SCHEMA_VERSION, "matching": VERSION},
        libraries=LIBRARIES,
        device=device_kind(),
    )
    inputs = {**recipe.inputs, "plan": planned.hash, "engine": ENGINE_VERSION}
    return recipe.model_copy(update={"inputs": inputs})


def _input_files(config: EvalConfig) -> dict[str, Path]:
    texts = {
        f"heldout/{name}/{file}": path
        for name, folder in config.heldout.items()
        for file, path in measured_files(folder).items()
    }
    exams = {f"exam/{name}": path for name, path in config.exams.items()}
    pairs = config.clinician_pairs
    labelled = {} if pairs is None else {"clinician_pairs": pairs}
    return {"policy": config.policy, **texts, **exams, **labelled}


def _reused(run: Run, recipe: Recipe) -> bool:
    """Whether this run has this evidence already, signed by this house."""
    found = run.reuse("evidence", recipe)
    if found is None:
        return False
    try:
        read_evidence(found, run.registry.keyring())
    except ArtifactError as error:
        say(f"{error}")
        return False
    return True


def _signed_off(config: EvalConfig, run: Run, planned: Planned, evidence: Evidence) -> Evidence:
    """With whose report it is, and the days of plan and look."""
    looks = run.registry.ledger().looks
    looked = None if evidence.look is None else looks[evidence.look].time.date().isoformat()
    planned_on = planned.time.date().isoformat()
    return evidence.model_copy(
        update={"house": config.house, "planned_on": planned_on, "looked_on": looked}
    )


def _publish(run: Run, recipe: Recipe, evidence: Evidence) -> None:
    from bedside_eval.plot import forest_plot
    from bedside_eval.reporting.files import badges, report_files

    with run.write("evidence", recipe) as artifact:
        artifact.seal = evidence_seal(run.registry.evidence_keys)
        (artifact.path / EVIDENCE).write_bytes(evidence.to_json())
        (artifact.path / REPORT).write_text(markdown(evidence), encoding="utf-8")
        if evidence.differences:
            forest_plot(evidence, artifact.path / PLOT)
        for name, content in report_files(evidence).items():
            (artifact.path / name).write_bytes(content)
        artifact.facts |= {
            "candidate": evidence.candidate,
            "base": evidence.base,
            "verdict": evidence.verdict,
            "scope": evidence.scope,
            "policy": evidence.policy.name,
            "badge": badges(evidence),
            "bits_per_byte": {
                role: {name: value.estimate for name, value in model.bits_per_byte.items()}
                for role, model in evidence.models.items()
            },
        }

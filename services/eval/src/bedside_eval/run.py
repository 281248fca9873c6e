"""`bedside eval run`: three models sit one exam; `bedside eval report`: print the outcome again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.console import say
from bedside_core.files import write_atomic
from bedside_core.heldout import heldout_files
from bedside_core.kinds.evidence import EVIDENCE, SIGNATURE, read_evidence, sign_evidence
from bedside_core.kinds.exam import PROMPT
from bedside_core.matching import VERSION
from bedside_core.progress import Progress
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.evidence import SCHEMA_VERSION, Evidence, Setting, load_evidence
from bedside_eval.exam import Paper, read_paper
from bedside_eval.lineup import shared_tokenizer
from bedside_eval.policy import Policy, read_policy
from bedside_eval.records import LABELS, ROLES, ModelScores, Role
from bedside_eval.report import markdown, show
from bedside_models.scores import Estimand
from bedside_models.settle import settle

PLOT = "evidence.png"
REPORT = "report.md"


class _Examined(NamedTuple):
    """What the three models did, and what was asked of them."""

    estimand: Estimand
    task: dict[str, Any]
    results: dict[Role, ModelScores]


def evaluate(config: EvalConfig, run: Run) -> None:
    """Examine base, checkpoint and merged model, compare them in pairs, judge, sign.

    An interrupted run goes on with the first model that it had not finished.

    Raises:
        ConfigError: the policy names a set that the config does not have.
        InputError: a held-out set, an exam or a model is unusable, an earlier step has not run, or
            there is too little memory.
        ArtifactError: an input was tampered with, or the disk is full.
    """
    policy = read_policy(config)
    paper = read_paper(config.heldout, config.exams)
    models: dict[Role, Artifact] = {role: run.input(role) for role in ROLES}
    parents = {str(role): model for role, model in models.items()}
    recipe = run.recipe(
        config,
        parents=parents,
        inputs=_input_files(config),
        formats={"evidence": SCHEMA_VERSION, "matching": VERSION},
    )
    if run.reuse("evidence", recipe):
        report(config, run)
        return
    # pyarrow: like the examination itself, not for a step that is reused.
    from bedside_eval.contamination import contamination

    tokenizer_sha256 = shared_tokenizer(models)
    in_corpus = contamination(run.registry, models["checkpoint"], paper)
    with run.registry.work(recipe.sha256) as work:
        examined = _examine(config, models, paper, work)
        setting = Setting(
            inputs=recipe.inputs,
            contamination=in_corpus,
            tokenizer_sha256=tokenizer_sha256,
            estimand=examined.estimand,
            task=examined.task,
        )
        evidence = _publish(config, policy, run, recipe, examined.results, setting)
    show(evidence)


def report(config: EvalConfig, run: Run) -> None:
    """Check the signature of the newest evidence of this run, then print it.

    Raises:
        InputError: this run has no evidence yet.
        ArtifactError: the evidence was changed or is not signed by this house.
    """
    artifact = run.input("evidence")
    read_evidence(artifact, run.registry.evidence_keys)
    show(load_evidence(artifact))


def _input_files(config: EvalConfig) -> dict[str, Path]:
    texts = {
        f"heldout/{name}/{file}": path
        for name, folder in config.heldout.items()
        for file, path in heldout_files(folder).items()
    }
    exams = {f"exam/{name}": path for name, path in config.exams.items()}
    return {"policy": config.policy, **texts, **exams}


def _examine(
    config: EvalConfig, models: Mapping[Role, Artifact], paper: Paper, work: Path
) -> _Examined:
    results = _finished(work)
    if results:
        say(f"resumed: {', '.join(LABELS[role] for role in results)} done before")
    with tempfile.TemporaryDirectory(prefix="bedside-eval-") as cache:
        # Before the first import of a library that would keep a cache elsewhere.
        os.environ["HF_HOME"] = cache
        settle()
        from bedside_eval.harness import check_lengths, examine, longest_sequence, task_description
        from bedside_models import footprint
        from bedside_models.likelihood import first_token
        from bedside_models.load import check_context, check_weights, load_tokenizer

        # All before the first: an examination takes hours.
        for model in models.values():
            check_context(model.path, eval__max_length=config.max_length)
            check_weights(model.path)
        tokenizer = load_tokenizer(models["base"].path)
        check_lengths(paper, tokenizer, config.max_length)
        longest = longest_sequence(paper, tokenizer)
        demand = footprint.Demand(
            "examining",
            footprint.read_shape(models["base"].path).scoring,
            batch=("eval.batch_size", min(config.batch_size, paper.num_requests)),
            length=("eval.max_length", min(config.max_length, longest)),
        )
        total, done = (len(group) * paper.num_requests for group in (models, results))
        with (
            demand.granted(),
            Progress("examine", total=total, unit="sequence", done=done) as progress,
        ):
            for role in [role for role in models if role not in results]:
                results[role] = examine(
                    models[role].path,
                    paper,
                    tokenizer,
                    max_length=config.max_length,
                    batch_size=config.batch_size,
                    progress=progress,
                )
                write_atomic(work / f"{role}.json", results[role].model_dump_json().encode())
        task = {"prompt": PROMPT, **config.model_dump(include={"batch_size", "max_length"})}
        estimand = Estimand(prefix_token=first_token(tokenizer)[0], max_length=config.max_length)
        ordered = {role: results[role] for role in models}
        return _Examined(estimand, task | task_description(), ordered)


def _finished(work: Path) -> dict[Role, ModelScores]:
    """The models that an interrupted run of the same recipe has examined."""
    found: dict[Role, ModelScores] = {}
    for role in ROLES:
        with suppress(OSError, ValidationError):
            found[role] = ModelScores.model_validate_json((work / f"{role}.json").read_bytes())
    return found


def _publish(
    config: EvalConfig,
    policy: Policy,
    run: Run,
    recipe: Recipe,
    results: dict[Role, ModelScores],
    setting: Setting,
) -> Evidence:
    # numpy, scipy and matplotlib: like the examination itself, not for a step that is reused.
    from bedside_eval.conclude import conclude
    from bedside_eval.plot import forest_plot
    from bedside_eval.statistics import Bootstrap

    bootstrap = Bootstrap(
        confidence=policy.confidence, samples=config.bootstrap_samples, seed=config.seed
    )
    evidence = conclude(policy, bootstrap, recipe.parents, results, setting)
    with run.write("evidence", recipe) as artifact:
        content = evidence.to_json()
        (artifact.path / EVIDENCE).write_bytes(content)
        (artifact.path / SIGNATURE).write_bytes(sign_evidence(content, run.registry.evidence_keys))
        (artifact.path / REPORT).write_text(markdown(evidence), encoding="utf-8")
        forest_plot(evidence, artifact.path / PLOT)
        artifact.facts |= {
            "candidate": evidence.candidate,
            "base": evidence.base,
            "verdict": evidence.verdict,
            "perplexity": {
                role: {name: value.estimate for name, value in model.perplexity.items()}
                for role, model in evidence.models.items()
            },
        }
    return evidence

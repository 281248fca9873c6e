"""`bedside eval run`: three models sit one exam; `bedside eval report`: print the outcome again."""

from __future__ import annotations

from pathlib import Path

from bedside_core.artifacts import Artifact, Recipe
from bedside_core.console import say
from bedside_core.heldout import heldout_files
from bedside_core.kinds.evidence import EVIDENCE, evidence_seal, read_evidence
from bedside_core.matching import VERSION
from bedside_core.run import Run
from bedside_eval.config import EvalConfig
from bedside_eval.evidence import SCHEMA_VERSION, Evidence, Setting, load_evidence
from bedside_eval.exam import read_paper
from bedside_eval.lineup import shared_tokenizer
from bedside_eval.measurement import EARLIER, Earlier, measure, measured_before
from bedside_eval.policy import Policy, read_policy
from bedside_eval.records import ROLES, ModelScores, Role
from bedside_eval.report import markdown, show
from bedside_models.device import device_kind

PLOT = "evidence.png"
REPORT = "report.md"
LIBRARIES = ("lm_eval", "numpy", "scipy", "tokenizers", "torch", "transformers")


def evaluate(config: EvalConfig, run: Run) -> None:
    """Examine base, checkpoint and merged model, compare them in pairs, judge, sign.

    An interrupted run goes on with the first model that it had not finished. Where this run has
    the answers already and only the policy (or the bootstrap) is another, they are judged anew.

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
        libraries=LIBRARIES,
        device=device_kind(),
    )
    if run.reuse("evidence", recipe):
        report(config, run)
        return
    earlier = measured_before(config, run, recipe)
    if earlier is not None:
        _judge_anew(config, policy, run, recipe, earlier)
        return
    # pyarrow: like the examination itself, not for a step that is reused.
    from bedside_eval.contamination import contamination

    tokenizer_sha256 = shared_tokenizer(models)
    in_corpus = contamination(run.registry, models["checkpoint"], paper)
    with run.registry.work(recipe.sha256) as work:
        measured = measure(config, models, paper, work)
        setting = Setting(
            inputs=recipe.inputs,
            contamination=in_corpus,
            tokenizer_sha256=tokenizer_sha256,
            estimand=measured.estimand,
            task=measured.task,
        )
        evidence = _publish(config, policy, run, recipe, measured.results, setting)
    show(evidence)


def _judge_anew(
    config: EvalConfig, policy: Policy, run: Run, recipe: Recipe, earlier: Earlier
) -> None:
    known = earlier.evidence
    recipe = recipe.model_copy(
        update={"parents": {**recipe.parents, EARLIER: earlier.artifact.digest}}
    )
    if run.reuse("evidence", recipe):
        report(config, run)
        return
    say(
        f"judged anew: the models' answers are those of evidence {earlier.artifact.digest[:12]}, "
        "nobody sits the exams again"
    )
    setting = known.setting.model_copy(update={"inputs": recipe.inputs})
    show(_publish(config, policy, run, recipe, known.results, setting, exploratory=True))


def report(config: EvalConfig, run: Run) -> None:
    """Check the signature of the newest evidence of this run, then print it.

    Raises:
        InputError: this run has no evidence yet.
        ArtifactError: the evidence was changed or is not signed by this house.
    """
    artifact = run.input("evidence")
    read_evidence(artifact, run.registry.keyring())
    show(load_evidence(artifact))


def _input_files(config: EvalConfig) -> dict[str, Path]:
    texts = {
        f"heldout/{name}/{file}": path
        for name, folder in config.heldout.items()
        for file, path in heldout_files(folder).items()
    }
    exams = {f"exam/{name}": path for name, path in config.exams.items()}
    return {"policy": config.policy, **texts, **exams}


def _publish(
    config: EvalConfig,
    policy: Policy,
    run: Run,
    recipe: Recipe,
    results: dict[Role, ModelScores],
    setting: Setting,
    *,
    exploratory: bool = False,
) -> Evidence:
    # numpy, scipy and matplotlib: like the examination itself, not for a step that is reused.
    from bedside_eval.conclude import conclude
    from bedside_eval.plot import forest_plot
    from bedside_eval.statistics.bootstrap import Bootstrap

    bootstrap = Bootstrap(
        confidence=policy.confidence, samples=config.bootstrap_samples, seed=config.seed
    )
    evidence = conclude(
        policy, bootstrap, recipe.parents, results, setting, exploratory=exploratory
    )
    with run.write("evidence", recipe) as artifact:
        artifact.seal = evidence_seal(run.registry.evidence_keys)
        (artifact.path / EVIDENCE).write_bytes(evidence.to_json())
        (artifact.path / REPORT).write_text(markdown(evidence), encoding="utf-8")
        forest_plot(evidence, artifact.path / PLOT)
        artifact.facts |= {
            "candidate": evidence.candidate,
            "base": evidence.base,
            "verdict": evidence.verdict,
            "exploratory": evidence.exploratory,
            "perplexity": {
                role: {name: value.estimate for name, value in model.perplexity.items()}
                for role, model in evidence.models.items()
            },
        }
    return evidence

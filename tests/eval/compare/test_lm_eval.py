import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_eval.compare.lm_eval import read, task_of
from bedside_eval.compare.log import Wanted

CANARY = "Herr Kanarienvogel"
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.just(CANARY)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.just(CANARY), SCALARS)


def files(folder):
    return sorted(folder.rglob("samples_*.jsonl"))


def only(folder, **wanted):
    (log,) = read(files(folder), Wanted(**wanted))
    return log


def test_a_log_as_lm_eval_writes_it(lm_eval_logs):
    log = only(lm_eval_logs.write("basis", [1.0, 0.0, 1.0]))
    assert (log.model, log.task, log.metric, log.notes) == ("basis", "visite", "acc", ())
    assert [answer.score for answer in log.answers] == [1, 0, 1]
    assert len({answer.item for answer in log.answers}) == 3
    assert CANARY not in repr(log)


def test_what_the_installed_lm_eval_writes(models, tmp_path):
    """The logger's own files: a change of its format is found here."""
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.huggingface import HFLM

    models.write(tmp_path / "model", steps=0)
    rows = [
        {"frage": f"Was gilt {n}?", "wahl": ["Fieber", "Husten"], "gold": n % 2, "cluster": n // 2}
        for n in range(6)
    ]
    task = ConfigurableTask(
        config={
            "task": "visite",
            "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{frage}}",
            "doc_to_choice": "{{wahl}}",
            "doc_to_target": "{{gold}}",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        }
    )
    model = HFLM(pretrained=str(tmp_path / "model"), device="cpu", max_length=64)
    results = evaluate(lm=model, task_dict={"visite": task}, bootstrap_iters=0, log_samples=True)
    tracker = EvaluationTracker(output_path=str(tmp_path / "out"))
    tracker.general_config_tracker.model_name = "tiny"
    tracker.general_config_tracker.model_name_sanitized = "tiny"
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    tracker.save_results_samples(task_name="visite", samples=samples["visite"])

    log = only(tmp_path / "out", metric="acc_norm", cluster="cluster")
    assert (log.model, log.task, log.metric, log.notes) == ("tiny", "visite", "acc_norm", ())
    assert [answer.cluster for answer in log.answers] == ["0", "0", "1", "1", "2", "2"]
    mean = sum(answer.score for answer in log.answers) / 6
    assert mean == pytest.approx(results["results"]["visite"]["acc_norm,none"])


def test_an_answer_without_a_score_stays(lm_eval_logs):
    log = only(lm_eval_logs.write("basis", [1.0, math.nan, None]))
    assert [answer.score for answer in log.answers] == [1, None, None]


def test_an_answer_that_no_filter_could_read_is_counted(lm_eval_logs):
    lines = [lm_eval_logs.line(0, 0.0, filtered_resps=["[invalid]"]), lm_eval_logs.line(1, 0.0)]
    log = only(lm_eval_logs.write_lines("basis", lines))
    assert [answer.unread for answer in log.answers] == [True, False]


def test_one_of_several_filters_must_be_named(lm_eval_logs):
    lines = [
        lm_eval_logs.line(n, float(name == "loose"), filter=name)
        for n in range(2)
        for name in ("strict", "loose")
    ]
    folder = lm_eval_logs.write_lines("basis", lines)
    with pytest.raises(InputError, match=r"several filters \(loose, strict\) - name one with --f"):
        only(folder)
    assert [answer.score for answer in only(folder, filter="loose").answers] == [1, 1]
    with pytest.raises(InputError, match="no filter 'exact' - it has loose, strict"):
        only(folder, filter="exact")


def test_a_filter_that_is_named_for_another_task_does_not_matter_here(lm_eval_logs):
    assert len(only(lm_eval_logs.write("basis", [1.0]), filter="strict").answers) == 1


def test_a_metric_without_a_number_per_item_is_refused(lm_eval_logs):
    changes = {"metrics": ["word_perplexity"], "word_perplexity": [-12.5, 7]}
    with pytest.raises(InputError, match="no metric has one number per item"):
        only(lm_eval_logs.write("basis", [1.0], **changes))


def test_a_metric_of_which_less_is_better_is_refused(lm_eval_logs):
    results = {"higher_is_better": {"visite": {"acc": False}}}
    with pytest.raises(InputError, match="less of acc is better"):
        only(lm_eval_logs.write("basis", [1.0], results=results))


def test_lost_lines_are_noticed(lm_eval_logs):
    results = {"n-samples": {"visite": {"original": 9, "effective": 9}}}
    with pytest.raises(InputError, match=r"2 item\(s\), and results_.*json counts 9 - copy"):
        only(lm_eval_logs.write("basis", [1.0, 0.0], results=results))


def test_a_limit_is_told(lm_eval_logs):
    results = {"n-samples": {"visite": {"original": 9, "effective": 2}}}
    log = only(lm_eval_logs.write("basis", [1.0, 0.0], results=results))
    assert log.notes == ("visite: 2 of its 9 items were asked (--limit)",)


def test_without_results_the_reader_is_warned(lm_eval_logs):
    folder = lm_eval_logs.write("basis", [1.0])
    next(folder.rglob("results_*")).unlink()
    log = only(folder)
    assert log.model == "run"
    assert "so lost items cannot be noticed" in log.notes[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"doc_hash": None}, "no text 'doc_hash'"),
        ({"target_hash": 7}, "no text 'target_hash'"),
        ({"prompt_hash": []}, "no text 'prompt_hash'"),
        ({"metrics": CANARY}, "no list of 'metrics'"),
        ({"acc": CANARY}, "a score that is no number"),
        ({"doc": {"cluster": math.nan}}, "field 'cluster' names no cluster"),
    ],
)
def test_damage_is_told_with_file_and_line(lm_eval_logs, changes, words):
    lines = [lm_eval_logs.line(0, 1.0), lm_eval_logs.line(1, 1.0, **changes)]
    with pytest.raises(InputError, match=words) as caught:
        only(lm_eval_logs.write_lines("basis", lines))
    assert ".jsonl: line 2: " in str(caught.value)
    assert CANARY not in str(caught.value)


def test_an_empty_log_and_a_renamed_one_are_refused(lm_eval_logs, tmp_path):
    folder = lm_eval_logs.write_lines("basis", [])
    with pytest.raises(InputError, match="is empty"):
        only(folder)
    with pytest.raises(InputError, match=r"is not named samples_TASK_TIME\.jsonl"):
        task_of(tmp_path / "visite.jsonl")


def test_a_task_may_have_underscores(tmp_path):
    assert task_of(tmp_path / "samples_a_b_2026-01-31T08-00-00.1.jsonl") == "a_b"
    assert task_of(tmp_path / "samples_a_b.jsonl") == "a_b"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["doc", "doc_hash", "target_hash", "prompt_hash", "filter", "metrics", "acc"]
            ),
            VALUES,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_damage_is_refused_or_read_and_never_quoted(lm_eval_logs, damage):
    lines = [lm_eval_logs.line(n, 1.0) | change for n, change in enumerate(damage)]
    folder = lm_eval_logs.write_lines("basis", lines)
    try:
        log = only(folder)
    except InputError as error:
        assert CANARY not in str(error) or "filter" in str(error)
    else:
        assert len(log.answers) == len(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.integers(0, 3))
def test_bytes_that_are_no_log_are_refused(tmp_path, data, before):
    path = tmp_path / "samples_visite_2026-01-31T08-00-00.1.jsonl"
    path.write_bytes(b"\n" * before + data)
    with pytest.raises(
        InputError, match=r"samples_visite.*: (line \d+: is no|is empty|line \d+: no)"
    ):
        read([path], Wanted())

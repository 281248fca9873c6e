import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_eval.compare.inspect_log import read
from bedside_eval.compare.log import Wanted

CANARY = "Herr Kanarienvogel"
SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.just(CANARY)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.just(CANARY), SCALARS)


def only(path, **wanted):
    (log,) = read([path], Wanted(**wanted))
    return log


def test_a_log_as_inspect_writes_it(inspect_logs):
    log = only(inspect_logs.write("basis", ["C", "I", "P", "N"]))
    assert (log.model, log.task, log.metric) == ("basis", "visite", "choice")
    assert [answer.score for answer in log.answers] == [1, 0, 0.5, 0]
    assert [answer.unread for answer in log.answers] == [False, False, False, True]
    assert CANARY not in repr(log)


def test_both_formats_hold_the_same_items_and_prompts(inspect_logs):
    samples = [inspect_logs.sample(n, "C") for n in range(3)]
    log = inspect_logs.log("basis", samples)
    single = only(inspect_logs.write_log("a.json", log))
    archive = only(inspect_logs.write_log("a.eval", log))
    assert single.answers == archive.answers


def test_messages_as_input_are_compared_without_their_random_ids(inspect_logs):
    paths = [
        inspect_logs.write_log(
            f"{name}.json",
            inspect_logs.log(
                name,
                [
                    inspect_logs.sample(
                        0, "C", input=[{"id": name, "role": "user", "content": CANARY}]
                    )
                ],
            ),
        )
        for name in "ab"
    ]
    assert only(paths[0]).answers == only(paths[1]).answers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1), (0.25, 0.25), ("yes", 1), ("No", 0), ("TRUE", 1), ("0.5", 0.5),
        (math.nan, None), (None, None), ("nan", None), (CANARY, None),
    ],
)  # fmt: skip
def test_values(inspect_logs, value, expected):
    assert only(inspect_logs.write("basis", [value])).answers[0].score == expected


def test_a_sample_that_failed_stays_in_the_denominator(inspect_logs):
    samples = [inspect_logs.sample(0, "C"), inspect_logs.sample(1, "C", scores={}, error={})]
    log = only(inspect_logs.write_log("a.json", inspect_logs.log("basis", samples, status="error")))
    assert [answer.score for answer in log.answers] == [1, None]


def test_an_unfinished_log_is_refused(inspect_logs):
    path = inspect_logs.write("basis", ["C"], eval={"dataset": {"sample_ids": ["q0", "q1", "q2"]}})
    with pytest.raises(InputError, match="1 of 3 samples were evaluated - finish the run with"):
        only(path)


def test_epochs_are_repeats(inspect_logs):
    samples = [inspect_logs.sample(0, value, epoch) for epoch, value in enumerate("CI", 1)]
    log = only(inspect_logs.write_log("a.eval", inspect_logs.log("basis", samples)))
    assert len({answer.item for answer in log.answers}) == 1
    assert [answer.score for answer in log.answers] == [1, 0]


def test_another_scorer_is_named(inspect_logs):
    scores = {"choice": {"value": "C"}, "match": {"value": "I"}}
    path = inspect_logs.write_log(
        "a.json", inspect_logs.log("basis", [inspect_logs.sample(0, "C", scores=scores)])
    )
    assert only(path).answers[0].score == 1
    assert only(path, metric="match").answers[0].score == 0
    with pytest.raises(InputError, match="no scorer 'f1' - it has choice, match"):
        only(path, metric="f1")


def test_the_cluster_stands_in_the_metadata(inspect_logs):
    samples = [inspect_logs.sample(n, "C", metadata={"patient": f"p{n}"}) for n in range(2)]
    path = inspect_logs.write_log("a.json", inspect_logs.log("basis", samples))
    assert [a.cluster for a in only(path, cluster="patient").answers] == ["p0", "p1"]
    assert [a.cluster for a in only(path).answers] == [None, None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": 1}, "is no log of Inspect in version 2"),
        ({"eval": {"task": None}}, "no text 'task'"),
        ({"eval": {"dataset": {}}}, "does not list its sample_ids"),
        ({"invalidated": True}, "marks the log as invalidated"),
        ({"samples": None}, "holds no list of samples"),
        ({"samples": []}, "0 of 1 samples were evaluated"),
    ],
)
def test_other_logs_are_refused(inspect_logs, changes, words):
    with pytest.raises(InputError, match=words):
        only(inspect_logs.write("basis", ["C"], **changes))


def test_an_archive_without_its_header_did_not_end(inspect_logs, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("_journal/start.json", "{}")
    with pytest.raises(InputError, match=r"has no header\.json, the run did not end"):
        only(tmp_path / "a.eval")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["id", "input", "target", "messages", "scores", "metadata"]), VALUES
    ),
    st.dictionaries(st.sampled_from(["task", "model", "dataset", "config", "scorers"]), VALUES),
    st.sampled_from(["a.json", "a.eval"]),
)
def test_any_damage_is_refused_or_read_and_never_quoted(inspect_logs, sample, head, name):
    whole = inspect_logs.log("basis", [inspect_logs.sample(0, "C")])
    whole["samples"][0] |= sample
    whole["eval"] |= head
    path = inspect_logs.write_log(name, json.loads(json.dumps(whole)) | {"note": CANARY})
    try:
        log = only(path)
    except InputError as error:
        assert CANARY not in str(error)
    else:
        assert len(log.answers) == 1

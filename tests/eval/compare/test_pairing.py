import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.errors import InputError
from bedside_eval.compare.log import Answer, Log, Wanted
from bedside_eval.compare.pairing import pair
from bedside_eval.compare.sources import Model, read_models


def model(label, answers, metric="acc"):
    log = Log(label, "visite", metric, f"{label}.jsonl", tuple(answers))
    return Model(label, label, log.path, {"visite": log})


def answer(item, score, *, prompt="p", cluster=None):
    return Answer(str(item), prompt, score, False, cluster)


@given(st.permutations(list(range(6))), st.permutations(list(range(6))))
def test_pairs_follow_the_item_and_not_its_place(first, second):
    (found,) = pair(
        [
            model("A", [answer(n, n) for n in first]),
            model("B", [answer(n, 10 + n) for n in second]),
        ]
    )
    assert np.array_equal(found.scores[1] - found.scores[0], np.full(6, 10))


def test_what_nobody_measured_counts_as_wrong_and_is_counted(lm_eval_logs):
    paths = [
        lm_eval_logs.write("basis", [1.0, 1.0, 0.0]),
        lm_eval_logs.write("neu", [1.0, math.nan, None]),
    ]
    (found,) = pair(read_models(paths, Wanted(), ()))
    assert found.unmeasured == (0, 2)
    assert found.scores.sum(axis=1).tolist() == [2, 1]


def test_other_items_are_refused_with_counts():
    models = [
        model("A", [answer(n, 1) for n in range(5)]),
        model("B", [answer(4, 1), answer(9, 1)]),
    ]
    with pytest.raises(
        InputError, match=r"1 answer.s. belong to the same items, 4 are only in A, 1"
    ):
        pair(models)


def test_other_numbers_of_repeats_are_refused():
    models = [model("A", [answer(0, 1)] * 2), model("B", [answer(0, 1)])]
    with pytest.raises(InputError, match="A has 2 answers and B 1 - evaluate both with as many"):
        pair(models)


def test_repeats_are_averaged_and_counted():
    (found,) = pair([model("A", [answer(0, 1), answer(0, 0)]), model("B", [answer(0, 1)] * 2)])
    assert found.repeats == 1
    assert found.scores.tolist() == [[0.5], [1]]
    assert not found.is_binary


def test_other_metrics_are_refused():
    models = [model("A", [answer(0, 1)]), model("B", [answer(0, 1)], metric="f1")]
    with pytest.raises(InputError, match="A is scored by acc, B by f1"):
        pair(models)


def test_other_words_are_counted():
    (found,) = pair(
        [
            model("A", [answer(0, 1), answer(1, 1)]),
            model("B", [answer(0, 1, prompt="other"), answer(1, 1)]),
        ]
    )
    assert found.other_prompts == 1


def test_an_item_without_a_cluster_is_one():
    (found,) = pair([model("A", [answer(0, 1), answer(1, 1)])] * 2)
    assert not found.is_clustered
    (found,) = pair([model("A", [answer(n, 1, cluster="p") for n in range(2)])] * 2)
    assert found.is_clustered


@pytest.mark.parametrize("clusters", [("p", None), ("p", "q")])
def test_clusters_must_be_known_for_all_and_agree(clusters):
    models = [
        model(label, [answer(0, 1, cluster=name), answer(1, 1, cluster="r")])
        for label, name in zip("AB", clusters, strict=True)
    ]
    with pytest.raises(InputError, match=r"0 item.s. have no cluster, and 1 are in different ones"):
        pair(models)
    some = [answer(0, 1, cluster="p"), answer(1, 1)]
    with pytest.raises(InputError, match=r"1 item.s. have no cluster"):
        pair([model("A", some), model("B", some)])

import numpy as np
import pytest
from scipy import stats

from bedside_eval.compare.judge import judge
from bedside_eval.compare.log import Answer, Log
from bedside_eval.compare.sources import Model


def model(label, tasks, *, clusters=None):
    logs = {}
    for task, scores in tasks.items():
        names = clusters or [None] * len(scores)
        answers = tuple(
            Answer(f"{n:04}", "p", score, False, name)
            for n, (score, name) in enumerate(zip(scores, names, strict=True))
        )
        logs[task] = Log(label, task, "acc", f"{label}.jsonl", answers)
    return Model(label, f"model {label}", "out", logs)


def pairs(gained, lost, both=20, neither=20):
    """Scores of A and B with so many discordant items."""
    first = [0] * gained + [1] * lost + [1] * both + [0] * neither
    second = [1] * gained + [0] * lost + [1] * both + [0] * neither
    return first, second


def compare(tasks, **options):
    first = {name: scores[0] for name, scores in tasks.items()}
    second = {name: scores[1] for name, scores in tasks.items()}
    return judge([model("A", first, **options), model("B", second, **options)], confidence=0.95)


@pytest.mark.parametrize(("gained", "lost"), [(9, 1), (1, 0), (0, 0), (12, 12), (3, 11)])
def test_mcnemar_is_that_of_scipy(gained, lost):
    (task,) = compare({"a": pairs(gained, lost)}).tasks
    (found,) = task.differences
    assert (found.gained, found.lost) == (gained, lost)
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert found.mcnemar_p == pytest.approx(expected)
    items = gained + lost + 40
    assert found.difference.estimate == pytest.approx((gained - lost) / items)


def test_one_item_of_chance_never_looks_sure():
    """The review's [0, 20] with one gained and none lost."""
    (task,) = compare({"a": pairs(1, 0, both=10, neither=9)}).tasks
    envelope = task.differences[0].difference.envelope
    assert envelope.low < 0 < envelope.high
    assert task.differences[0].relation != "above"


def test_a_clear_gain_holds_after_holm_and_a_loss_is_worse():
    result = compare({"a": pairs(25, 1), "b": pairs(1, 25), "c": pairs(5, 5)})
    a, b, c = (task.differences[0] for task in result.tasks)
    assert (a.relation, b.relation, c.relation) == ("above", "below", "undecided")
    assert max(a.p_holm, b.p_holm) < 0.05 < c.p_holm
    # Holm by hand: three, two and one times.
    smaller, larger = sorted((a.p, b.p))
    assert min(a.p_holm, b.p_holm) == pytest.approx(3 * smaller)
    assert max(a.p_holm, b.p_holm) == pytest.approx(max(3 * smaller, 2 * larger))
    assert len(result.averages) == 4
    assert len(result.ranks) == 2


def test_items_of_one_cluster_are_less_certain_and_get_no_mcnemar():
    scores = pairs(14, 3)
    apart = compare({"a": scores}).tasks[0].differences[0]
    names = [f"p{n // 4}" for n in range(len(scores[0]))]
    together = compare({"a": scores}, clusters=names).tasks[0]
    assert together.clusters == 15
    assert together.differences[0].mcnemar_p is None
    wide, narrow = (d.difference.envelope for d in (together.differences[0], apart))
    assert wide.high - wide.low > narrow.high - narrow.low


def test_each_cluster_counts_once_and_the_mean_over_items_stands_beside():
    names = ["big"] * 12 + [f"p{n}" for n in range(8)]
    scores = ([1] * 12 + [0] * 8, [1] * 12 + [0] * 8)
    found = compare({"a": scores}, clusters=names).tasks[0].models[0]
    assert found.score.estimate == pytest.approx(1 / 9)
    assert found.item_mean == pytest.approx(12 / 20)


def test_scores_between_right_and_wrong_have_no_mcnemar():
    rng = np.random.default_rng(5)
    first = rng.random(30)
    (task,) = compare({"f1": (first.tolist(), (first + rng.random(30) / 4).tolist())}).tasks
    found = task.differences[0]
    assert (found.gained, found.lost, found.mcnemar_p) == (None, None, None)
    assert found.relation == "above"


def test_the_same_logs_give_the_same_bits():
    assert compare({"a": pairs(9, 3)}) == compare({"a": pairs(9, 3)})


def test_one_task_has_no_averages():
    result = compare({"a": pairs(9, 3)})
    assert result.averages == result.ranks == ()

import pytest

from bedside_core.errors import ConfigError, InputError
from bedside_eval.compare.log import Wanted
from bedside_eval.compare.sources import read_models


def read(*paths, tasks=()):
    return read_models(paths, Wanted(), tasks)


def test_models_are_lettered_in_the_order_of_the_command_line(lm_eval_logs):
    paths = [lm_eval_logs.write(name, [1.0]) for name in ("zeta", "alpha", "mu")]
    assert [(model.label, model.name) for model in read(*paths)] == [
        ("A", "zeta"), ("B", "alpha"), ("C", "mu"),
    ]  # fmt: skip


def test_a_single_file_is_one_model(lm_eval_logs, inspect_logs):
    folder = lm_eval_logs.write("basis", [1.0])
    (file,) = folder.rglob("samples_*")
    assert list(read(file, folder)[0].logs) == ["visite"]
    assert read(folder, inspect_logs.write("neu", ["C"]))[1].name == "neu"


def test_a_folder_of_inspect_logs(inspect_logs, tmp_path):
    inspect_logs.write("basis", ["C"])
    assert read(tmp_path, tmp_path)[0].name == "basis"


@pytest.mark.parametrize("count", [1, 27])
def test_one_model_alone_and_too_many_are_refused(lm_eval_logs, count):
    with pytest.raises(ConfigError, match="name at least two and at most 26"):
        read(*[lm_eval_logs.write("basis", [1.0])] * count)


def test_a_task_that_one_model_lacks_is_named(lm_eval_logs):
    basis = lm_eval_logs.write("basis", [1.0])
    lm_eval_logs.write("neu", [1.0])
    neu = lm_eval_logs.write("neu", [1.0], task="befund")
    with pytest.raises(InputError, match="basis: no log of befund - evaluate it there too"):
        read(basis, neu)
    assert list(read(basis, neu, tasks=("visite",))[1].logs) == ["visite"]
    with pytest.raises(InputError, match="with anamnese"):
        read(basis, neu, tasks=("anamnese",))


def test_two_runs_in_one_folder_are_refused(lm_eval_logs):
    folder = lm_eval_logs.write("basis", [1.0])
    (file,) = folder.rglob("samples_*")
    file.with_name(file.name.replace("2026", "2027")).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="several logs of visite - name one file, or a folder wi"):
        read(folder, folder)


def test_two_models_in_one_folder_are_refused(lm_eval_logs, tmp_path):
    lm_eval_logs.write("basis", [1.0])
    lm_eval_logs.write("neu", [1.0], task="befund")
    with pytest.raises(InputError, match=r"logs of several models \(basis, neu\)"):
        read(tmp_path, tmp_path)


def test_what_is_no_log_is_refused(tmp_path):
    with pytest.raises(InputError, match="is neither a file nor a folder"):
        read(tmp_path / "none", tmp_path)
    with pytest.raises(InputError, match="no samples_"):
        read(tmp_path, tmp_path)


def test_logs_of_both_programs_in_one_folder_are_refused(lm_eval_logs, inspect_logs, tmp_path):
    lm_eval_logs.write("basis", [1.0])
    inspect_logs.write_log("a.eval", inspect_logs.log("basis", [inspect_logs.sample(0, "C")]))
    with pytest.raises(InputError, match=r"logs of lm-eval and of Inspect"):
        read(tmp_path, tmp_path)

"""`bedside corpus train-classifier` from labels to an artifact, and what it refuses."""

import json

import pyarrow.parquet as pq
import pytest
import yaml

from bedside_core.cli import main
from bedside_corpus.classifier.certificate import Certificate
from bedside_corpus.classifier.stored import describe, load


@pytest.fixture
def train(tmp_path, registry):
    """Run the verb; returns the exit code."""

    def run(folder, **settings):
        section = {"labels": str(folder), "prevalence": 0.2, "target_precision": 0.7, **settings}
        config = tmp_path / "train.yaml"
        config.write_text(yaml.safe_dump({"name": "c", "corpus": {"train_classifier": section}}))
        return main(["corpus", "train-classifier", "--config", str(config)])

    return run


def artifact(registry):
    return registry.get("c/classifier")


def test_labels_become_a_certified_classifier(train, registry, labelled, capsys):
    assert train(labelled()) == 0
    made = artifact(registry)
    assert {entry.path for entry in made.manifest.files} == {
        "classifier.json", "weights.npz", "certificate.json", "certificate.png"
    }  # fmt: skip
    certificate = Certificate.model_validate_json(made.file("certificate.json").read_bytes())
    assert certificate.certified
    assert certificate.clusters == {"yes": 40, "no": 80}
    assert certificate.precision == 1  # the invented texts are easy
    assert made.manifest.facts["certified"] is True
    assert made.file("certificate.png").read_bytes().startswith(b"\x89PNG")
    assert describe(made.path).thresholds == (certificate.threshold,)
    scores = load(made.path).score(["EKG unauffällig, Kreatinin", "Teig backen"])
    assert scores[0, 0] > scores[1, 0]
    assert "certified: threshold" in capsys.readouterr().out


def test_a_second_run_reuses_it_and_other_labels_do_not(train, registry, labelled, capsys):
    assert train(labelled()) == 0
    digest = artifact(registry).digest
    assert train(labelled()) == 0
    assert artifact(registry).digest == digest
    assert "reused" in capsys.readouterr().out
    assert train(labelled(train=(50, 60))) == 0
    assert artifact(registry).digest != digest


def test_false_positives_by_id_and_their_texts_for_their_owner_alone(
    train, registry, labelled, tmp_path, capsys
):
    # The last kitchen texts of the test set are said to be none, and are clinical.
    folder = labelled(label=lambda part, yes, no: [n < yes - 6 for n in range(yes + no)])
    seen = tmp_path / "seen.jsonl"
    assert train(folder) == 0
    out = capsys.readouterr().out
    assert "test-39" in out
    assert "NOT certified" in out
    certificate = json.loads(artifact(registry).file("certificate.json").read_text())
    listed = {one["id"] for one in certificate["false_positives"]}
    assert listed == {f"test-{n}" for n in range(34, 40)}
    assert train(folder, false_positives=str(seen)) == 0
    assert "reused" in capsys.readouterr().out
    assert seen.stat().st_mode & 0o777 == 0o600
    texts = {row["text"] for row in map(json.loads, seen.read_text().splitlines())}
    assert texts <= {row["text"] for row in pq.read_table(folder / "test.parquet").to_pylist()}
    everything = b"".join(p.read_bytes() for p in artifact(registry).path.iterdir())
    assert b"Ramipril" not in everything
    assert "Ramipril" not in out


def test_several_classes_have_a_report_instead(train, registry, labelled, capsys):
    def classes(part, yes, no):
        return [["ward", "letter"] if n < yes else ["kitchen"] for n in range(yes + no)]

    assert train(labelled(classes=classes)) == 0
    made = artifact(registry)
    report = json.loads(made.file("report.json").read_text())
    assert set(report["f1"]) == {"kitchen", "letter", "ward"}
    assert report["macro_f1"]["low"] <= report["macro_f1"]["value"] <= report["macro_f1"]["high"]
    assert report["macro_f1"]["value"] == pytest.approx(sum(report["f1"].values()) / 3)
    assert report["top"]["value"] == 1  # the invented texts are easy
    assert describe(made.path).classes == ("kitchen", "letter", "ward")
    assert "macro-F1 of 3 classes on 120 documents: 9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"train": (0, 50)}, "train.parquet has 0 of 50 documents of 'yes'"),
        ({"test": (20, 0)}, "test.parquet has 20 of 20 documents of 'yes'"),
        ({"cluster": lambda part, yes, no: ["same"] * (yes + no)}, "1 clusters of documents"),
        ({"train": (1, 1)}, "a part has none of some class"),
        ({"label": lambda part, yes, no: ["yes"] * yes + ["no"] * no}, "true or false in every"),
        ({"label": lambda part, yes, no: [None] + [True] * (yes + no - 1)}, "in every row"),
    ],
)
def test_labels_that_nothing_can_be_learned_from(train, labelled, capsys, made, said):
    assert train(labelled(**made)) == 3
    assert said in capsys.readouterr().err


def test_labels_that_are_not_there_or_damaged(train, labelled, registry, tmp_path, capsys):
    assert train(tmp_path / "nowhere") == 3
    assert "bedside corpus annotate" in capsys.readouterr().err
    folder = labelled()
    (folder / "test.parquet").write_bytes(b"PAR1 and no more")
    assert train(folder) == 3
    assert "test.parquet cannot be read" in capsys.readouterr().err
    assert registry.slot("c", "classifier") is None
    assert train(None) == 3

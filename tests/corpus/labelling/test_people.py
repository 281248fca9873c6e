"""People check a labelled set, from the file that annotate writes to the fact that it keeps."""

from __future__ import annotations

import io
import json
import re
import shutil
import stat
from pathlib import Path

import pytest

from bedside_core.artifacts import Artifact
from bedside_core.cli import main
from bedside_core.kinds.labels import PARTS, read_part
from bedside_corpus.labelling.review import read_rows


@pytest.fixture
def offered(annotate, labeller, registry, capsys) -> Path:
    """The review file of a set in which the model takes two recipes for medicine."""
    rule = labeller.rule

    def wrong(body):
        about = body["messages"][0]["content"].rpartition("Content:")[2]
        given = {**body, "messages": [{"content": "Content: Ramipril" + about}]}
        return rule(given if "wort9x" in about or "wort10x" in about else body)

    labeller.rule = wrong
    endpoint = {"address": labeller.address, "model": "m"}
    assert annotate(documents=48, endpoint=endpoint, review={"documents": 48}) == 0
    path = Path(re.findall(r"copy (\S+) for each", capsys.readouterr().out)[0])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return path


def type_in(monkeypatch, *keys: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{key}\n" for key in keys)))


def texts(labels: Artifact) -> dict[str, str]:
    found = [document for part in PARTS for document in read_part(labels, part)]
    return {document.id: document.text for document in found}


def honest(path: Path, labels: Artifact) -> list[str]:
    """What somebody types who reads the documents of a review file."""
    read = texts(labels)
    words = ("Ramipril", "Koloskopie", "Appendektomie")
    return ["y" if any(word in read[row.id] for word in words) else "n" for row in read_rows(path)]


def test_the_file_says_nothing_of_what_the_model_said(offered, labels) -> None:
    rows = read_rows(offered)
    assert len(rows) == 14 + 24
    assert {(row.text, row.said, row.label, row.by) for row in rows} == {("", "", "", "")}
    found = {d.id: d.label for part in PARTS for d in read_part(labels(), part)}
    said = [found[row.id] for row in rows]
    assert sum(said) == 14
    assert said != sorted(said)
    assert said != sorted(said, reverse=True)


def test_a_person_answers_goes_back_and_goes_on(offered, labels, monkeypatch, capsys) -> None:
    copy = offered.with_name("anna.csv")
    shutil.copy(offered, copy)
    type_in(monkeypatch, "y", "?", "n", "b", "s", "q")
    assert main(["corpus", "review", str(copy), "--by", "anna"]) == 0
    assert [row.label for row in read_rows(copy)][:3] == ["yes", "skip", ""]
    said = capsys.readouterr()
    assert texts(labels())[read_rows(copy)[0].id] in said.out
    assert "--- 2 of 38" in said.out
    assert "(now: no)" in said.out
    assert "wort" not in said.err
    type_in(monkeypatch, "n")  # and the window is closed
    assert main(["corpus", "review", str(copy), "--by", "anna"]) == 0
    assert [row.label for row in read_rows(copy)][:4] == ["yes", "skip", "no", ""]
    assert "--- 3 of 38" in capsys.readouterr().out
    assert main(["corpus", "review", str(copy), "--by", "ben"]) == 3
    assert "another person filled it in" in capsys.readouterr().err
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_texts_cannot_drive_the_terminal(
    annotate, labeller, crawl, tmp_path, monkeypatch, capsys
) -> None:
    evil = "Ramipril \u202eabgesetzt und \u0090kein Befehl, aber lang genug zum Lesen."
    Path(crawl["path"], "4.jsonl").write_text(json.dumps({"id": "urn:900", "text": evil}))
    (tmp_path / "p.csv").write_text("id,label\nurn:900,yes\n")
    assert annotate(labelled=str(tmp_path / "p.csv"), review={"text": True}) == 0
    path = re.findall(r"copy (\S+) for each", capsys.readouterr().out)[0]
    assert "abgesetzt" in read_rows(Path(path))[0].text
    type_in(monkeypatch, "q")
    assert main(["corpus", "review", path, "--by", "anna"]) == 0
    shown = capsys.readouterr().out
    assert "abgesetzt" in shown
    assert not re.search("[\u0080-\u009f\u202a-\u202e\x1b]", shown)


def test_agreement_of_three_people(
    offered, labels, annotate, labeller, monkeypatch, capsys, tmp_path
) -> None:
    keys = honest(offered, labels())
    copies = []
    for person, slips in (("anna", ()), ("ben", (3,)), ("cem", (7, 11))):
        copy = tmp_path / f"{person}.csv"
        shutil.copy(offered, copy)
        typed = [{"y": "n", "n": "y"}[k] if n in slips else k for n, k in enumerate(keys)]
        type_in(monkeypatch, *typed)
        assert main(["corpus", "review", str(copy), "--by", person]) == 0
        copies.append(str(copy))
    capsys.readouterr()
    assert main(["corpus", "agreement", *copies]) == 0
    said = capsys.readouterr().out
    assert re.search(r"precision +0\.857  0\.\d{3} to 0\.\d{3}", said)
    assert re.search(r"recall +1\.000  0\.\d{3} to 1\.000", said)
    assert re.search(r"Fleiss' kappa +0\.\d{3}  0\.\d{3} to \d\.\d{3}", said)
    assert re.search(r"free-marginal kappa \(Randolph\) +0\.895", said)  # 6 of 114 pairs differ
    assert "3 people, 38 documents with a majority, 0 ties" in said
    assert "wort" not in said
    # The two that the model took for medicine; slips of one person move no majority.
    assert "2 false positives and 0 false negatives" in said
    [path] = re.findall(r"review (\S+) --by", said)
    wrong = {row.id.rpartition("urn:")[2].removeprefix("copy-") for row in read_rows(Path(path))}
    assert wrong == {"9", "10"}
    type_in(monkeypatch, "q")
    assert main(["corpus", "review", path, "--by", "anna"]) == 0
    assert "the set says yes; people: 0 yes, 3 no" in capsys.readouterr().out

    before = labels()
    endpoint = {"address": labeller.address, "model": "m"}
    review = {"documents": 48, "filled": copies}
    asked = len(labeller.bodies)
    assert annotate(documents=48, endpoint=endpoint, review=review) == 0
    assert len(labeller.bodies) == asked
    after = labels()
    assert after.manifest.parents == {"labels": before.digest}
    assert texts(after) == texts(before)
    kept = after.manifest.facts["agreement"]
    assert (kept["people"], kept["documents"], kept["by_all"]) == (3, 38, 38)
    assert kept["precision"]["value"] == round(12 / 14, 4)
    facts = json.dumps(after.manifest.facts)
    assert not any(person in facts for person in ("anna", "ben", "cem"))
    assert annotate(documents=48, endpoint=endpoint, review=review) == 0
    assert labels().digest == after.digest


def test_files_that_do_not_go_together(offered, tmp_path, capsys, annotate, labeller) -> None:
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    content = offered.read_text().replace(",,\n", ",yes,anna\n")
    one.write_text(content)
    two.write_text(content)
    assert main(["corpus", "agreement", str(offered)]) == 3
    assert "none of the files has an answer" in capsys.readouterr().err
    assert main(["corpus", "agreement", str(one), str(two)]) == 3
    assert "the second file of one person" in capsys.readouterr().err
    endpoint = {"address": labeller.address, "model": "m"}
    assert annotate(documents=30, endpoint=endpoint, review={"filled": [str(one)]}) == 3
    assert "drawn from this set" in capsys.readouterr().err
    two.write_text(content.replace(content.splitlines()[1].split(",")[1], "0" * 64))
    assert main(["corpus", "agreement", str(two)]) == 3
    assert "1 documents of the files are not in labels" in capsys.readouterr().err


def test_what_is_withdrawn_is_no_label_any_more(
    offered, annotate, labels, labeller, tmp_path, capsys
) -> None:
    before, endpoint = labels(), {"address": labeller.address, "model": "m"}
    assert main(["registry", "lineage", "crawl"]) == 0
    assert f"48 document(s), ODC-By-1.0, in labels {before.digest[:12]}" in capsys.readouterr().out
    named = next(document.id for document in read_part(before, "train"))
    reason = ("--reason", "consent withdrawn, case 12")
    assert main(["registry", "withdraw", f"document:{named}", *reason]) == 0
    capsys.readouterr()
    assert main(["corpus", "review", str(offered), "--by", "anna"]) == 5
    assert "may not be used" in capsys.readouterr().err
    assert annotate(documents=48, endpoint=endpoint) == 0
    assert labels().digest != before.digest
    assert named not in texts(labels())
    assert labels().manifest.facts["dropped"]["withdrawn"] >= 1
    assert main(["registry", "withdraw", "crawl", *reason]) == 0
    assert annotate(documents=48, endpoint=endpoint) == 5
    assert "take it out of corpus.sources" in capsys.readouterr().err

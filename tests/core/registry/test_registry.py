"""The registry: finding, slots, work, lineage, promotion."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from bedside_core import cli
from bedside_core.artifacts import MANIFEST, Artifact, Seal
from bedside_core.config import canonical_json, sha256_of
from bedside_core.errors import ArtifactError, PolicyError
from bedside_core.kinds.evidence import EVIDENCE, SIGNATURE, evidence_seal
from bedside_core.kinds.plan import Look
from bedside_core.licences import licence
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
from bedside_core.run import Run


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(registry.home))


def bedside(*words: str) -> int:
    return cli.main(["registry", *words])


# --- finding ---------------------------------------------------------------------------------


def test_get_by_digest_prefix_and_slot(registry, put):
    artifact = put("base")
    registry.set_slot("demo-1_a", "base", artifact.digest)
    for reference in (artifact.digest, artifact.digest[:6], "demo-1_a/base"):
        assert registry.get(reference).digest == artifact.digest


@pytest.mark.parametrize(
    "reference",
    ["", "ab", "f" * 64, "f" * 63, "a" * 5000, "demo/base", "demo/", "/", "../base", "demo/../x",
     "../log.jsonl", "demo/base/x", "demo/" + "x" * 5000, ".", "..", "brief über Größe 3"],
)  # fmt: skip
def test_get_nothing(registry, put, reference):
    registry.set_slot("demo", "corpus", put("corpus").digest)
    registry.log.path.write_text("secret line\n")
    with pytest.raises(ArtifactError) as error:
        registry.get(reference)
    assert "secret line" not in str(error.value)
    assert bedside("show", reference) == 4


def test_ambiguous_prefix(registry, put):
    artifact = put("base")
    (registry.store / (artifact.digest[:8] + "0" * 56)).mkdir()
    with pytest.raises(ArtifactError, match="several artifacts begin with"):
        registry.get(artifact.digest[:8])
    assert registry.get(artifact.digest).digest == artifact.digest


def test_another_version_of_a_format_is_another_recipe(registry):
    from bedside_core.config import Config

    run = Run("r", "corpus", "build", registry)
    plain, first, again, second = (
        run.recipe(Config(), formats=formats) for formats in (None, {"m": 1}, {"m": 1}, {"m": 2})
    )
    assert first.version == f"{plain.version}+m.1"
    assert first.sha256 == again.sha256
    assert len({plain.sha256, first.sha256, second.sha256}) == 3


def test_find_the_newest_of_a_recipe(registry, put):
    first = put("base", config={"a": 1, "b": 2})
    put("base", config={"a": 2})
    second = put("base", config={"b": 2, "a": 1})
    assert first.manifest.recipe_sha256 == second.manifest.recipe_sha256
    assert registry.find(first.manifest.recipe.sha256).digest == second.digest
    assert registry.find("0" * 64) is None


def test_empty_registry(registry, capsys):
    assert registry.artifacts() == []
    assert registry.current() is None
    assert bedside("list") == 0
    assert "no artifacts yet" in capsys.readouterr().out
    assert bedside("verify") == 0
    assert bedside("lineage") == 4
    assert bedside("rollback", "--reason", "worse") == 5
    assert bedside("rollback") == 2


def test_one_damaged_manifest_does_not_hide_the_others(registry, put, capsys):
    broken, damaged, intact = put("base"), put("corpus"), put("merged")
    (broken.path / MANIFEST).write_text("{}")
    (damaged.path / "weights.bin").write_text("x")
    assert bedside("verify") == 4
    printed = capsys.readouterr()
    assert f"{broken.digest[:12]}: {MANIFEST} was changed" in printed.err
    assert f"{damaged.digest[:12]} does not match its manifest: weights.bin" in printed.err
    assert f"{intact.digest[:12]} merged: intact" in printed.out
    assert bedside("list") == 4
    assert broken.digest[:12] in capsys.readouterr().err


def test_damaged_artifact_is_made_again(registry, put):
    """The advice of the error message must work: neither kind of damage blocks the same recipe."""
    run = Run("demo", "core", "step", registry)
    for damaged_file in (MANIFEST, "weights.bin"):
        artifact = put("base")
        (artifact.path / damaged_file).write_text("{}")
        assert run.reuse("base", artifact.manifest.recipe) is None
        again = put("base")
        assert run.reuse("base", artifact.manifest.recipe).digest == again.digest
        assert registry.slot("demo", "base") == again.digest


# --- one step of a run -----------------------------------------------------------------------


def test_two_processes_write_the_same_recipe_at_once(registry, start, writer_code):
    processes = [start(writer_code, registry.store, "wait") for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "writing\n"
    digests = [process.communicate("go on\n")[0].split()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    for digest in digests:
        registry.get(digest).verify()
    assert registry.find(registry.get(digests[0]).manifest.recipe_sha256).digest in digests


def test_licences_flow_from_parents(registry, put):
    base = put("base", licences=(licence("Apache-2.0"),))
    corpus = put("corpus", licences=(licence("CC-BY-4.0"), licence("CC0-1.0")))
    run = Run("demo", "core", "step", registry)
    from bedside_core.config import Config

    recipe = run.recipe(Config(), parents={"base": base, "corpus": corpus})
    with run.write("checkpoint", recipe, licences=(licence("MIT"),)) as artifact:
        (artifact.path / "w").write_bytes(b"1")
    names = [item.id for item in artifact.result.manifest.licences]
    assert names == ["Apache-2.0", "CC-BY-4.0", "CC0-1.0", "MIT"]
    assert run.input("checkpoint").digest == artifact.result.digest


def test_failed_step_leaves_the_slot_as_it_was(registry, put):
    from bedside_core.config import Config

    run = Run("demo", "core", "step", registry)
    old = put("base")
    registry.set_slot("demo", "base", old.digest)
    with pytest.raises(ZeroDivisionError), run.write("base", run.recipe(Config())) as artifact:
        (artifact.path / "w").write_bytes(b"1")
        raise ZeroDivisionError
    assert registry.slot("demo", "base") == old.digest


WORKER = """
import sys
from pathlib import Path
from bedside_core.errors import ArtifactError
from bedside_core.registry.house import found
from bedside_core.registry.registry import Registry
try:
    with Registry(Path(sys.argv[1])).work("r" * 64) as path:
        (path / "state").write_text("1")
        print("working", flush=True)
        sys.stdin.readline()
except ArtifactError as error:
    print(error, flush=True)
"""


def test_work_is_for_one_process_and_survives_kill_9(registry, start):
    first = start(WORKER, registry.home)
    assert first.stdout.readline() == "working\n"
    second = start(WORKER, registry.home)
    assert "another process is doing this step" in second.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.wait()
    with registry.work("r" * 64) as path:
        assert path.stat().st_mode & 0o777 == 0o700
        assert (path / "state").read_text() == "1"
    assert not path.exists()


def test_work_keeps_state_after_an_error(registry):
    with pytest.raises(KeyboardInterrupt), registry.work("r" * 64) as path:
        (path / "state").write_text("1")
        raise KeyboardInterrupt
    with registry.work("r" * 64) as again:
        assert again == path
        assert (path / "state").exists()


def test_disk_full_in_work(registry, small_disk):
    small = Registry(small_disk)
    with pytest.raises(ArtifactError, match="disk full"), small.work("r" * 64) as path:
        (path / "state").write_bytes(b"x" * (2 << 20))


# --- lineage ---------------------------------------------------------------------------------


def test_lineage_to_the_sources(registry, chain, capsys):
    assert bedside("lineage", chain["evidence"].digest) == 0
    text = capsys.readouterr().out
    for artifact in chain.values():
        assert artifact.digest[:12] in text
    assert "source letters: 1 documents, CC0-1.0" in text


def test_lineage_of_the_promoted_model(registry, chain, capsys):
    assert bedside("promote", chain["evidence"].digest) == 0
    capsys.readouterr()
    assert bedside("lineage") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"merged {chain['merged'].digest[:12]}")


@pytest.mark.parametrize(
    ("what", "licences"),
    [("klinik/brief-7", "CC0-1.0"), ("lexikon-1", "CC-BY-4.0"), ("lexicon", "CC-BY-4.0")],
)
def test_which_models_contain_a_document_or_a_source(registry, chain, capsys, what, licences):
    registry.promote(chain["evidence"])
    assert bedside("lineage", what) == 0
    text = capsys.readouterr().out
    assert f"{what}: 1 document(s), {licences}, in corpus {chain['corpus'].digest[:12]}" in text
    for kind in ("checkpoint", "merged", "evidence"):
        assert chain[kind].digest[:12] in text
    assert chain["base"].digest[:12] not in text
    assert f"{chain['merged'].digest[:12]} by test merged (promoted)" in text


@pytest.mark.parametrize("what", ["nothing-like-it", "x" * 5000, "no/such/document.txt"])
def test_lineage_of_nothing(registry, chain, capsys, what):
    assert bedside("lineage", what) == 4
    assert "is no artifact, document or source" in capsys.readouterr().err


def test_lineage_does_not_trust_a_changed_document_list(registry, chain, capsys):
    file = chain["corpus"].path / "documents/00000.jsonl"
    file.write_text(file.read_text().splitlines()[0] + "\n")
    assert bedside("lineage", "lexikon-1") == 4
    assert "documents/00000.jsonl was changed" in capsys.readouterr().err


def redate(artifact: Artifact, change: timedelta) -> Artifact:
    """The same artifact as a machine whose clock is off would have written it."""
    manifest = artifact.manifest.model_copy(update={"created": artifact.manifest.created + change})
    raw = canonical_json(manifest.model_dump(mode="json"))
    (artifact.path / MANIFEST).write_bytes(raw)
    target = artifact.path.parent / sha256_of(json.loads(raw))
    artifact.path.rename(target)
    return Artifact(target)


def test_clock_that_was_set_back_hides_no_descendant(registry, put):
    corpus = put("corpus")
    checkpoint = redate(put("checkpoint", parents={"corpus": corpus}), -timedelta(days=1))
    merged = redate(put("merged", parents={"checkpoint": checkpoint}), -timedelta(days=2))
    assert {a.digest for a in registry.descendants(corpus)} == {checkpoint.digest, merged.digest}


def test_diamond_is_walked_once(registry, put):
    base = put("base", parents={"source": put("corpus")})
    checkpoint = put("checkpoint", parents={"base": base})
    merged = put("merged", parents={"base": base, "checkpoint": checkpoint})
    walk = [(depth, role, node.kind) for depth, role, node in registry.ancestors(merged)]
    assert walk == [
        (0, "", "merged"), (1, "base", "base"), (2, "source", "corpus"),
        (1, "checkpoint", "checkpoint"), (2, "base", "base"),
    ]  # fmt: skip


# --- promotion -------------------------------------------------------------------------------


def test_promote_and_repeat(registry, chain):
    entry = registry.promote(registry.get(chain["evidence"].digest))
    assert (entry.model, entry.evidence) == (chain["merged"].digest, chain["evidence"].digest)
    assert registry.promote(chain["evidence"]) == entry
    assert registry.promotions() == [entry]
    assert registry.current() == entry


@pytest.mark.parametrize("verdict", ["REJECT", "NOT_ENOUGH_EVIDENCE"])
def test_no_promotion_against_the_verdict(registry, chain, judge, capsys, verdict):
    evidence = judge(chain["merged"], chain["base"], verdict)
    with pytest.raises(PolicyError):
        registry.promote(evidence)
    assert bedside("promote", evidence.digest) == 5
    assert f"is {verdict}: medical_de improved" in capsys.readouterr().err
    assert registry.current() is None


def foreign_signature(registry: Registry) -> bytes:
    other = Registry(registry.home.parent / "other-house")
    found(other)
    return evidence_seal(other.evidence_keys).sign(b"{}")


def test_unsigned_or_foreign_evidence_is_refused(registry, chain, judge):
    model, base = chain["merged"], chain["base"]
    cases = {
        b"": "has no file 'evidence.sig'",
        foreign_signature(registry): "this house's evidence key is",
        b"AAAA\n": "this house's evidence key is",
        b"not base64 \xff\xc3\n": "this house's evidence key is",
    }
    for signature, words in cases.items():
        with pytest.raises(ArtifactError, match=words):
            registry.promote(judge(model, base, signature=signature))
    assert registry.current() is None


def test_signature_of_other_evidence_is_refused(registry, chain, judge):
    rejected = judge(chain["merged"], chain["base"], "REJECT")
    good = chain["evidence"].file(SIGNATURE).read_bytes()
    turned = judge(chain["checkpoint"], chain["base"], signature=good)
    assert turned.digest != rejected.digest
    with pytest.raises(ArtifactError, match="does not fit"):
        registry.promote(turned)


@pytest.mark.parametrize("change", ["report", "facts", "time"])
def test_report_facts_and_time_are_signed_too(registry, chain, put, change):
    """A signed verdict with another report beside it, other facts or another time is not it."""
    evidence = chain["evidence"]
    signature = evidence.file(SIGNATURE).read_bytes()
    files = {EVIDENCE: evidence.file(EVIDENCE).read_bytes()}
    if change == "report":
        files["report.md"] = b"# PROMOTE\n"
    forged = put(
        "evidence",
        files=files,
        parents={"candidate": chain["merged"], "base": chain["base"]},
        facts={"verdict": "PROMOTE"} if change == "facts" else {},
        seal=Seal(SIGNATURE, lambda content: signature),
    )
    with pytest.raises(ArtifactError, match="does not fit this house's key"):
        registry.promote(forged)


@pytest.mark.parametrize("name", [EVIDENCE, SIGNATURE])
def test_changed_evidence_is_refused(registry, chain, name):
    file = chain["evidence"].path / name
    file.write_bytes(file.read_bytes().replace(b"1", b"2") + b" ")
    assert bedside("promote", chain["evidence"].digest) == 4
    assert registry.current() is None


def test_changed_weights_are_refused(registry, chain, capsys):
    (chain["merged"].path / "weights.bin").write_bytes(b"v" * 1000)
    assert bedside("promote", chain["evidence"].digest) == 4
    assert "weights.bin was changed" in capsys.readouterr().err
    assert registry.current() is None


def test_only_the_weights_that_were_judged_are_promoted(registry, chain, put, judge):
    """Other weights of the same recipe are another artifact; half a digest names none."""
    twin = put("merged", parents={"base": chain["base"], "checkpoint": chain["checkpoint"]})
    assert registry.promote(chain["evidence"]).model == chain["merged"].digest != twin.digest
    for reference in (twin.digest[:12], "demo/merged", "f" * 64):
        registry.set_slot("demo", "merged", twin.digest)
        evidence = judge(twin, chain["base"], candidate=reference)
        with pytest.raises(PolicyError, match="is about other models"):
            registry.promote(evidence)
    assert registry.current().model == chain["merged"].digest


def test_what_is_not_evidence_is_refused(registry, chain, judge):
    with pytest.raises(ArtifactError, match="is a merged, not evidence"):
        registry.promote(chain["merged"])
    with pytest.raises(ArtifactError, match="lacks its head"):
        registry.promote(judge(chain["merged"], chain["base"], verdict="MAYBE"))


@pytest.fixture
def three(put):
    """Models of one base."""
    base = put("base")
    return [put("merged", files={"w": bytes([n])}, parents={"base": base}) for n in range(3)]


@pytest.fixture
def renew(registry, judge):
    """New evidence: for a model, against its base and what is promoted by now."""

    def renew(model: Artifact, **more: object) -> Artifact:
        return judge(model, registry.get(model.manifest.parents["base"]), **more)

    return renew


def test_rollback_twice(registry, three, renew):
    a, b, c = (registry.promote(renew(model)).model for model in three)
    assert registry.rollback("worse").model == b
    assert registry.rollback("worse").model == a
    with pytest.raises(PolicyError, match="nothing was promoted before"):
        registry.rollback("worse")
    assert registry.current().model == a
    assert registry.promote(renew(three[2])).model == c
    assert registry.rollback("worse").model == a
    assert [entry.action for entry in registry.promotions()] == [
        "promote", "promote", "promote", "rollback", "rollback", "promote", "rollback",
    ]  # fmt: skip


def test_promotion_and_rollback_say_who_and_why(registry, three, renew, capsys):
    evidence = renew(three[0])
    first = registry.promote(evidence)
    assert first.reason == f"verdict PROMOTE of evidence {evidence.digest[:12]}"
    evidence = renew(three[1])
    assert bedside("promote", evidence.digest, "--reason", " ") == 2
    assert bedside("promote", evidence.digest, "--reason", "the board of 12 May agreed") == 0
    for words in (("--reason", "a line\nmore"), ("--reason", "x" * 301), ()):
        assert bedside("rollback", *words) == 2
    assert bedside("rollback", "--reason", "answers in the wrong language") == 0
    second, last = registry.promotions()[1:]
    assert second.reason == "the board of 12 May agreed"
    assert last.reason == "answers in the wrong language"
    assert first.by == last.by == registry.entries()[-1].members["by"]


def test_what_was_rolled_back_needs_new_evidence_or_a_persons_word(registry, three, renew, capsys):
    """A step that runs by itself comes with the evidence that there was."""
    registry.promote(renew(three[0]))
    old = renew(three[1])
    other = renew(three[1])  # made before the rollback, too
    registry.promote(old)
    registry.rollback("worse")
    for evidence in (old, other):
        assert bedside("promote", evidence.digest) == 5
        said = capsys.readouterr().err
        assert f"model {three[1].digest[:12]} was rolled back on" in said
        assert '--again "WHY"' in said
    assert bedside("list") == 0
    assert "rolled back" in capsys.readouterr().out
    assert bedside("promote", old.digest, "--again", "") == 2
    assert bedside("promote", old.digest, "--again", "a line\nmore") == 2
    assert bedside("promote", old.digest, "--again", "the fault was elsewhere") == 0
    assert registry.current().model == three[1].digest
    assert bedside("log") == 0
    assert 'again="the fault was elsewhere"' in capsys.readouterr().out
    registry.rollback("worse once more")
    assert bedside("promote", renew(three[1]).digest) == 0
    assert registry.current().model == three[1].digest


def test_a_model_that_rollbacks_left_and_came_back_to_is_free_again(registry, three, renew):
    a, b, _ = three
    first = renew(a)
    registry.promote(first)
    second = renew(b)
    registry.promote(second)
    registry.promote(renew(a))
    registry.rollback("worse")  # to b, a is left; but then to a itself
    assert registry.rollback("worse").model == a.digest
    with pytest.raises(PolicyError, match="was rolled back"):
        registry.promote(second)
    assert registry.promote(first) == registry.current()  # what is served already is no matter
    assert registry.promote(second, again="tried").model == b.digest


def test_a_withdrawn_model_stays_out_whatever_is_said(registry, three, renew, capsys):
    registry.promote(renew(three[0]))
    evidence = renew(three[2])
    c = registry.promote(evidence)
    assert bedside("withdraw", c.model, "--reason", "wrong doses") == 0
    registry.rollback("worse")
    for more in ([], ["--again", "I insist"]):
        assert bedside("promote", evidence.digest, *more) == 5
        assert "was withdrawn" in capsys.readouterr().err
    assert registry.current().model != c.model


def test_rollback_to_changed_weights_is_refused(registry, three, renew):
    registry.promote(renew(three[0]))
    second = registry.promote(renew(three[1]))
    (three[0].path / "w").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"w was changed"):
        registry.rollback("worse")
    assert registry.current() == second


@pytest.mark.parametrize("torn", [b'{"action":"promote","evi', b"\x00" * 40, b"{}", b"\xff"])
def test_torn_last_line_counts_as_not_written(registry, three, renew, torn):
    first = registry.promote(renew(three[0]))
    lines = registry.log.path.read_bytes().count(b"\n")
    with registry.log.path.open("ab") as file:
        file.write(torn)
    assert registry.current() == first
    second = registry.promote(renew(three[1]))
    assert registry.promotions() == [first, second]
    assert registry.log.path.read_bytes().count(b"\n") == lines + 3  # with plan and look


def test_foreign_line_is_told(registry, three, renew):
    registry.promote(renew(three[0]))
    line = len(registry.entries()) + 1
    with registry.log.path.open("ab") as file:
        file.write(b'{"action":"SECRET"}\n')
    with pytest.raises(ArtifactError, match=rf"jsonl line {line}: is not a whole entry") as error:
        registry.current()
    assert "SECRET" not in str(error.value)


@pytest.fixture
def in_turn(registry, three, renew):
    """One that is promoted first, and two that follow each other, again and again."""
    a, b, _ = three
    return renew(a), renew(b, incumbent=a.digest), renew(a, incumbent=b.digest)


PROMOTER = """
import sys
from pathlib import Path
from bedside_core.errors import PolicyError
from bedside_core.kinds.plan import Look
from bedside_core.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
look = Look.model_validate_json(sys.argv[2]).model_copy(update={"recipe": sys.argv[3]})
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    for digest in sys.argv[4:]:
        for act in (lambda: registry.promote(registry.get(digest)), lambda: registry.look(look)):
            try:
                act()
            except PolicyError as error:
                assert "incumbent changed" in str(error) or "1 of them taken" in str(error), error
"""


def test_two_processes_promote_and_look_at_once(registry, in_turn, start, make_plan, put):
    first, *next_ones = in_turn
    registry.promote(first)
    planned = registry.plan(make_plan(texts="race"))
    look = Look(
        plan=planned.hash, number=1, recipe="", candidate=put("merged").digest, base="b" * 64,
        incumbent=first.manifest.parents["candidate"], reference=None,
    ).model_dump_json()  # fmt: skip
    digests = [evidence.digest for evidence in next_ones]
    processes = [start(PROMOTER, registry.home, look, f"r{n}", *digests) for n in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    log = registry.promotions()
    assert len(log) >= 4
    # No line twice in a row: looking at the log and adding to it are one step.
    assert all(a.evidence != b.evidence for a, b in itertools.pairwise(log))
    assert len(registry.ledger().looks_of(planned.hash)) == 1


def test_promotion_on_a_full_disk(small_disk, registry, in_turn):
    import shutil

    small = Registry(small_disk / "home")
    shutil.copytree(registry.home, small.home)
    shutil.copy(registry.pin.path, small.pin.path)
    first = small.promote(small.get(in_turn[0].digest))
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    size = small.log.path.stat().st_size
    # The page in hand still takes a few lines; then the disk says no and the log stays whole.
    turns = itertools.cycle(small.get(evidence.digest) for evidence in in_turn[1:])
    for _, evidence in zip(range(100), turns, strict=False):
        try:
            small.promote(evidence)
        except ArtifactError as error:
            assert "disk full" in str(error)
            break
    else:
        pytest.fail("the disk was never full")
    kept = small.promotions()
    assert kept[0] == first
    assert small.log.path.stat().st_size >= size
    (small_disk / "filler").unlink()
    last = small.promote(evidence)
    assert small.promotions() == [*kept, last]


def test_home_that_is_a_file(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "file"))
    assert bedside("list") == 2
    assert "is not a directory" in capsys.readouterr().err

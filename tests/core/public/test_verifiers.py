"""Tools that others wrote accept what we publish, and refuse a changed byte and a wrong key.

They run in an environment of their own (`bash scripts/setup.sh verify`), without a network where
this machine lets us take it away. Where BEDSIDE_REQUIRE_VERIFY is set they must be there.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bedside_core.public.write import public_files
from bedside_core.signing import pem

STATEMENTS = (
    "test-result.intoto.json", "promotion.vsa.json", "training.provenance.json",
    "merge.provenance.json",
)  # fmt: skip

MODEL_SIGNING = """
import json, sys
from click.testing import CliRunner
from model_signing._cli import main

for words in json.load(sys.stdin):
    print(CliRunner().invoke(main, words).exit_code)
"""

DSSE = """
import json, sys
from pathlib import Path
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

for name, key in json.load(sys.stdin):
    document = json.loads(Path(name).read_bytes())
    key_id = document["signatures"][0]["keyid"]
    public = SSlibKey.from_crypto(load_pem_public_key(Path(key).read_bytes()), keyid=key_id)
    try:
        Envelope.from_dict(document).verify([public], 1)
    except VerificationError:
        print("refused")
    else:
        print("accepted")
"""

CYCLONEDX = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text, validator = sys.stdin.read(), JsonStrictValidator(SchemaVersion.V1_7)
for document in (text, text.replace("bomFormat", "bomformat")):
    print("valid" if validator.validate_str(document) is None else "invalid")
"""

IN_TOTO = """
import base64, json, sys
from google.protobuf.json_format import Parse
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1 import statement_pb2

for name in sys.argv[1:]:
    payload = base64.b64decode(json.load(open(name))["payload"])
    statement = Parse(payload, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    # The package's own class of a VSA takes one level where SLSA has a list, so it is not asked.
    for part, kind in (("test-result", TestResult), ("provenance", Provenance)):
        if part in name.rsplit("/", 1)[-1]:
            Parse(json.dumps(json.loads(payload)["predicate"]), kind())
    print("well-formed")
"""


@pytest.fixture
def published(tmp_path, promoted, publisher, make_publisher) -> Path:
    """All files, and `wrong.pub` beside them."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name, content in public_files(promoted, publisher).items():
        (folder / name).write_bytes(content)
    (folder / "wrong.pub").write_bytes(pem(make_publisher(7).public))
    return folder


def offline() -> list[str]:
    """What takes the network away from a command, where that is permitted."""
    probe = ["unshare", "--net", "true"]
    permitted = (
        shutil.which("unshare") and subprocess.run(probe, capture_output=True).returncode == 0
    )
    return ["unshare", "--net"] if permitted else []


def run(command: list[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*offline(), *command], input=text, capture_output=True, text=True)


def test_model_signing(verify_env, published, promoted):
    """Each case a copy of the model; one process, as the tool takes seconds to import."""
    cases = {"as it is": "publisher.pub", "wrong key": "wrong.pub"} | dict.fromkeys(
        ("planted", "planted for git", "changed", "missing", "manifest"), "publisher.pub"
    )
    for case in cases:
        shutil.copytree(promoted.model.path, published / case)
    (published / "planted" / "planted.bin").write_bytes(b"")
    (published / "planted for git" / ".gitignore").write_bytes(b"*")
    (published / "changed" / "model.safetensors").write_bytes(b"weightz")
    (published / "missing" / "tokenizer" / "tokenizer.json").unlink()
    (published / "manifest" / "manifest.json").write_bytes(b"{}")
    signature = str(published / "model.sig")
    asked = [
        ["verify", "key", str(published / case), "--signature", signature, "--public_key",
         str(published / key), "--no-ignore-git-paths"]
        for case, key in cases.items()
    ]  # fmt: skip
    done = run([str(verify_env / "bin" / "python"), "-c", MODEL_SIGNING], json.dumps(asked))
    assert done.stdout.split() == ["0"] + ["1"] * (len(cases) - 1), done.stderr


def test_dsse(verify_env, published):
    asked = []
    for name in STATEMENTS:
        document = json.loads((published / name).read_bytes())
        payload = base64.b64decode(document["payload"])
        changed = payload.replace(b"sha256", b"sha255", 1)
        document["payload"] = base64.b64encode(changed).decode()
        (published / f"changed-{name}").write_text(json.dumps(document))
        asked += [
            (name, "publisher.pub"),
            (name, "wrong.pub"),
            (f"changed-{name}", "publisher.pub"),
        ]
    paths = [[str(published / name), str(published / key)] for name, key in asked]
    done = run([str(verify_env / "bin" / "python"), "-c", DSSE], json.dumps(paths))
    assert done.stdout.split() == ["accepted", "refused", "refused"] * len(STATEMENTS), done.stderr


def test_in_toto(verify_env, published):
    paths = [str(published / name) for name in STATEMENTS]
    done = run([str(verify_env / "bin" / "python"), "-c", IN_TOTO, *paths])
    assert done.stdout.split() == ["well-formed"] * len(STATEMENTS), done.stderr


def test_cyclonedx(verify_env, published):
    text = (published / "mlbom.cdx.json").read_text(encoding="utf-8")
    done = run([str(verify_env / "bin" / "python"), "-c", CYCLONEDX], text)
    assert done.stdout.split() == ["valid", "invalid"], done.stderr


@pytest.mark.skipif(
    not shutil.which("openssl") or not shutil.which("jq"), reason="no openssl or jq"
)
def test_the_commands_of_the_readme(published, promoted):
    """As somebody types them: with openssl and jq alone, no Python."""
    readme = (published / "README").read_text(encoding="utf-8").splitlines()
    commands = [line.strip() for line in readme if line.startswith("    ")]
    fingerprint, *commands = commands
    commands = [c for c in commands if not c.startswith("model_signing")]
    assert sum("openssl dgst" in c for c in commands) == 2
    script = "set -e\n" + "\n".join(commands)
    done = subprocess.run(["bash", "-c", script], cwd=published, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == fingerprint
    assert done.stdout.count("Verified OK") == 2
    assert promoted.model.digest in done.stdout
    for name in ("mlbom.cdx.json", "promotion.vsa.json"):
        shutil.copy(published / name, published / "kept")
        raw = (published / name).read_bytes()
        (published / name).write_bytes(raw.replace(b"eyJ", b"eyK", 1).replace(b"1.7", b"1.6", 1))
        assert subprocess.run(["bash", "-c", script], cwd=published, capture_output=True).returncode
        shutil.copy(published / "kept", published / name)

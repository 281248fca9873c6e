"""Signatures and statements: what is signed, and that equal inputs give equal bytes."""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bedside_core.public import statements
from bedside_core.signing import fingerprint


def payload(raw: bytes) -> dict:
    return json.loads(base64.b64decode(json.loads(raw)["payload"]))


def test_the_publisher_signs_as_rfc_6979_has_it(make_publisher):
    """A.2.5: P-256 with SHA-256, message "sample"."""
    number = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    signature = make_publisher(number).sign(b"sample").hex()
    assert "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" in signature
    assert signature.endswith("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8")


def test_every_file_is_a_resource(models):
    model = models["merged"]
    found = {r["name"]: r["digest"] for r in statements.resources(model)}
    on_disk = {
        str(path.relative_to(model.path)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in model.path.rglob("*")
        if path.is_file()
    }
    assert found == on_disk
    assert list(found) == ["manifest.json", "model.safetensors", "tokenizer/tokenizer.json"]
    joined = b"".join(bytes.fromhex(digest) for digest in found.values())
    assert statements.root(model) == hashlib.sha256(joined).hexdigest()


def test_a_statement_names_the_model_twice(models, publisher):
    raw = statements.statement(models["base"], "https://x/v1", {"a": 1}, publisher)
    content = payload(raw)
    assert content["predicateType"] == "https://x/v1"
    assert content["subject"] == [
        {"name": "manifest.json", "digest": {"sha256": models["base"].digest}},
        {"name": "model-signing-root", "digest": {"sha256": statements.root(models["base"])}},
    ]


def test_the_envelope_is_signed_as_dsse_has_it(models, publisher):
    raw = statements.statement(models["base"], "https://x/v1", {}, publisher)
    assert raw == statements.statement(models["base"], "https://x/v1", {}, publisher)
    envelope = json.loads(raw)
    content, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(content), content)
    [signature] = envelope["signatures"]
    assert signature["keyid"] == fingerprint(publisher.public)
    publisher.public.verify(base64.b64decode(signature["sig"]), encoded, ec.ECDSA(hashes.SHA256()))

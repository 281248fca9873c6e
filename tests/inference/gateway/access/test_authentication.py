"""Who may ask what, and what the record says of it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bedside_inference.audit.fhir import audit_event
from bedside_inference.audit.journal import audit_directory
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.audit.reader import snapshot
from bedside_inference.audit.syslog import message
from bedside_inference.config import OidcConfig, OidcRole
from bedside_inference.keys import NewKey
from bedside_inference.state.store import Store

BODY = json.dumps({"model": "test", "messages": [{"role": "user", "content": "Hallo"}]}).encode()


@pytest.fixture
def records(config, home):
    """Waits for so many complete records; one is written when its answer is out."""

    def read() -> list[dict]:
        lines = [
            json.loads(line)
            for path in sorted(audit_directory(config.audit, home).glob("segment-*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]
        return [line for line in lines if line["type"] == "request"]

    async def wait(count: int) -> list[dict]:
        async with asyncio.timeout(30):
            while len(read()) < count:
                await asyncio.sleep(0.02)
        return read()

    return wait


@pytest.fixture
async def ask(engine, make_key, gateway):
    """Asks with a new key of a scope."""

    async def send(headers: dict[str, str] | None = None, **scope) -> tuple[int, dict]:
        made = make_key(**scope)
        await gateway.looked()
        sent = {"Authorization": f"Bearer {made.secret}", **(headers or {})}
        async with gateway.post(BODY, headers=sent) as answer:
            return answer.status, await answer.json()

    return send


async def test_the_record_of_an_answer(ask, records, config, home, served) -> None:
    agent = {"User-Agent": "OpenAI/Python 3.1 (Müller's notebook)", "X-Purpose-Of-Use": "ETREAT"}
    trace = {"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01"}
    status, _ = await ask({**agent, **trace}, department="icu", priority="emergency")
    assert status == 200
    [record] = await records(1)
    expected = {
        "trace_id": "a1" * 16,
        "auth_method": "api_key",
        "department": "icu",
        "purpose_of_use": "ETREAT",
        "client_app": "OpenAI/Python",
        "method": "POST",
        "route": "/v1/chat/completions",
        "model": "test",
        "model_digest": served.model,
        "verdict": "UNPROVEN",
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "status": 200,
        "finish_reason": "stop",
        "disconnect_phase": None,
        "outcome": "answered",
        "decisions": ["class_emergency"],
    }
    assert {name: record[name] for name in expected} == expected
    assert len(record["parameters"]) == 64
    assert record["duration_ms"] >= record["first_byte_ms"] > 0
    pseudonyms = Pseudonyms(audit_directory(config.audit, home), config.audit)
    with closing(Store.open(config.state, home)) as store:
        assert pseudonyms.reveal(record["pseudonym"]) in {
            key.id for key in store.snapshot().keys.values()
        }
    assert pseudonyms.reveal(record["client_address"]) == "address 127.0.0.1"


async def test_a_key_for_other_models(ask, records, engine) -> None:
    status, answer = await ask(models=("other",))
    assert (status, answer["error"]["code"]) == (403, "model_not_allowed")
    assert not engine.bodies
    assert [record["outcome"] for record in await records(1)] == ["model_not_allowed"]


async def test_a_key_for_other_models_sees_none(engine, make_key, gateway) -> None:
    made = make_key(models=("other",))
    await gateway.looked()
    headers = {"Authorization": f"Bearer {made.secret}"}
    async with gateway.session.get(f"{gateway.url}/v1/models", headers=headers) as answer:
        assert await answer.json() == {"object": "list", "data": []}
    async with gateway.session.get(f"{gateway.url}/v1/models/test", headers=headers) as answer:
        assert answer.status == 404


async def test_purposes_are_codes(ask, records, engine) -> None:
    status, answer = await ask({"X-Purpose-Of-Use": "because Müller asked"})
    assert (status, answer["error"]["code"]) == (400, "unknown_purpose")
    assert not engine.bodies
    assert "Müller" not in json.dumps([answer, await records(1)])


async def test_rates_are_per_key(engine, make_key, gateway, records) -> None:
    limited, free = make_key(requests_per_minute=2).secret, make_key().secret
    await gateway.looked()

    async def status(key: str) -> int:
        async with gateway.post(BODY, headers={"Authorization": f"Bearer {key}"}) as answer:
            if answer.status == 429:
                assert int(answer.headers["retry-after"]) > 0
            if key == limited:
                assert answer.headers["x-ratelimit-limit-requests"] == "2"
            return answer.status

    assert [await status(limited) for _ in range(4)] == [200, 200, 429, 429]
    assert [await status(free) for _ in range(4)] == [200] * 4
    outcomes = [record["outcome"] for record in await records(8)]
    assert sorted(outcomes) == ["answered"] * 6 + ["rate_limit_exceeded"] * 2


async def test_an_expired_key(engine, make_key, gateway) -> None:
    made = make_key(days=1)
    await gateway.looked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bedside_inference.gateway.access.authentication.datetime", Tomorrow)
        headers = {"Authorization": f"Bearer {made.secret}"}
        async with gateway.post(BODY, headers=headers) as answer:
            assert answer.status == 401


class Tomorrow:
    """A clock that has gone on by a day and an hour."""

    @staticmethod
    def now(zone) -> object:
        from datetime import datetime, timedelta

        return datetime.now(zone) + timedelta(days=1, hours=1)


async def test_keys_work_while_the_identity_provider_is_away(engine, config, open_gateway) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    oidc = OidcConfig(issuer=nobody, audience="bedside", roles={"clinician": OidcRole()})
    async with open_gateway(config.model_copy(update={"oidc": oidc})) as gateway:
        async with gateway.chat() as answer:
            assert answer.status == 200
        token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA"
        async with gateway.post(BODY, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "identity_provider_unavailable"
            assert int(answer.headers["retry-after"]) > 0


async def test_a_department_has_the_name_that_the_house_gives_it(ask, records, config, home):
    name = "Innere Medizin – Gynäkologie"
    status, _ = await ask(department=name, holder="Dr. Jana Weiß", label="Visite")
    assert status == 200
    [record] = await records(1)
    assert record["department"] == name
    assert "Weiß" not in json.dumps(record, ensure_ascii=False)
    with snapshot(audit_directory(config.audit, home)) as chain:
        requests = [p.entry.members for p in chain.places() if p.entry.members["type"] == "request"]
    details = audit_event(requests[0], "site")["entity"][0]["detail"]
    assert {"type": "department", "valueString": name} in details
    assert message(requests[0], "site", 32473).isascii()


async def test_keys_that_end_soon_are_counted_and_not_named(engine, make_key, gateway) -> None:
    makes = [make_key(days=days, holder="Jana Weiß") for days in (13, 15, 400)]
    await gateway.looked()
    async with gateway.session.get(f"{gateway.url}/metrics") as answer:
        page = await answer.text()
    assert "\nbedside_gateway_keys_expiring 2.0\n" in page  # and the one of this client
    assert not [made.id for made in makes if made.id in page]
    assert "Jana" not in page


async def test_the_day_of_the_last_use_is_kept(engine, make_key, config, home, open_gateway):
    used, unused = make_key(), make_key()
    async with open_gateway(config) as gateway:
        await gateway.looked()
        with closing(Store.of(config.state, home)) as store:
            revision = store.revision()
        headers = {"Authorization": f"Bearer {used.secret}"}
        async with gateway.post(BODY, headers=headers) as answer:
            assert answer.status == 200
    with closing(Store.open(config.state, home)) as store:
        days = {key.id: key.last_used for key in store.snapshot().keys.values()}
        assert store.revision() == revision
    assert (days[used.id], days[unused.id]) == (datetime.now(UTC).date(), None)


async def test_abuse_is_ended_by_its_pseudonym(
    engine, config, home, make_key, gateway, records, tmp_path
) -> None:
    """From an entry of the audit to a client that is locked out, and nobody was named."""
    abused, other = make_key(holder="Jana Weiß"), make_key(holder="Erik Groß")
    await gateway.looked()

    async def status(key: NewKey) -> int:
        headers = {"Authorization": f"Bearer {key.secret}"}
        async with gateway.post(BODY, headers=headers) as answer:
            return answer.status

    assert [await status(key) for key in (abused, other)] == [200, 200]
    [entry, _] = await records(2)
    (tmp_path / "run.yaml").write_text("name: demo\ninference: {model_name: test}\n")
    names = {"BEDSIDE_HOME": str(home), "BEDSIDE_CONFIG": str(tmp_path / "run.yaml")}

    async def command(*words: str) -> str:
        bedside = Path(sys.executable).with_name("bedside")
        process = await asyncio.create_subprocess_exec(
            bedside, "inference", *words, env=os.environ | names, stdout=PIPE, stderr=PIPE
        )
        said, log = await process.communicate()
        assert process.returncode == 0
        assert abused.id.encode() not in said + log
        return said.decode()

    shown = await command("audit", "export", "pseudonym", entry["pseudonym"])
    assert [json.loads(line)["type"] for line in shown.splitlines()] == ["begin", "request"]
    assert await command("keys", "revoke", "--pseudonym", entry["pseudonym"]) == ""
    await gateway.looked()
    assert [await status(key) for key in (abused, other)] == [401, 200]
    assert "no month" in await command("audit", "usage")
    fhir = await command("audit", "export", "fhir")
    assert "key_revoked" in fhir
    assert fhir.count("127.0.0.1") == 1  # of the refusal of a key that was valid no more
    for name in (abused.id, other.id, "Jana", "Erik"):
        assert name not in fhir

"""Tokens of an identity provider: a real one on loopback, honest, broken and attacked."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import logging
import os
import ssl
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PublicFormat
from cryptography.hazmat.primitives.serialization import PrivateFormat as Private
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside_core.config import validate
from bedside_core.errors import ConfigError
from bedside_inference.audit.journal import audit_directory
from bedside_inference.audit.pseudonyms import Pseudonyms
from bedside_inference.config import OidcConfig
from bedside_inference.gateway.access import jwks
from bedside_inference.gateway.access.jwks import Keys, ProviderError, usable_keys
from bedside_inference.gateway.access.oidc import MAX_TOKEN_BYTES, TokenVerifier, roles_in
from bedside_inference.gateway.errors import ApiError
from bedside_inference.principal import Principal
from bedside_inference.urls import is_secure

AUDIENCE = "bedside"
DISCOVERY = "/.well-known/openid-configuration"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
SMALL_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
EC384 = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
ALL = ("RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA")
ROLES = {
    "bedside-emergency": {
        "priority": "emergency",
        "department": "Zentrale Notaufnahme",
        "models": ["bedside"],
    },
    "bedside-ward": {"requests_per_minute": 60, "tokens_per_minute": 10000},
}

type_of_key = {
    rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
    ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
}


def public(key: Any, kid: str | None = None, **members: Any) -> dict[str, Any]:
    """A key as the provider publishes it."""
    algorithm = next(kind for base, kind in type_of_key.items() if isinstance(key, base))
    found = algorithm.to_jwk(key.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return {**found, **({} if kid is None else {"kid": kid}), **members}


def part(content: bytes | dict[str, Any]) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Provider:
    """What a test decides of the provider, and what it sees of its visitors."""

    port: int = 0
    scheme: str = "http"
    keys: list[Any] = field(
        default_factory=lambda: [
            public(RSA, "rsa", use="sig", alg="RS256"),
            public(EC, "ec", use="sig"),
        ]
    )
    discovery: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=dict
    )
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/house"

    @property
    def fetches(self) -> int:
        return self.seen.count("/house/keys")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path)
        self.headers.append(dict(request.headers))
        if request.path in self.answer:
            return await self.answer[request.path](request)
        if request.path == f"/house{DISCOVERY}":
            said = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **self.discovery}
            return web.json_response(said)
        return web.json_response({"keys": self.keys})

    def says(self, path: str, **response: Any) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(**response)

        self.answer[path] = answer

    def config(self, **changes: Any) -> OidcConfig:
        settings = {"issuer": self.issuer, "audience": AUDIENCE, "roles": ROLES, **changes}
        return validate(OidcConfig, settings, "inference.oidc")

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims; a change to None takes one away."""
        now = int(time.time())
        claims = {
            **{"iss": self.issuer, "aud": AUDIENCE, "sub": "someone", "roles": ["bedside-ward"]},
            **{"exp": now + 300, "iat": now},
            **changes,
        }
        return {
            name: time.time() + value.seconds if isinstance(value, FromNow) else value
            for name, value in claims.items()
            if value is not None
        }

    def token(
        self,
        key: Any = RSA,
        algorithm: str = "RS256",
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        headers = {"kid": "rsa"} if header is None else header
        return jwt.encode(self.claims(**changes), key, algorithm, headers=headers)


@dataclass(frozen=True)
class FromNow:
    """A time for when the test runs, which may be long after its parameters were made."""

    seconds: float


@asynccontextmanager
async def serving(provider: Provider, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", provider.port, ssl_context=tls).start()
    provider.port = runner.addresses[0][1]
    try:
        yield provider
    finally:
        await runner.cleanup()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with serving(Provider()) as found:
        yield found


@pytest.fixture
async def verifier(provider: Provider) -> AsyncIterator[TokenVerifier]:
    found = TokenVerifier(provider.config())
    async with found.running():
        yield found


async def refusal(verifier: TokenVerifier, token: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await verifier.verify(token)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


async def refused(verifier: TokenVerifier, token: str) -> str:
    """The code of the only reason why a token is no good."""
    before = verifier.refused.copy()
    error = await refusal(verifier, token)
    assert (error.status, error.code) == (401, "invalid_token")
    assert error.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    ((reason, count),) = (verifier.refused - before).items()
    assert count == 1
    return reason


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await check():
            await asyncio.sleep(0.02)


# Good tokens


async def test_a_role_says_what_a_token_may(provider, verifier) -> None:
    assert await verifier.verify(provider.token()) == Principal(
        method="oidc",
        subject=f"{provider.issuer}|someone",
        key_id=None,
        department="unassigned",
        priority="ward",
        purpose="TREAT",
        models=None,
        requests_per_minute=60,
        tokens_per_minute=10000,
    )
    assert provider.seen == [f"/house{DISCOVERY}", "/house/keys"]
    asked = provider.headers[0]
    assert not {"Authorization", "Cookie", "User-Agent"} & set(asked)


async def test_the_order_of_the_config_decides_between_roles(provider, verifier) -> None:
    both = provider.token(roles=["other", "bedside-ward", "bedside-emergency"])
    found = await verifier.verify(both)
    assert (found.priority, found.department) == ("emergency", "Zentrale Notaufnahme")
    assert found.models == {"bedside"}
    assert (await verifier.verify(provider.token(roles="x bedside-ward"))).priority == "ward"


@pytest.mark.parametrize(
    "roles",
    [
        *(None, [], "", {}, 0, True, ["other"], ["Bedside-Ward"], "bedside-ward,other"),
        *({"bedside-ward": 1}, [["bedside-ward"]], ["bedside-ward", 1], ["bedside-ward "]),
    ],
    ids=repr,
)
async def test_without_a_role_of_ours_nobody_comes_in(provider, verifier, roles) -> None:
    error = await refusal(verifier, provider.token(roles=roles))
    assert (error.status, error.code) == (403, "no_role")
    assert error.headers == {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    assert verifier.refused == {"role": 1}


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"realm_access": {"roles": ["a", "b"]}}, "realm_access.roles", {"a", "b"}),
        ({"a": {"b": {"c": "d e"}}}, "a.b.c", {"d", "e"}),
        ({"http://house/role": "a"}, "http://house/role", {"a"}),
        ({"urn.house.role": "a"}, "urn.house.role", {"a"}),
        ({"a": {"b": ["c"]}}, "a", set()),
        ({"a": "b"}, "a.b", set()),
        ({"a": ["b"]}, "a.0", set()),
        ({}, "a..b", set()),
    ],
)
def test_roles_stand_where_the_path_leads(claims, path, found) -> None:
    assert roles_in(claims, path) == found


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA, "RS256"),
        (RSA, "RS512"),
        (RSA, "PS256"),
        (EC, "ES256"),
        (EC384, "ES384"),
        (ED, "EdDSA"),
    ],
)
@pytest.mark.parametrize("kid", [None, "k"])
async def test_every_algorithm_of_the_config_works(provider, key, algorithm, kid) -> None:
    provider.keys = [public(key, "k"), public(RSA, "enc", use="enc")]
    verifier = TokenVerifier(provider.config(algorithms=ALL))
    async with verifier.running():
        header = {"kid": kid} if kid else {}
        assert await verifier.verify(provider.token(key, algorithm, header))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None])
async def test_types_that_let_somebody_in(provider, verifier, typ) -> None:
    assert await verifier.verify(provider.token(header={"kid": "rsa", "typ": typ}))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [AUDIENCE]},
        {"aud": ["account", AUDIENCE], "azp": "another-client"},
        {"exp": FromNow(-20)},
        {"nbf": FromNow(20)},
        {"iat": FromNow(20)},
        {"exp": FromNow(3600.5)},
        {"nbf": 0},
        {"sub": "x" * 255},
        {"roles": "bedside-ward", "extra": {"deep": [1, {}]}},
    ],
    ids=repr,
)
async def test_claims_that_are_fine(provider, verifier, changes) -> None:
    assert await verifier.verify(provider.token(**changes))


# Bad tokens


@pytest.mark.parametrize(
    "alg",
    [
        *("none", "None", "NONE", "nOnE", " none", "none\0", "", None, 0, True, [], {}),
        *(["RS256"], ["none"], {"RS256": 1}, "rs256", "RS256 ", "RS384", "PS256", "ES256K"),
        *("HS256", "HS384", "HS512", "dir", "RSA1_5", "A" * 1000),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_only_algorithms_of_the_config(provider, verifier, alg) -> None:
    header = part({"alg": alg, "typ": "JWT", "kid": "rsa"})
    honest = provider.token().rpartition(".")[2]
    for signature in ("", part(b"0" * 256), "=", honest):
        token = f"{header}.{part(provider.claims())}.{signature}"
        assert await refused(verifier, token) == "algorithm"


async def test_an_algorithm_must_be_named_once(provider, verifier) -> None:
    claims = part(provider.claims())
    assert await refused(verifier, f"{part({'kid': 'rsa'})}.{claims}.") == "algorithm"
    twice = part(b'{"alg":"RS256","kid":"rsa","alg":"none"}')
    assert await refused(verifier, f"{twice}.{claims}.") == "algorithm"


@pytest.mark.parametrize(
    ("alg", "kid"),
    [
        *(("HS256", "rsa"), ("HS256", "ec"), ("HS256", "oct"), ("HS256", None)),
        *(("HS384", "rsa"), ("HS512", "oct"), ("RS256", "rsa"), ("RS256", None), ("ES256", "ec")),
    ],
)
async def test_a_public_key_is_no_shared_secret(provider, verifier, alg, kid) -> None:
    key = RSA.public_key()
    spki, pkcs1 = PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1
    pem = key.public_bytes(Encoding.PEM, spki)
    shared = b"a secret that the provider shares with another client"
    provider.keys.append({"kty": "oct", "kid": "oct", "k": part(shared), "alg": alg})
    secrets = [
        *(pem, pem.rstrip(), pem.replace(b"\n", b"\r\n"), key.public_bytes(Encoding.DER, spki)),
        *(key.public_bytes(Encoding.PEM, pkcs1), key.public_bytes(Encoding.DER, pkcs1)),
        key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        *(json.dumps(public(RSA, "rsa")).encode(), json.dumps(provider.keys[0]).encode()),
        key.public_numbers().n.to_bytes(256, "big"),
        EC.public_key().public_bytes(Encoding.PEM, spki),
        *(b"", b"\0", b"rsa", shared),
    ]
    digest = {"HS384": "sha384", "HS512": "sha512"}.get(alg, "sha256")
    signed = f"{part({'alg': alg, **({'kid': kid} if kid else {})})}.{part(provider.claims())}"
    reasons = set()
    for secret in secrets:
        signature = part(hmac.digest(secret, signed.encode(), digest))
        reasons.add(await refused(verifier, f"{signed}.{signature}"))
    assert reasons == ({"algorithm"} if alg.startswith("HS") else {"signature"})


@pytest.mark.parametrize(
    ("key", "algorithm", "kid", "reason"),
    [
        (RSA, "RS256", "ec", "unknown_key"),
        (EC, "ES256", "rsa", "unknown_key"),
        (RSA, "PS256", "rsa", "unknown_key"),  # the key itself says RS256
        (RSA, "RS512", "rsa", "unknown_key"),
        (OTHER_RSA, "RS256", "rsa", "signature"),
        (EC384, "ES384", "ec", "unknown_key"),
        (ED, "EdDSA", "ec", "unknown_key"),
    ],
)
async def test_a_key_is_for_its_own_algorithm(provider, key, algorithm, kid, reason) -> None:
    verifier = TokenVerifier(provider.config(algorithms=ALL))
    async with verifier.running():
        token = provider.token(key, algorithm, {"kid": kid})
        assert await refused(verifier, token) == reason


@pytest.mark.parametrize(
    "jwk",
    [
        public(OTHER_RSA, "bad", use="enc"),
        public(OTHER_RSA, "bad", use="SIG"),
        public(OTHER_RSA, "bad", use=["sig"]),
        public(OTHER_RSA, "bad", key_ops=["encrypt", "wrapKey"]),
        public(OTHER_RSA, "bad", key_ops="verify"),
        public(OTHER_RSA, "bad", key_ops=[]),
        public(OTHER_RSA, "bad", alg="RSA-OAEP"),
        public(OTHER_RSA, "bad", alg="PS256"),
        public(OTHER_RSA, "bad", kty="EC"),
        public(OTHER_RSA, "bad", kty="rsa"),
        public(OTHER_RSA, "bad", kty="oct", k="AAAA"),
        public(OTHER_RSA, "bad", d="AQAB"),
        public(OTHER_RSA, "bad", e="AQ"),
        public(OTHER_RSA, "bad", n="!!"),
        public(OTHER_RSA, "bad", n=17),
        public(OTHER_RSA, 17),
        public(OTHER_RSA, "Bad"),
        public(OTHER_RSA, "bad "),
        public(SMALL_RSA, "bad"),
        jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_RSA, as_dict=True)
        | {"kid": "bad", "key_ops": ["verify"]},
    ],
    ids=lambda jwk: str({k: v for k, v in jwk.items() if len(str(v)) < 20}),
)
async def test_keys_that_are_not_for_us_are_not_used(provider, verifier, jwk) -> None:
    provider.keys.append(jwk)
    key = SMALL_RSA if len(jwk["n"] if isinstance(jwk["n"], str) else "") == 171 else OTHER_RSA
    signed = f"{part({'alg': 'RS256', 'kid': 'bad'})}.{part(provider.claims())}"
    signature = part(jwt.algorithms.RSAAlgorithm(hashes.SHA256).sign(signed.encode(), key))
    assert await refused(verifier, f"{signed}.{signature}") == "unknown_key"
    assert await verifier.verify(provider.token())


@pytest.mark.parametrize(
    "kid",
    [
        *("../../etc/passwd", "/dev/null", "rsa/../rsa", "rsa\0", "RSA", "rsa ", "", "*", "."),
        *("' OR '1'='1", "rsa'; DROP TABLE keys;--", "http://127.0.0.1/keys", "file:///dev/null"),
        *("$(id)", "{{7*7}}", "%2e%2e%2f", "r\u0455a", "\ud800", "x" * 5000),
    ],
    ids=lambda kid: ascii(kid)[:20],
)
async def test_a_key_name_is_nothing_but_a_name(provider, verifier, kid) -> None:
    attack = provider.token(OTHER_RSA, header={"kid": kid})
    assert await refused(verifier, attack) == "unknown_key"
    honest = provider.token(RSA, header={"kid": kid})
    assert await refused(verifier, honest) == "unknown_key"
    assert set(provider.seen) == {f"/house{DISCOVERY}", "/house/keys"}


@pytest.mark.parametrize("kid", [0, 1.5, True, None, [], ["rsa"], {"rsa": 1}], ids=repr)
async def test_a_key_name_is_a_string(provider, verifier, kid) -> None:
    header = part({"alg": "RS256", "kid": kid})
    assert await refused(verifier, f"{header}.{part(provider.claims())}.AAAA") == "malformed"


async def test_without_a_key_name_only_one_key_may_fit(provider, verifier) -> None:
    assert await verifier.verify(provider.token(header={}))
    provider.keys.append(public(OTHER_RSA, "new"))
    assert await verifier.verify(provider.token(OTHER_RSA, header={"kid": "new"}))
    for key in (RSA, OTHER_RSA):
        assert await refused(verifier, provider.token(key, header={})) == "ambiguous_key"


async def test_two_keys_of_one_name_are_none(provider, verifier) -> None:
    provider.keys.append(public(OTHER_RSA, "rsa"))
    for key in (RSA, OTHER_RSA):
        assert await refused(verifier, provider.token(key)) == "ambiguous_key"
    assert await verifier.verify(provider.token(EC, "ES256", {"kid": "ec"}))


@pytest.mark.parametrize("kid", [None, "rsa", "new", "attacker"])
async def test_keys_that_a_token_brings_along_are_not_used(provider, verifier, kid) -> None:
    async with serving(Provider(keys=[public(OTHER_RSA, "attacker")])) as attacker:
        elsewhere = f"{attacker.issuer}/keys"
        for extra in (
            {"jku": elsewhere},
            {"x5u": elsewhere},
            {"jwk": public(OTHER_RSA, "attacker")},
            {"x5c": [part(b"certificate")], "x5t": "AAAA", "x5t#S256": "AAAA"},
            {"jku": elsewhere, "jwk": public(OTHER_RSA, "rsa"), "iss": attacker.issuer},
        ):
            header = {**extra, **({} if kid is None else {"kid": kid})}
            reason = await refused(verifier, provider.token(OTHER_RSA, header=header))
            assert reason == ("signature" if kid in (None, "rsa") else "unknown_key")
            foreign = provider.token(OTHER_RSA, header=header, iss=attacker.issuer)
            assert await refused(verifier, foreign) == reason
        assert attacker.seen == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": FromNow(-31)}, "expired"),
        ({"exp": 0}, "expired"),
        ({"exp": -(10**30)}, "expired"),
        ({"nbf": FromNow(90)}, "not_yet_valid"),
        ({"nbf": 10**30}, "not_yet_valid"),
        ({"iat": FromNow(90)}, "not_yet_valid"),
        ({"exp": float("nan")}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
        ({"nbf": float("-inf")}, "malformed"),
        ({"exp": "9999999999"}, "claims"),
        ({"exp": True}, "expired"),
        ({"exp": [9999999999]}, "malformed"),
        ({"iat": "1"}, "claims"),
        ({"iat": False}, "claims"),
        ({"nbf": "1"}, "claims"),
        *(({name: None}, "claims") for name in ("exp", "iat", "aud", "sub")),
        ({"iss": None}, "claims"),
        ({"aud": "Bedside"}, "audience"),
        ({"aud": "bedside2"}, "audience"),
        ({"aud": "bed"}, "audience"),
        ({"aud": "bedside "}, "audience"),
        ({"aud": ["account", "other"]}, "audience"),
        ({"aud": [AUDIENCE, 1]}, "audience"),
        ({"aud": [[AUDIENCE]]}, "audience"),
        ({"aud": {AUDIENCE: 1}}, "audience"),
        ({"aud": []}, "claims"),
        ({"aud": ""}, "claims"),
        ({"sub": ""}, "claims"),
        ({"sub": "x" * 256}, "claims"),
        ({"sub": 17}, "malformed"),
        ({"sub": ["someone"]}, "malformed"),
        ({"azp": 17, "aud": [AUDIENCE, "x"]}, "claims"),
        ({"azp": ["x"]}, "claims"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_claims_that_are_not_fine(provider, verifier, changes, reason) -> None:
    assert await refused(verifier, provider.token(**changes)) == reason


async def test_a_claim_of_nothing_is_a_missing_claim(provider, verifier) -> None:
    for name in ("exp", "iat", "iss", "aud", "sub"):
        claims = json.dumps({**provider.claims(), name: None}).encode()
        token = jwt.api_jws.encode(claims, RSA, "RS256", {"kid": "rsa"})
        assert await refused(verifier, token) == "claims"


async def test_the_issuer_is_ours_to_the_letter(provider, verifier) -> None:
    issuer = provider.issuer
    for other in (
        *(f"{issuer}/", issuer.upper(), issuer.replace("http", "https"), issuer[:-1], f" {issuer}"),
        *(issuer.replace("127.0.0.1", "localhost"), f"{issuer}#", f"{issuer}?", ""),
        "https://attacker.example",
    ):
        assert await refused(verifier, provider.token(iss=other)) == "issuer"
    claims = json.dumps({**provider.claims(), "iss": [issuer]}).encode()
    token = jwt.api_jws.encode(claims, RSA, "RS256", {"kid": "rsa"})
    assert await refused(verifier, token) == "issuer"


@pytest.mark.parametrize(
    "typ",
    ["logout+jwt", "dpop+jwt", "JWE", "ID", "secevent+jwt", "jwt ", " ", 1, [], ["JWT"], True, {}],
    ids=repr,
)
async def test_types_that_let_nobody_in(provider, verifier, typ) -> None:
    header = part({"alg": "RS256", "kid": "rsa", "typ": typ})
    signed = f"{header}.{part(provider.claims())}".encode()
    signature = part(jwt.algorithms.RSAAlgorithm(hashes.SHA256).sign(signed, RSA))
    assert await refused(verifier, f"{signed.decode()}.{signature}") == "type"


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, "exp", {}], ids=repr)
async def test_no_critical_extension_is_understood(provider, verifier, crit) -> None:
    header = part({"alg": "RS256", "kid": "rsa", "crit": crit, "exp": 1, "b64": True})
    signed = f"{header}.{part(provider.claims())}".encode()
    signature = part(jwt.algorithms.RSAAlgorithm(hashes.SHA256).sign(signed, RSA))
    assert await refused(verifier, f"{signed.decode()}.{signature}") in ("crit", "malformed")


async def test_broken_tokens(provider, verifier) -> None:
    good = provider.token()
    header, claims, signature = good.split(".")
    nested = b'{"alg":"RS256","x":' + b"[" * 5000 + b"]" * 5000 + b"}"
    for token in (
        *("", ".", "..", "...", "a.b.c", header, f"{header}.{claims}", f"{good}.", f".{good}"),
        *(f"{header}.{claims}.{signature}.{signature}", f"{header}..{claims}.{signature}.x"),
        *(f"{good}\n", f" {good}", f"{good}\0", f"{good}é", "\ud800.\ud800.\ud800", "Bearer x.y.z"),
        *(
            f"{part(raw)}.{claims}.{signature}"
            for raw in (b"\xff\xfe{", b"[]", b"1", b"null", b"{")
        ),
        f"{part(nested)}.{claims}.{signature}",
        f"{part(b'{' + b'9' * 5000 + b'}')}.{claims}.{signature}",
        f"{header}.{claims}!.{signature}",
        f"{header}.{claims}.{signature}===",
        f"{header.replace('e', '+', 1)}.{claims}.{signature}",
    ):
        assert await refused(verifier, token) == "malformed", ascii(token)[:60]
    for token in (f"{header}.{claims}.", f"{header}.{claims}.{signature[:-2]}", f"{header}..AAAA"):
        assert await refused(verifier, token) == "signature"
    encrypted = ".".join([part({"alg": "RSA-OAEP", "enc": "A256GCM"}), *["AAAA"] * 4])
    assert await refused(verifier, encrypted) == "malformed"
    assert await verifier.verify(good)


async def test_signed_content_that_is_no_token(provider, verifier) -> None:
    deep = b'{"a":' * 1500 + b"1" + b"}" * 1500
    for payload in (b"", b"null", b"[]", b"1", b"\xff", b"{", deep, provider.token().encode()):
        token = jwt.api_jws.encode(payload, RSA, "RS256", {"kid": "rsa"})
        assert await refused(verifier, token) == "malformed"


async def test_a_huge_token_is_not_even_looked_at(provider, verifier, monkeypatch) -> None:
    big = provider.token(padding="x" * MAX_TOKEN_BYTES)
    monkeypatch.setattr(jwt, "get_unverified_header", None)
    for token in (big, "." * 10**7, "x" * (MAX_TOKEN_BYTES + 1)):
        assert await refused(verifier, token) == "size"


FUZZ = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@FUZZ
@given(data=st.data())
async def test_a_changed_bit_is_a_refused_token(provider, verifier, data) -> None:
    key, algorithm, kid = data.draw(st.sampled_from([(RSA, "RS256", "rsa"), (EC, "ES256", "ec")]))
    parts = provider.token(key, algorithm, {"kid": kid}).split(".")
    index = data.draw(st.integers(0, 2))
    raw = bytearray(base64.urlsafe_b64decode(parts[index] + "=="))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    changed = [*parts[:index], part(bytes(raw)), *parts[index + 1 :]]
    await refused(verifier, ".".join(changed))
    cut = data.draw(st.integers(0, len(parts[2]) - 1))
    await refused(verifier, ".".join([*parts[:2], parts[2][:cut]]))


@FUZZ
@given(header=json_values, payload=json_values, tail=st.binary(max_size=80), text=st.text())
async def test_anything_else_is_refused_too(verifier, header, payload, tail, text) -> None:
    shaped = [part(json.dumps(value).encode()) for value in (header, payload)]
    named = part({"alg": "RS256", "kid": "rsa", **(header if isinstance(header, dict) else {})})
    for token in (text, ".".join([*shaped, part(tail)]), ".".join([named, shaped[1], part(tail)])):
        await refused(verifier, token)


@settings(max_examples=150, deadline=None)
@given(document=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_document_breaks_the_key_reader(document) -> None:
    try:
        assert usable_keys(document, ALL)[0] == ()
    except ProviderError as error:
        assert str(error) == "jwks"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_member_breaks_the_key_reader(data) -> None:
    jwk = public(data.draw(st.sampled_from([RSA, EC, EC384, ED])), "k")
    names = st.sampled_from(["kty", "kid", "use", "key_ops", "alg", "crv", "n", "e", "x", "y", "d"])
    odd = json_values | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed448", "AQAB", "sig", "é="])
    jwk |= data.draw(st.dictionaries(names, odd, min_size=1, max_size=3))
    document = json.dumps({"keys": [jwk, public(ED, "good")]}).encode()
    keys, ignored = usable_keys(document, ALL)
    assert "good" in {key.key_id for key in keys}
    assert ignored in (0, 1)


async def test_a_clock_that_jumps_finds_no_remembered_answer(
    provider, verifier, monkeypatch
) -> None:
    token = provider.token()
    assert await verifier.verify(token)
    ahead = timedelta(0)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + ahead

    monkeypatch.setattr(jwt.api_jwt, "datetime", Jumping)
    assert await verifier.verify(token)
    ahead = timedelta(hours=1)
    assert await refused(verifier, token) == "expired"
    ahead = timedelta(hours=-1)
    assert await refused(verifier, token) == "not_yet_valid"


# The provider


async def test_a_new_key_is_found_at_once(provider, verifier) -> None:
    assert await verifier.verify(provider.token())
    provider.keys = [public(OTHER_RSA, "next")]
    new = provider.token(OTHER_RSA, header={"kid": "next"})
    found = await asyncio.gather(*(verifier.verify(new) for _ in range(50)))
    assert len(found) == 50
    assert provider.fetches == 2
    assert await refused(verifier, provider.token()) == "unknown_key"  # withdrawn


async def test_invented_keys_do_not_flood_the_provider(provider, verifier, monkeypatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(jwks, "monotonic", lambda: now)
    assert await verifier.verify(provider.token())
    tokens = [provider.token(OTHER_RSA, header={"kid": f"k{n}"}) for n in range(30)]
    for _ in range(3):
        reasons = await asyncio.gather(*(refusal(verifier, token) for token in tokens))
        assert {error.code for error in reasons} == {"invalid_token"}
    assert provider.fetches == 2
    now += jwks.ASK_SECONDS
    await asyncio.gather(*(refusal(verifier, token) for token in tokens))
    assert provider.fetches == 3


async def test_who_gives_up_does_not_end_the_fetch_for_others(provider, monkeypatch) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await go.wait()
        return web.json_response({"keys": provider.keys})

    provider.answer["/house/keys"] = slow
    verifier = TokenVerifier(provider.config())
    async with verifier.running():
        impatient, patient = (
            asyncio.create_task(verifier.verify(provider.token())) for _ in range(2)
        )
        await arrived.wait()
        impatient.cancel()
        await asyncio.wait([impatient])
        go.set()
        assert (await patient).priority == "ward"
        assert provider.fetches == 1


def quick(config: OidcConfig) -> OidcConfig:
    """The same, fetching more often than a config may ask for."""
    return config.model_copy(update={"refresh_seconds": 0.02})


async def test_an_outage_is_survived_for_a_while(provider, monkeypatch, caplog) -> None:
    now = 1000.0  # so that 3600 more are exactly 3600
    monkeypatch.setattr(jwks, "monotonic", lambda: now)
    caplog.set_level(logging.WARNING)
    verifier = TokenVerifier(quick(provider.config(outage_seconds=3600)))
    token = provider.token()

    async def closed() -> bool:
        try:
            await verifier.verify(token)
        except ApiError as error:
            assert (error.status, error.code) == (503, "identity_provider_unavailable")
            assert int(error.headers["Retry-After"]) > 0
            return True
        return False

    async def open_again() -> bool:
        return not await closed()

    async def failed_again() -> bool:
        return len(caplog.records) > failures

    async with verifier.running():
        assert not await closed()
        provider.says("/house/keys", status=500)
        for passed, is_closed in ((0, False), (3600, False), (1, True), (10**6, True)):
            now += passed
            failures = len(caplog.records)
            await until(failed_again)
            assert await closed() is is_closed
        assert verifier.refused == {"provider": 2}
        assert await refused(verifier, "no token") == "malformed"  # whoever is away
        provider.answer.clear()
        await until(open_again)
    assert {record.bedside["reason"] for record in caplog.records} == {"status"}
    assert caplog.records[0].bedside["usable"] is True
    assert caplog.records[-1].bedside["usable"] is False


async def test_a_withdrawn_key_is_forgotten_without_being_asked(provider) -> None:
    verifier = TokenVerifier(quick(provider.config()))
    async with verifier.running():
        token = provider.token()
        assert await verifier.verify(token)
        del provider.keys[0]

        async def gone() -> bool:
            try:
                await verifier.verify(token)
            except ApiError as error:
                return error.status == 401
            return False

        await until(gone)


async def test_a_set_without_a_key_for_us_lets_nobody_in(provider, caplog) -> None:
    provider.keys = [public(RSA, "rsa", use="enc"), {"kty": "oct", "k": "AAAA"}]
    verifier = TokenVerifier(provider.config())
    async with verifier.running():
        assert (await refusal(verifier, provider.token())).status == 503
    assert "no key of the identity provider is usable here" in caplog.messages


KEYS, DOCUMENT = "/house/keys", f"/house{DISCOVERY}"
padded = b'{"keys":[]' + b" " * jwks.MAX_ANSWER_BYTES + b"}"


@pytest.mark.parametrize(
    ("path", "response", "reason"),
    [
        (KEYS, {"status": 500}, "status"),
        (KEYS, {"status": 404, "body": b'{"keys":[]}'}, "status"),
        (KEYS, {"status": 204}, "status"),
        (KEYS, {"status": 302, "headers": {"Location": "/elsewhere"}}, "status"),
        (DOCUMENT, {"status": 301, "headers": {"Location": "/elsewhere"}}, "status"),
        (DOCUMENT, {"body": b"<html>login</html>"}, "discovery"),
        (DOCUMENT, {"body": b'{"issuer":1,"jwks_uri":2}'}, "discovery"),
        (DOCUMENT, {"body": b"[" * 100000}, "discovery"),
        (KEYS, {"body": b""}, "jwks"),
        (KEYS, {"body": b"\xff\xfe\x00"}, "jwks"),
        (KEYS, {"body": b"[]"}, "jwks"),
        (KEYS, {"body": b'{"keys":{}}'}, "jwks"),
        (KEYS, {"body": b'{"keys":[' + b"{}," * 300 + b"{}]}"}, "jwks"),
        (KEYS, {"body": b'{"keys":' + b"[" * 100000 + b"}"}, "jwks"),
        (
            KEYS,
            {"body": gzip.compress(padded, mtime=0), "headers": {"Content-Encoding": "gzip"}},
            "jwks",
        ),
        (KEYS, {"body": padded}, "size"),
        (DOCUMENT, {"body": padded}, "size"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_strange_answer_is_no_answer(provider, caplog, path, response, reason) -> None:
    provider.says(path, **response)
    verifier = TokenVerifier(provider.config())
    async with verifier.running():
        error = await refusal(verifier, provider.token())
        assert (error.status, error.code) == (503, "identity_provider_unavailable")
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.bedside["reason"] == reason
    assert "/elsewhere" not in provider.seen


@pytest.mark.parametrize(
    ("discovery", "reason"),
    [
        ({"issuer": "https://attacker.example"}, "issuer"),
        ({"issuer": ""}, "issuer"),
        ({"jwks_uri": "http://idp.example/keys"}, "jwks_uri"),
        ({"jwks_uri": "http://127.0.0.1@idp.example/keys"}, "jwks_uri"),
        ({"jwks_uri": "file:///dev/null"}, "jwks_uri"),
        ({"jwks_uri": "//127.0.0.1/keys"}, "jwks_uri"),
        ({"jwks_uri": "https://[bad/keys"}, "jwks_uri"),
        ({"jwks_uri": "https://x:99999/keys"}, "jwks_uri"),
        ({"jwks_uri": ""}, "jwks_uri"),
        ({"jwks_uri": "https://:443/"}, "jwks_uri"),
        ({"jwks_uri": "https://a b/\x7f"}, "connection"),
        ({"jwks_uri": "http://127.0.0.1:1/keys"}, "connection"),
    ],
    ids=str,
)
async def test_discovery_must_be_about_our_issuer(provider, caplog, discovery, reason) -> None:
    provider.discovery = discovery
    verifier = TokenVerifier(provider.config())
    async with verifier.running():
        assert (await refusal(verifier, provider.token())).status == 503
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.bedside["reason"] == reason
    assert provider.seen == [DOCUMENT]


async def test_a_provider_that_hangs_or_drips_costs_a_bounded_time(
    provider, monkeypatch, caplog
) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.abort()
        return response

    for answer, reason, seconds in (
        (hang, "timeout", 0.3),
        (drip, "timeout", 0.3),
        (break_off, "connection", 60),
    ):
        monkeypatch.setattr(jwks, "FETCH_SECONDS", seconds)
        caplog.clear()
        provider.answer["/house/keys"] = answer
        verifier = TokenVerifier(provider.config())
        visits = len(provider.seen)
        async with asyncio.timeout(30), verifier.running():
            assert len(provider.seen) == visits  # starting does not wait
            errors = await asyncio.gather(*(refusal(verifier, provider.token()) for _ in range(20)))
            assert {error.status for error in errors} == {503}
        (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert record.bedside["reason"] == reason


async def test_a_provider_that_starts_late_is_found(monkeypatch, unused_tcp_port) -> None:
    monkeypatch.setattr(jwks, "RETRY_SECONDS", 0.05)
    provider = Provider(port=unused_tcp_port)
    verifier = TokenVerifier(provider.config())
    async with verifier.running():
        assert (await refusal(verifier, provider.token())).code == "identity_provider_unavailable"
        async with serving(provider):

            async def open_now() -> bool:
                try:
                    return bool(await verifier.verify(provider.token()))
                except ApiError:
                    return False

            await until(open_now)


async def test_a_bug_in_one_fetch_does_not_end_the_next(provider, monkeypatch) -> None:
    monkeypatch.setattr(jwks, "RETRY_SECONDS", 0.05)
    broken = asyncio.Event()

    def bug(*arguments: Any) -> Any:
        broken.set()
        raise RuntimeError("a bug")

    monkeypatch.setattr(jwks, "usable_keys", bug)
    verifier = TokenVerifier(provider.config())
    async with verifier.running():
        assert (await refusal(verifier, provider.token())).status == 503
        assert broken.is_set()
        monkeypatch.setattr(jwks, "usable_keys", usable_keys)

        async def open_again() -> bool:
            try:
                return bool(await verifier.verify(provider.token()))
            except ApiError:
                return False

        await until(open_again)


async def test_keys_may_have_an_address_of_their_own(provider) -> None:
    verifier = TokenVerifier(provider.config(jwks_url=f"{provider.issuer}/keys"))
    async with verifier.running():
        assert await verifier.verify(provider.token())
    assert provider.seen == ["/house/keys"]


async def test_an_issuer_may_end_with_a_slash(provider) -> None:
    provider.discovery = {"issuer": f"{provider.issuer}/"}
    verifier = TokenVerifier(provider.config(issuer=f"{provider.issuer}/"))
    async with verifier.running():
        assert await verifier.verify(provider.token(iss=f"{provider.issuer}/"))
        assert await refused(verifier, provider.token()) == "issuer"


async def test_no_proxy_of_the_environment_is_used(provider, monkeypatch, verifier) -> None:
    async with serving(Provider()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await verifier.verify(provider.token())
        assert proxy.seen == []


# TLS


def certificate(issuer_key: Any = None, authority: bool = False) -> tuple[x509.Certificate, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, "house" if authority else "idp")]
    )
    house = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "house")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(house, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
    )
    return builder.sign(issuer_key or key, hashes.SHA256()), key


async def test_only_the_house_s_authority_is_trusted(tmp_path: Path, caplog) -> None:
    authority, authority_key = certificate(authority=True)
    leaf, leaf_key = certificate(authority_key)
    stranger, _ = certificate(authority=True)
    pem = Encoding.PEM
    (tmp_path / "house.pem").write_bytes(authority.public_bytes(pem))
    (tmp_path / "stranger.pem").write_bytes(stranger.public_bytes(pem))
    (tmp_path / "leaf.pem").write_bytes(
        leaf.public_bytes(pem) + leaf_key.private_bytes(pem, Private.PKCS8, NoEncryption())
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "leaf.pem")
    async with serving(Provider(scheme="https"), tls) as provider:
        verifier = TokenVerifier(provider.config(ca_file=tmp_path / "house.pem"))
        async with verifier.running():
            assert await verifier.verify(provider.token())
        for ca_file in (None, tmp_path / "stranger.pem"):
            caplog.clear()
            verifier = TokenVerifier(provider.config(ca_file=ca_file))
            async with verifier.running():
                assert (await refusal(verifier, provider.token())).status == 503
            (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
            assert record.bedside["reason"] == "tls"


def test_an_authority_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "garbage.pem").write_text("no certificate")
    for name in ("missing.pem", "garbage.pem", "."):
        config = Provider(port=443).config(ca_file=tmp_path / name)
        with pytest.raises(ConfigError, match=r"inference\.oidc\.ca_file"):
            TokenVerifier(config)


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issuer": "http://idp.example"}, "issuer.*https"),
        ({"issuer": "idp.example"}, "issuer.*https"),
        ({"issuer": "https://user:word@idp.example"}, "issuer.*https"),
        ({"jwks_url": "http://idp.example/keys"}, "jwks_url.*https"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"roles": {}}, "roles"),
        ({"roles_claim": ""}, "roles_claim"),
        ({"refresh_seconds": 300, "outage_seconds": 300}, "outage_seconds.*refresh_seconds"),
    ],
    ids=str,
)
def test_settings_that_would_let_anybody_or_nobody_in(changes, message) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Provider(port=443).config(**changes)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://idp.example", True),
        ("https://idp.example:8443/realms/house", True),
        ("http://127.0.0.1:8080", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost:8080", True),
        ("HTTPS://idp.example", True),
        ("http://127.0.0.1.example", False),
        ("http://localhost.example", False),
        ("http://0.0.0.0", False),
        ("http://10.0.0.1", False),
        ("http://2130706433", False),
        ("http://localhost@idp.example", False),
        ("https://user@idp.example", False),
        ("https://idp.example#x", False),
        ("https://", False),
        ("https:///path", False),
        ("https://idp.example:0", False),
        ("https://idp.example:x", False),
        ("ftp://127.0.0.1", False),
        ("", False),
    ],
)
def test_what_nobody_on_the_way_can_change(url, secure) -> None:
    assert is_secure(url) is secure


async def test_keys_are_only_fetched_while_they_are_kept(provider) -> None:
    def working() -> list[str]:
        return [found for task in asyncio.all_tasks() if "Keys." in (found := repr(task))]

    keys = Keys(provider.config())
    assert not keys.usable
    async with keys.running():
        await keys.find("RS256", "rsa")
        assert keys.usable
        assert len(working()) == 1
    assert working() == []
    assert provider.fetches == 1


async def test_the_gateway_serves_keys_while_tokens_wait(
    open_gateway, config, engine, monkeypatch, unused_tcp_port
) -> None:
    monkeypatch.setattr(jwks, "RETRY_SECONDS", 0.05)
    provider = Provider(port=unused_tcp_port)
    async with open_gateway(config.model_copy(update={"oidc": provider.config()})) as door:

        async def ask(credential: str) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {credential}"}
            async with door.session.get(f"{door.url}/v1/models", headers=headers) as answer:
                return answer.status, (await answer.json()).get("error", {}).get("code")

        assert await ask(door.key) == (200, None)
        assert await ask(provider.token()) == (503, "identity_provider_unavailable")
        assert await ask(provider.token()[:-2] + ".") == (401, "invalid_token")
        async with serving(provider):

            async def open_now() -> bool:
                return await ask(provider.token()) == (200, None)

            await until(open_now)
            assert await ask(provider.token(exp=1)) == (401, "invalid_token")
            assert await ask(provider.token(roles=[])) == (403, "no_role")
            assert await ask(door.key) == (200, None)


async def test_who_is_locked_out_is_out_within_a_second(
    open_gateway, config, engine, provider, home, tmp_path
) -> None:
    """Her streams end, her valid token is refused, and nobody is told whose pseudonym it was."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = await engine.open_stream(request)
        await response.write(engine.chunk("a"))
        await asyncio.sleep(600)
        return response

    said = b""

    async def operator(*words: str) -> int | None:
        nonlocal said
        command = ["-m", "bedside_core.cli", "inference", "persons", *words, "--config", str(run)]
        verb = await asyncio.create_subprocess_exec(
            sys.executable, *command, env={**os.environ, "BEDSIDE_HOME": str(home)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said += (await verb.communicate())[0]
        return verb.returncode

    engine.script = endless
    oidc = config.model_copy(update={"oidc": provider.config()})
    run = tmp_path / "run.yaml"
    run.write_text(json.dumps({"name": "r", "inference": oidc.model_dump(mode="json")}))
    async with open_gateway(oidc) as door:
        door.key = provider.token(sub="else")
        async with door.chat(stream=True) as other:
            await other.content.readexactly(len(engine.marked(engine.chunk("a"))))
            door.key = provider.token(sub="her")
            async with door.chat(stream=True) as answer:
                await answer.content.readexactly(len(engine.marked(engine.chunk("a"))))
                assert await operator("lock-out", f"{provider.issuer}|her") == 0
                async with asyncio.timeout(10):  # ten times what is promised
                    rest = await answer.content.read()
                assert json.loads(rest.removeprefix(b"data: "))["error"]["code"] == "locked_out"
            async with door.chat() as refused:
                assert refused.status == 403
                assert (await refused.json())["error"]["code"] == "locked_out"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await other.content.read()
        # By the pseudonym that the audit has of the one who is not out yet.
        directory = audit_directory(oidc.audit, home)
        pseudonym = Pseudonyms(directory, oidc.audit).of(f"{provider.issuer}|else")
        assert await operator("lock-out", pseudonym) == 0
        assert await operator("lock-out", pseudonym) == 0
        assert b"locked out are now: 2" in said
        assert await operator("readmit", f"{provider.issuer}|her") == 0
        assert await operator("readmit", f"{provider.issuer}|her") == 3
        await door.looked()
        door.key = provider.token(sub="her")
        async with door.session.get(f"{door.url}/v1/models", headers=door.authorization) as now:
            assert now.status == 200
        door.key = provider.token(sub="else")
        async with door.session.get(f"{door.url}/v1/models", headers=door.authorization) as out:
            assert out.status == 403
    written = b"".join(f.read_bytes() for f in home.rglob("*") if f.is_file())
    for place in said, written:
        assert b"|her" not in place
        assert b"|else" not in place


# Leaks


async def test_no_token_and_no_claim_comes_out(provider, verifier, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "zimtstern"
    signature = part(b"x" * 256)
    tokens = [
        provider.token(sub=canary, roles=[canary]),
        provider.token(sub=canary, exp=1),
        provider.token(aud=canary, sub=canary),
        provider.token(iss=f"https://{canary}"),
        provider.token(exp=canary),
        provider.token(header={"kid": canary}),
        provider.token(OTHER_RSA, header={"kid": "rsa", "x": canary}),
        canary,
        f"{part(canary.encode())}.{part(canary.encode())}.{signature}",
        f"{part({'alg': canary})}.{part({canary: canary})}.{signature}",
        f"{part({'alg': 'RS256', 'kid': {canary: 1}})}.{part({})}.{signature}",
        f"{part({'alg': 'RS256', 'typ': canary})}.{part({})}.{signature}",
        jwt.api_jws.encode(b'{"a":' + canary.encode(), RSA, "RS256", {"kid": "rsa"}),
    ]
    forbidden = {canary, part(canary.encode())[:-2]}
    for token in tokens:
        forbidden.add(token.rpartition(".")[2])
        error = await refusal(verifier, token)
        seen = "".join(traceback.format_exception(error)) + json.dumps(error.body)
        seen += repr(error.__dict__)
        assert not [word for word in forbidden if word in seen]
    said = "".join(f"{record.getMessage()}{record.__dict__}" for record in caplog.records)
    assert len(caplog.records) >= len(tokens)
    assert not [word for word in forbidden if word in said]
    assert hashlib.sha256(tokens[0].encode()).hexdigest() not in said
    assert not [word for word in forbidden if word in str(verifier.refused)]

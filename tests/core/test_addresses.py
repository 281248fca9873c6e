"""Places of this house, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_core.addresses import is_in_house

IN_HOUSE = (
    *("http://127.0.0.1:4318", "https://127.8.9.1", "http://[::1]:4318", "http://10.0.0.1"),
    *("http://172.31.255.254:1", "http://192.168.0.1:65535/otlp", "http://[fd00::1]:4318/"),
    *("http://169.254.1.1", "http://[fe80::1]", "http://collector:4318", "http://localhost"),
    *("http://otel_collector", "https://otel.monitoring.svc", "https://otel.klinik.internal/a/b"),
    *("http://otel.monitoring.svc.cluster.local:4318", "http://NAS.local"),
)
OUTSIDE = (
    *("http://8.8.8.8:4318", "http://172.32.0.1", "http://192.169.0.1", "http://11.0.0.1"),
    *("http://0.0.0.0", "http://100.64.0.1", "http://[2001:db8::1]", "http://[::ffff:8.8.8.8]"),
    *("http://otel.example.com", "http://collector.", "http://evil.svc.com", "http://local.de"),
    *(
        "http://134744072",
        "http://0x08080808",
        "http://010.8.8.8",
        "http://1.2.3",
        "http://300.1.1.1",
    ),
    *("http://user@127.0.0.1", "http://127.0.0.1@evil.com", "http://evil.com\\@127.0.0.1"),
    *("http://127.0.0.1\n.evil.com", "http://127.0.0.1\\.evil.com", "http://127.0.0.1#@evil.com"),
    *("http://127.0.0.1?x", "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.1:x"),
    *("grpc://127.0.0.1", "127.0.0.1:4318", "//127.0.0.1", "file:///etc/passwd", "http://", ""),
    *("http:///v1", "http://[::1", "http://::1", "http://[127.0.0.1%eth0]", "http://ｌocalhost"),
    *("http://127.0.0.1/ ", " http://127.0.0.1", "http://.local", "http://a..local", "http://-"),
)


@pytest.mark.parametrize("url", IN_HOUSE)
def test_places_of_this_house(url) -> None:
    assert is_in_house(url)


@pytest.mark.parametrize("url", OUTSIDE)
def test_places_that_are_not(url) -> None:
    assert not is_in_house(url)


@given(st.ip_addresses())
def test_no_public_address_is_one_of_this_house(address) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    if is_in_house(f"http://{host}:4318"):
        assert not address.is_global


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_not(text) -> None:
    assert is_in_house(f"http://{text}") in (True, False)

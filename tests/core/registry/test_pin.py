"""Where a house's fingerprint is said, outside its registry."""

from __future__ import annotations

import pytest

from bedside_core.errors import ArtifactError, ConfigError
from bedside_core.registry.keyring import Keyring
from bedside_core.registry.pin import Pin

FINGERPRINT = "0123456789abcdef" * 4


def test_by_default_beside_the_home(tmp_path, monkeypatch) -> None:
    for name in ("BEDSIDE_PIN", "BEDSIDE_PIN_FILE"):
        monkeypatch.delenv(name, raising=False)
    pin = Pin.from_environment(tmp_path / "home")
    assert (pin.path, pin.given, pin.read()) == (tmp_path / "home.pin", None, None)
    pin.write(FINGERPRINT)
    assert pin.read() == FINGERPRINT
    assert pin.path.stat().st_mode & 0o777 == 0o644  # the engine may run as somebody else


def test_the_variables(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BEDSIDE_PIN_FILE", str(tmp_path / "p"))
    monkeypatch.setenv("BEDSIDE_PIN", "")
    assert Pin.from_environment(tmp_path / "home").path == tmp_path / "p"
    monkeypatch.setenv("BEDSIDE_PIN", FINGERPRINT)
    pin = Pin.from_environment(tmp_path / "home")
    assert (pin.read(), pin.where) == (FINGERPRINT, "BEDSIDE_PIN")
    monkeypatch.setenv("BEDSIDE_PIN", "fingerprint")
    with pytest.raises(ConfigError, match="BEDSIDE_PIN: not a fingerprint"):
        Pin.from_environment(tmp_path / "home")


@pytest.mark.parametrize("content", [b"", b"\xff", b"0" * 63, FINGERPRINT.upper().encode()])
def test_a_file_that_says_something_else(tmp_path, content) -> None:
    pin = Pin(tmp_path / "pin")
    pin.path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"not a fingerprint of 64 .* restore it") as error:
        pin.read()
    assert "\xff" not in str(error.value)


def test_a_folder_in_its_place(tmp_path) -> None:
    with pytest.raises(ArtifactError, match="not a fingerprint"):
        Pin(tmp_path).read()


def test_neither_house_nor_pin_is_a_beginning(tmp_path) -> None:
    Pin(tmp_path / "pin").check(Keyring(), tmp_path / "log.jsonl")
    with pytest.raises(ArtifactError, match=r"pins a house, and .* holds none"):
        Pin(tmp_path / "pin", given=FINGERPRINT).check(Keyring(), tmp_path / "log.jsonl")

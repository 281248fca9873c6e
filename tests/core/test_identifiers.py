import stat
import threading

import pytest

from bedside_core.errors import ArtifactError
from bedside_core.identifiers import Identifiers, make_key

NAMES = Identifiers(bytes(range(32)))


def test_one_patient_is_one_name_however_systems_write_the_number():
    spelt = ["0012345", "12345", " 12 345", "12-345", "12345.0", "１２３４５"]
    assert len({NAMES.patient(number) for number in spelt}) == 1
    assert NAMES.patient("Fall-7a") == NAMES.patient("FALL 007A")
    others = ["12346", "1234", "123450", "A12345"]
    assert len({NAMES.patient(number) for number in ("12345", *others)}) == 5


@pytest.mark.parametrize("number", ["", " ", "-", "n/a", "NULL", "000", "nan", "?"])
def test_what_stands_for_a_missing_number_is_no_patient(number):
    assert NAMES.patient(number) is None


def test_names_of_another_key_or_kind_have_nothing_in_common():
    other = Identifiers(bytes(32))
    assert NAMES.patient("7") != other.patient("7")
    assert NAMES.key_id != other.key_id
    assert NAMES.patient("7") != NAMES.document("7")
    assert NAMES.document("07") != NAMES.document("7")
    assert len(NAMES.document("half a surrogate \ud800")) == 64


def test_the_key_is_made_once_whoever_asks_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "keys/identifiers.key"
    threads = [threading.Thread(target=make_key, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    key = path.read_bytes()
    make_key(path)
    assert path.read_bytes() == key
    assert len(set(key)) > 8
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_is_none_is_refused(tmp_path):
    path = tmp_path / "identifiers.key"
    with pytest.raises(ArtifactError, match="restore it from a backup"):
        Identifiers.read(path)
    path.write_bytes(bytes(31))
    path.chmod(0o600)
    with pytest.raises(ArtifactError, match="31 bytes"):
        Identifiers.read(path)
    path.write_bytes(bytes(32))
    path.chmod(0o640)
    with pytest.raises(ArtifactError, match="chmod 600"):
        Identifiers.read(path)

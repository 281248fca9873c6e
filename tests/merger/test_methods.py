"""Our table of methods against mergekit's own registry: a new version shows here what changed."""

from __future__ import annotations

from typing import get_args

import pytest
from mergekit.merge_methods import MergeMethod, ParameterScope, registered_methods

from bedside_merger.methods import METHODS, Method, MethodName

REGISTERED = {method.spec.name: method for method in registered_methods()}
LEFT_OUT: dict[str, str] = {}
"""Methods that Bedside does not offer, and why."""


def test_every_method_is_offered_or_left_out_for_a_reason() -> None:
    assert {*METHODS, *LEFT_OUT} == set(REGISTERED)
    assert set(get_args(MethodName)) == set(METHODS)


def as_ours(method: MergeMethod) -> Method:
    spec = method.spec
    contract, base = spec.contract, spec.contract.base.value
    origin = base == "required"
    fewest = max(contract.min_non_base or 0, contract.min_inputs - origin, 1)
    most = contract.max_inputs and contract.max_inputs - origin
    whole = [p.name for p in spec.parameters if p.scope == ParameterScope.SHARED]
    each = [p.name for p in spec.parameters if p.scope != ParameterScope.SHARED]
    needed = [p.name for p in spec.parameters if p.required]
    return Method(
        base, fewest, contract.max_non_base or most, tuple(whole), tuple(each), tuple(needed)
    )


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_table_is_the_registrys(name: str) -> None:
    assert METHODS[name] == as_ours(REGISTERED[name])

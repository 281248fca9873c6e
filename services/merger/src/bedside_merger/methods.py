"""The merge methods of mergekit: what each is called, which models it takes and what can be set.

A copy of mergekit's registry, so that a run config is checked without torch; a test holds it
against the installed version. Every method is offered. What mergekit can do beside its methods and
Bedside does not: to stack layers of several models and to change the vocabulary, because the result
is no model of the base's shape any more and cannot be compared with it; and mixtures of experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

MethodName = Literal[
    "arcee_fusion",
    "breadcrumbs",
    "breadcrumbs_ties",
    "dare_linear",
    "dare_ties",
    "della",
    "della_linear",
    "karcher",
    "linear",
    "model_stock",
    "multislerp",
    "nearswap",
    "nuslerp",
    "passthrough",
    "ram",
    "ramplus_tl",
    "sce",
    "slerp",
    "task_arithmetic",
    "ties",
]


class Method(NamedTuple):
    """What a method takes."""

    base: Literal["required", "optional", "ignored"]
    """Whether the base is the origin from which the other models are looked at. `optional`: it is
    the origin if it is not among the models; `ignored`: it is a model like the others."""
    fewest: int = 1
    """Models beside the origin."""
    most: int | None = None
    whole: tuple[str, ...] = ()
    """Parameters of the merge."""
    each: tuple[str, ...] = ()
    """Parameters that each model may have its own value of."""
    needed: tuple[str, ...] = ()
    """Those without a default."""


_ARITHMETIC = Method(
    "required",
    whole=("int8_mask", "normalize", "rescale", "lambda"),
    each=("weight", "density"),
    needed=("weight",),
)
_BREADCRUMBS = _ARITHMETIC._replace(each=("weight", "density", "gamma"))
_DELLA = _ARITHMETIC._replace(each=("weight", "density", "epsilon"))

METHODS: Mapping[MethodName, Method] = {
    "arcee_fusion": Method("required", most=1),
    "breadcrumbs": _BREADCRUMBS,
    "breadcrumbs_ties": _BREADCRUMBS,
    "dare_linear": _ARITHMETIC,
    "dare_ties": _ARITHMETIC,
    "della": _DELLA,
    "della_linear": _DELLA,
    "karcher": Method("ignored", whole=("max_iter", "tol")),
    "linear": Method("ignored", whole=("normalize",), each=("weight",), needed=("weight",)),
    "model_stock": Method("required", fewest=2, whole=("filter_wise",)),
    "multislerp": Method(
        "optional", whole=("normalize_weights", "eps"), each=("weight",), needed=("weight",)
    ),
    "nearswap": Method("required", most=1, whole=("t",), needed=("t",)),
    "nuslerp": Method(
        "optional",
        fewest=2,
        most=2,
        whole=("nuslerp_row_wise", "nuslerp_flatten"),
        each=("weight",),
        needed=("weight",),
    ),
    "passthrough": Method("ignored", most=1, each=("scale",)),
    "ram": Method("required", whole=("epsilon",)),
    "ramplus_tl": Method("required", whole=("r", "alpha", "epsilon")),
    "sce": Method("required", whole=("int8_mask", "select_topk")),
    "slerp": Method("required", most=1, whole=("t",), needed=("t",)),
    "task_arithmetic": _ARITHMETIC,
    "ties": _ARITHMETIC,
}

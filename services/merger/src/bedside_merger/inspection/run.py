"""`bedside merger inspect`: can these models be merged, and how would SLERP do it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from bedside_core.console import say, table
from bedside_core.run import Run
from bedside_merger.config import MergerConfig
from bedside_models.settle import settle

if TYPE_CHECKING:
    from bedside_merger.inspection.angles import Angle

REPORT, PICTURE = "angles.json", "angles.svg"
LIBRARIES = ("safetensors", "torch")
SCHEMA_VERSION = 1


def inspect(_config: MergerConfig, run: Run) -> None:
    """Refuse what cannot be merged; else leave a table, a JSON file and a heat map.

    Raises:
        InputError: an earlier step has not run, or the models cannot be merged.
        ArtifactError: an input was tampered with, or the disk is full.
    """
    base, checkpoint = run.input("base"), run.input("checkpoint")
    # No setting changes an angle.
    recipe = run.recipe(
        MergerConfig(),
        parents={"base": base, "checkpoint": checkpoint},
        formats={"report": SCHEMA_VERSION},
        libraries=LIBRARIES,
    )
    artifact = run.reuse("inspection", recipe)
    if artifact is None:
        settle()
        from bedside_merger.inspection.angles import angles
        from bedside_merger.inspection.heatmap import heatmap
        from bedside_merger.models import check_mergeable

        layers = check_mergeable(base.path, checkpoint.path)
        say(f"base and checkpoint have the same {layers} layers, tensors and vocabulary")
        with run.write("inspection", recipe) as writer:
            found = angles(base.path, checkpoint.path)
            report = {"schema_version": SCHEMA_VERSION, **summary(found)}
            text = json.dumps(report, indent=2) + "\n"
            (writer.path / REPORT).write_text(text, encoding="utf-8")
            (writer.path / PICTURE).write_text(heatmap(found), encoding="utf-8")
        artifact = writer.result
    show(json.loads(artifact.file(REPORT).read_bytes()))
    say(f"each tensor: {artifact.path / REPORT}")
    say(f"heat map: {artifact.path / PICTURE}")


def summary(found: Sequence[Angle]) -> dict[str, Any]:
    """Numbers of each component over its layers, and of each tensor."""
    groups: dict[str, list[Angle]] = {}
    for item in found:
        groups.setdefault(item.component, []).append(item)
    return {
        "components": {
            name: {
                "tensors": len(items),
                "num_parameters": sum(item.num_parameters for item in items),
                "degrees_median": median(item.degrees for item in items),
                "degrees_largest": max(item.degrees for item in items),
                "relative_change_median": median(item.relative_change for item in items),
                "spherical": sum(not item.linear for item in items),
            }
            for name, items in sorted(groups.items())
        },
        "tensors": {
            item.name: {
                "degrees": item.degrees,
                "relative_change": item.relative_change,
                "branch": "linear" if item.linear else "spherical",
            }
            for item in found
        },
    }


def show(report: dict[str, Any]) -> None:
    """The components as a table, and what follows."""
    rows = [["component", "tensors", "parameters", "angle", "largest", "change", "SLERP is"]]
    components = report["components"]
    for name, c in components.items():
        branch = {0: "linear", c["tensors"]: "spherical"}.get(
            c["spherical"], f"spherical in {c['spherical']}"
        )
        rows.append(
            [
                name,
                str(c["tensors"]),
                human(c["num_parameters"]),
                f"{c['degrees_median']:.3f}",
                f"{c['degrees_largest']:.3f}",
                f"{c['relative_change_median']:.3%}",
                branch,
            ]
        )
    say(table(rows))
    tensors, spherical = (
        sum(c[key] for c in components.values()) for key in ("tensors", "spherical")
    )
    say(
        f"angles in degrees, medians over the layers; SLERP interpolates {tensors - spherical} of "
        f"{tensors} tensors linearly"
    )


def human(count: int) -> str:
    """A number of parameters: 1.2 B, 135 M, 12 k."""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)

"""The commands about runs: sft, grpo, report, export, plan. They parse and call, and decide nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

_Recipe = Annotated[str, typer.Argument(help="A YAML file, or the name of one in configs/.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, dotted for nested keys: optimizer.lr=1e-4")]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete the run that is in the folder and begin anew.")]
_Distributed = Annotated[
    bool | None,
    typer.Option(help="Join the other processes of this run; without a word, if a launcher's environment says so."),
]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder though the recipe changed.")]


def _train(recipe: str, overrides: list[str] | None, kind: str, distributed: bool | None, **how: bool) -> None:
    from jaxerm.distributed import is_first, join
    from jaxerm.recipe import RecipeError, load_recipe

    loaded = load_recipe(recipe, overrides or [])
    if loaded.kind != kind:
        raise RecipeError(f"{recipe} is a recipe of kind {loaded.kind!r}: run `jaxerm {loaded.kind} {recipe}`")
    join(distributed)
    how["quiet"] = not is_first()
    if kind == "sft":
        from jaxerm.eval.held_out import HeldOutCritiques
        from jaxerm.train.sft import run_sft

        run_sft(loaded, **how, evaluate=HeldOutCritiques(loaded) if loaded.evaluation else None)
    else:
        from jaxerm.train.grpo import run_grpo

        run_grpo(loaded, **how)
    if is_first():
        print(f"model in {Path(loaded.out) / 'model'}")


def sft(
    recipe: _Recipe,
    overrides: _Overrides = None,
    overwrite: _Overwrite = False,
    resume: _Resume = False,
    distributed: _Distributed = None,
) -> None:
    """Supervised fine-tuning by a recipe; a run that was interrupted goes on."""
    _train(recipe, overrides, "sft", distributed, overwrite=overwrite, resume=resume)


def grpo(
    recipe: _Recipe,
    overrides: _Overrides = None,
    overwrite: _Overwrite = False,
    resume: _Resume = False,
    distributed: _Distributed = None,
) -> None:
    """GRPO of a policy against a reward model, by a recipe; a run that was interrupted goes on."""
    _train(recipe, overrides, "grpo", distributed, overwrite=overwrite, resume=resume)


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    other: Annotated[Path | None, typer.Argument(help="A second one, to see beside it.")] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file; in the run folder if none.")] = None,
) -> None:
    """Make the page of a run, or of two side by side: one file that opens from disk."""
    from jaxerm.report import run_report

    print(run_report(run, other, out))


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run; it may still be running.")],
    out: Annotated[Path, typer.Option(help="Model directory to write; it must be new or empty.")],
    step: Annotated[int | None, typer.Option(help="Of the checkpoint; the newest if none.")] = None,
    best: Annotated[bool, typer.Option("--best", help="The checkpoint with the lowest held-out loss.")] = False,
) -> None:
    """Write a checkpoint of a run as a Hugging Face directory, LoRA merged."""
    from jaxerm.train.export import export_run

    if best and step is not None:
        raise ValueError(f"--best and --step {step} name two checkpoints; leave one out")
    print(f"model of step {export_run(run, out, step=step, best=best)} in {out}")


def plan(
    recipe: _Recipe,
    overrides: _Overrides = None,
    topology: Annotated[
        str, typer.Option(help="Chips and their arrangement: v5e:8x8, v6e:4x4, v5p:2x2x4; cpu:8 simulates eight.")
    ] = "v6e:4x4",
    only: Annotated[
        str | None,
        typer.Option(help="One program, alone on the machine: train_step, prefill, decode, rollout or scoring."),
    ] = None,
    search: Annotated[bool, typer.Option(help="When it does not fit, look for what does.")] = True,
    as_json: _Json = False,
) -> None:
    """Compile a recipe for a machine you do not have, and say whether it fits; no weights are needed."""
    import jax

    from jaxerm.recipe import load_recipe

    kind, _, count = topology.partition(":")
    # Before JAX looks for devices: nothing runs here, and a TPU is only compiled for.
    jax.config.update("jax_platforms", "cpu")
    if kind == "cpu" and count.isdigit():
        jax.config.update("jax_num_cpu_devices", int(count))
    from jaxerm.plan.planner import plan as make_plan
    from jaxerm.plan.table import plan_lines

    def told(line: str) -> None:
        print(line, file=sys.stderr)

    loaded = load_recipe(recipe, overrides or [])
    result = make_plan(loaded, topology, only=only, search=search, told=told)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print(plan_lines(result))


COMMANDS = (sft, grpo, report, export, plan)

"""One command, `jaxerm`: parses and calls, decides nothing."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxerm.cli_data import data_app, eval_app
from jaxerm.cli_train import COMMANDS
from jaxerm.critique import TASKS, check_task

# transformers says at import that it found no PyTorch; it needs none here.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

app = typer.Typer(
    name="jaxerm",
    help="Reward models for vision-to-code: train them, score with them, train policies against them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(data_app, name="data")
app.add_typer(eval_app, name="eval")
for _command in COMMANDS:
    app.command()(_command)

_Task = Annotated[str, typer.Option("--task", "-t", help=f"One of {', '.join(TASKS)}.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def _print(values: Any) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))


def _render_options(settings: dict[str, Any]):
    from jaxerm.render import RenderOptions

    return RenderOptions(**settings.get("render", {}))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo; an earlier demo there is overwritten.")] = Path(
        "runs/demo"
    ),
    seed: Annotated[int, typer.Option(help="Of training and sampling.")] = 0,
    base: Annotated[
        Path | None, typer.Option(help="Model directory to start from; the shipped tiny-base if none.")
    ] = None,
) -> None:
    """The whole loop, small: reward-model SFT, GRPO, refinement, and a report to look at."""
    from jaxerm.demo import run_demo

    run_demo(out, seed=seed, base=base)


@app.command()
def synth(
    task: _Task,
    out: Annotated[Path, typer.Option(help="Folder to write; it must be new or empty.")],
    source: Annotated[
        str | None, typer.Option(help="Name of a source, a folder, or package:NAME; the task's own if none.")
    ] = None,
    n: Annotated[int, typer.Option(help="Pairs.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same pairs.")] = 0,
    max_edits: Annotated[int, typer.Option(help="Edits of one pair, at most.", min=1)] = 3,
    size: Annotated[int, typer.Option(help="Side of a rendered SVG in pixels.", min=16)] = 336,
) -> None:
    """Make pairs with a known ledger: images and pairs.jsonl."""
    from jaxerm.data.pair_files import write_pairs
    from jaxerm.data.pairs import PairMaker, make_pairs
    from jaxerm.data.sources import NAMED, default_source, open_source
    from jaxerm.progress import Ticker
    from jaxerm.render import RenderOptions, RenderPool

    source = source or default_source(check_task(task))
    opened = open_source(source) if source in NAMED else open_source(source, task=task)
    if opened.task != task:
        raise ValueError(f"source {source!r} is of task {opened.task}, not {task}")
    broken: list[str] = []
    with RenderPool(options=RenderOptions(svg_size=size)) as pool, Ticker(f"synth {task}", n) as ticker:
        maker = PairMaker(opened, pool, seed=seed, max_edits=max_edits, boxes=True)

        def pairs():
            for count, pair in enumerate(make_pairs(maker, n, broken), start=1):
                yield pair
                ticker.update(count)

        write_pairs(pairs(), out)
    print(f"{n} pairs in {out / 'pairs.jsonl'}")
    for message in broken:
        print(f"jaxerm: passed over: {message}", file=sys.stderr)


@app.command("init-tiny")
def init_tiny(
    out: Annotated[Path, typer.Argument(help="Model directory to write.")],
    seed: Annotated[int, typer.Option(help="Of the weights.")] = 0,
) -> None:
    """Write the tiny Qwen3-VL, untrained, with a tokenizer trained on this project's own text."""
    from jaxerm.data.corpus import corpus
    from jaxerm.models.tiny import make_tiny

    if (out / "config.json").exists():
        raise ValueError(f"{out} already holds a model; name another directory")
    make_tiny(out, corpus(), seed=seed)
    print(f"untrained model in {out}")


@app.command()
def score(
    reference: Annotated[Path, typer.Argument(help="The reference image.")],
    prediction: Annotated[Path, typer.Argument(help="The rendered attempt.")],
    task: _Task,
    model: Annotated[Path | None, typer.Option(help="Reward model; the shipped tiny-erm if none.")] = None,
    as_json: _Json = False,
) -> None:
    """Criticise an attempt and turn the critique into a reward."""
    from jaxerm.critique import CritiqueError
    from jaxerm.models.qwen3_vl.processor import open_image
    from jaxerm.paths import shipped_model
    from jaxerm.rewards import VisualERM, severity_rewards

    check_task(task)
    # Before the model is loaded: a mistyped name should be told at once.
    images = open_image(reference), open_image(prediction)
    erm = VisualERM(model or shipped_model("tiny-erm"))
    try:
        critique = erm.critique(*images, task=task)
    except CritiqueError as error:
        raise ValueError(f"unscored: the reward model wrote no readable critique ({error})") from None
    reward = severity_rewards([critique.severity], [task], normaliser="fixed")[0]
    if as_json:
        _print({"reward": reward, "severity": critique.severity, "critique": critique.to_dict()})
        return
    from jaxerm.prompts import critique_lines

    print(critique_lines(critique))
    print(f"severity {critique.severity}, reward {reward:.3f}")


@app.command()
def refine(
    image: Annotated[Path, typer.Argument(help="The picture to turn into code.")],
    task: _Task,
    policy: Annotated[Path | None, typer.Option(help="Policy; the shipped tiny-policy if none.")] = None,
    model: Annotated[Path | None, typer.Option(help="Reward model; the shipped tiny-erm if none.")] = None,
    rounds: Annotated[int, typer.Option(help="Revisions, at most.", min=0)] = 3,
    out: Annotated[Path | None, typer.Option(help="Folder for the code and render of every round.")] = None,
    as_json: _Json = False,
) -> None:
    """Draft, render, critique, revise; the best by reward is kept and printed."""
    import numpy as np
    from PIL import Image

    from jaxerm.models.language import load
    from jaxerm.models.qwen3_vl.processor import open_image
    from jaxerm.paths import shipped_model
    from jaxerm.refine import Refiner
    from jaxerm.render import RenderPool
    from jaxerm.rewards import VisualERM

    picture = np.asarray(open_image(image))
    writer = load(policy or shipped_model("tiny-policy"))
    erm = VisualERM(model or shipped_model("tiny-erm"))
    with RenderPool(1, options=_render_options(writer.settings)) as pool:
        result = Refiner(writer, erm, pool, rounds=rounds).refine([(check_task(task), picture)])[0]
    entries = [
        {
            "round": number,
            "code": attempt.code,
            "status": attempt.reward.status,
            "reward": attempt.reward.value,
            "reason": attempt.reward.reason,
            "critique": None if attempt.critique is None else attempt.critique.to_dict(),
        }
        for number, attempt in enumerate(result.rounds)
    ]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for number, attempt in enumerate(result.rounds):
            (out / f"round_{number}.txt").write_text(attempt.code or attempt.text, encoding="utf-8")
            if attempt.image is not None:
                Image.fromarray(attempt.image).save(out / f"round_{number}.png")
    if as_json:
        _print({"kept": result.kept, "rounds": entries})
        return
    for entry in entries:
        worth = "no score" if entry["reward"] is None else f"reward {entry['reward']:.3f}"
        mark = "  <- kept" if entry["round"] == result.kept else ""
        print(f"round {entry['round']}: {entry['status']}, {worth} {entry['reason']}{mark}", file=sys.stderr)
    print(result.best.code or result.best.text)


@app.command()
def render(
    file: Annotated[Path, typer.Argument(help="Code, or an answer of a model that holds it.")],
    task: Annotated[str, typer.Option("--task", "-t", help=f"One of {', '.join((*TASKS, 'html'))}.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")],
    size: Annotated[int, typer.Option(help="Side of a rendered SVG in pixels.", min=16)] = 336,
    allow_unsafe_rendering: Annotated[
        bool, typer.Option("--allow-unsafe-rendering", help="Run a chart even where nothing can hold it.")
    ] = False,
) -> None:
    """Render code the way the reward model will see it."""
    from PIL import Image

    from jaxerm.render import RenderOptions, RenderPool, extract_code
    from jaxerm.render.types import check_task as check_render_task

    check_render_task(task)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text") from None
    # A file that is code is taken as it is; only an answer has to be searched for its block.
    code = extract_code(text, task) if "```" in text else text
    if code is None:
        raise ValueError(f"{file} holds no {task} code")
    with RenderPool(1, options=RenderOptions(svg_size=size, allow_unsafe_rendering=allow_unsafe_rendering)) as pool:
        result = pool.render(task, code)
    if not result.ok:
        raise ValueError(f"{file} does not render: {result.error}")
    Image.fromarray(result.image).save(out)
    height, width = result.image.shape[:2]
    print(f"{out}: {width} x {height}, {result.seconds:.2f} s, {result.engine}, {result.isolation}")


def main() -> None:
    """Entry point: what a user can mend is one line on standard error and exit status 2, never a traceback."""
    # Orbax warns of saves that wait for each other; a run's own lines say what matters.
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        app()
    except KeyboardInterrupt:
        print("jaxerm: interrupted; the same command goes on from the newest checkpoint", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if os.environ.get("JAXERM_TRACEBACK"):
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.filename is not None:
            message = f"{error.filename}: {error.strerror}"
        status = getattr(error, "exit_status", 2 if isinstance(error, OSError | ValueError) else None)
        if status is not None:
            print(f"jaxerm: {message}", file=sys.stderr)
            sys.exit(status)
        print(f"jaxerm: {type(error).__name__}: {message} (JAXERM_TRACEBACK=1 shows where)", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

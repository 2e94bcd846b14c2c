"""The commands `jaxerm data ...` and `jaxerm eval ...`: they parse and call, and decide nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

data_app = typer.Typer(help="Look at pairs.", no_args_is_help=True)
eval_app = typer.Typer(help="Benchmarks, run as published.", no_args_is_help=True)


@data_app.callback()
def _data() -> None:
    """Look at pairs."""


@data_app.command("look")
def look(
    folder: Annotated[Path, typer.Argument(help="Folder of pairs, as `jaxerm synth` writes it.")],
    out: Annotated[Path | None, typer.Option(help="File to write; look.html in the folder if none.")] = None,
    limit: Annotated[int, typer.Option(help="Pairs, at most.", min=1)] = 300,
    kind: Annotated[str | None, typer.Option(help="Only pairs with an edit of this kind, such as recolour.")] = None,
) -> None:
    """A contact sheet in one HTML file: pairs side by side, boxes drawn, the critique beneath."""
    from jaxerm.data.look import write_sheet

    path, count = write_sheet(folder, out, limit=limit, kind=kind)
    print(f"{count} pairs in {path}")


@eval_app.callback()
def _evaluate() -> None:
    """Benchmarks, run as published."""


@eval_app.command("vc-rewardbench")
def vc_rewardbench(
    file: Annotated[Path, typer.Argument(help="The benchmark's JSON Lines file.")],
    model: Annotated[Path | None, typer.Option(help="Reward model; the shipped tiny-erm if none.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Answer file to score, instead of a model.")] = None,
    judge: Annotated[str, typer.Option(help="`local`, or the URL of an OpenAI-compatible API.")] = "local",
    judge_model: Annotated[str | None, typer.Option(help="Its model; the first it lists if none.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of the judge's answers, so that a run goes on.")] = None,
    limit: Annotated[int | None, typer.Option(help="Items, from the start; all if none.", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="Answer file to write, with the matches.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """F1 (hard, soft), precision, recall, severity correlation: per task, per category, pooled."""
    from jaxerm.data.chat import Chat
    from jaxerm.data.rewardbench import read_rewardbench
    from jaxerm.eval.judge import ChatJudge, LocalJudge
    from jaxerm.eval.vc_rewardbench import ask_model, bench_scores, judge_items, read_predictions, write_predictions
    from jaxerm.paths import shipped_model
    from jaxerm.rewards import VisualERM

    if model is not None and predictions is not None:
        raise ValueError("give --model or --predictions, not both")
    items = read_rewardbench(file)[:limit]
    chosen = LocalJudge() if judge == "local" else ChatJudge(Chat(judge, judge_model, cache=cache))
    if predictions is not None:
        predicted = read_predictions(predictions, items)
    else:
        predicted = ask_model(VisualERM(model or shipped_model("tiny-erm")), items)
    judged = judge_items(items, predicted, chosen)
    if out is not None:
        write_predictions(out, judged)
    scores = {"judge": chosen.name, **bench_scores(judged)}
    if as_json:
        print(json.dumps(scores, indent=2, ensure_ascii=False))
    else:
        _print_bench(scores)


def _print_bench(scores: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "F1 hard", "F1 soft", "prec.", "recall", "sev. r", "unread", "n")

    def row(name: str, values: dict[str, Any], indent: str = "") -> None:
        keys = ("f1_hard", "f1_soft", "precision_hard", "recall_hard", "severity_correlation")
        cells = [f"{values[key]:.3f}" if values.get(key) is not None else "-" for key in keys]
        table.add_row(indent + name, *cells, *(str(values.get(key, "")) for key in ("unreadable", "n")))

    for task, values in scores["tasks"].items():
        row(task, values)
        for category, part in values["categories"].items():
            row(category.removesuffix("_error"), part, "  ")
    row("pooled", scores["pooled"])
    console = Console()
    console.print(table)
    console.print(f"judge: {scores['judge']}; precision and recall are the hard ones")
    if scores["unjudged"]:
        console.print(f"left out, the judge gave no readable answer: {', '.join(scores['unjudged'][:10])}")


@data_app.command("export")
def export(
    folders: Annotated[list[Path], typer.Argument(help="Folders of pairs, as `jaxerm synth` writes them.")],
    out: Annotated[
        str,
        typer.Option(
            help="What to write: a .parquet for verl, an .array_record for Grain, a .jsonl in VC-RewardBench's format "
            "(images beside it), or tfds:NAME."
        ),
    ],
    prompts: Annotated[str, typer.Option(help="Prompt set of verl's questions: brief or full.")] = "full",
    data_dir: Annotated[Path | None, typer.Option(help="Where TFDS keeps its data; its own place if none.")] = None,
) -> None:
    """Write pairs for other trainers."""
    from itertools import chain

    from jaxerm.data.export import write_array_record, write_rewardbench, write_verl
    from jaxerm.data.pair_files import PairFolder

    pairs = chain.from_iterable(map(PairFolder, folders))
    if out.startswith("tfds:"):
        from jaxerm.data.tfds_builder import write_tfds

        count = write_tfds(pairs, out.removeprefix("tfds:"), data_dir)
    elif out.endswith(".parquet"):
        count = write_verl(pairs, out, prompts)
    elif out.endswith(".array_record"):
        count = write_array_record(pairs, out)
    elif out.endswith(".jsonl"):
        count = write_rewardbench(pairs, out)
    else:
        raise ValueError(f"{out}: what is written ends in .parquet, .array_record or .jsonl, or is tfds:NAME")
    print(f"{count} pairs in {out}")

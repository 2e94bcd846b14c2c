"""How fast data is made: pairs a second for each task, tokens a second through the pipeline, and that nothing grows.

    python benchmarks/data.py                      # everything, a few minutes
    python benchmarks/data.py kinds --n 500        # how often each edit is drawn, dropped, and how much of it shows
    python benchmarks/data.py natural --n 500      # comparing programs against the ledger of a corruption

Prints JSON. Figures of one run on one machine: compare them with others of the same machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from jaxerm.data.corruption import corrupt
from jaxerm.data.pairs import PairMaker
from jaxerm.data.sources import default_source, open_source
from jaxerm.data.visible import VISIBLE, differs
from jaxerm.render import RenderPool

TASKS = ["svg", "table", "chart"]
SOURCES = {"drawings": "svg", "icons": "svg", "tables": "table", "charts": "chart"}


def _memory_mb() -> float:
    """Resident memory of this process now, in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def _rng(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=list(key)))


def pairs(n: int, workers: int) -> dict[str, Any]:
    """Pairs a second, rendered; memory after a tenth of them and at the end."""
    out = {}
    for task in TASKS:
        with RenderPool(workers) as pool:
            maker = PairMaker(open_source(default_source(task)), pool, seed=1)
            maker.make(0)  # starts the workers
            early = None
            started, shown = time.perf_counter(), 0
            with ThreadPoolExecutor(2 * workers) as threads:
                for number, pair in enumerate(threads.map(maker.make, range(1, n + 1)), start=1):
                    shown += bool(pair.edits)
                    if number == max(1, n // 10):
                        early = _memory_mb()
            seconds = time.perf_counter() - started
        out[task] = {
            "pairs_per_second": round(n / seconds, 2),
            "with_edits": shown,
            "memory_mb_early": round(early, 1),
            "memory_mb_late": round(_memory_mb(), 1),
        }
    return out


def pipeline(n: int, workers: int, model: str) -> dict[str, Any]:
    """Tokens and pairs a second as packed batches, and the share of slots that hold no token."""
    from jaxerm.data.examples import pair_example
    from jaxerm.data.features import fill
    from jaxerm.data.packing import Packing
    from jaxerm.data.pipeline import Component, batches
    from jaxerm.models.language import load
    from jaxerm.prompts import Prompts
    from jaxerm.render import RenderOptions

    loaded = load(model)
    out = {}
    for task in TASKS:
        with RenderPool(workers, options=RenderOptions(svg_size=64)) as pool:
            maker = PairMaker(open_source("drawings" if task == "svg" else default_source(task)), pool, seed=1)
            component = Component(
                lambda index, maker=maker: pair_example("critique", maker.make(index), Prompts("brief")), 10**6, 1.0
            )
            length = {"svg": 2048, "table": 4096, "chart": 8192}[task]
            packing = Packing(rows=4, length=length, patches=4 * length)
            stream = batches([component], loaded.processor, packing, seed=1, threads=2 * workers)
            next(stream)
            started, tokens, fills = time.perf_counter(), 0, []
            for _ in range(n):
                batch = next(stream)
                tokens += int((batch.inputs.segment_ids > 0).sum())
                fills.append(fill(batch))
            seconds = time.perf_counter() - started
        out[task] = {"tokens_per_second": round(tokens / seconds), "padding": round(1 - float(np.mean(fills)), 4)}
    return out


def kinds(n: int, workers: int) -> dict[str, Any]:
    """For each kind of edit: how often it is drawn and cannot be seen, and the mean share of pixels changed."""
    out = {}
    for task in TASKS:
        source = open_source(default_source(task))
        drawn: Counter[str] = Counter()
        hidden: Counter[str] = Counter()
        changed: dict[str, list[float]] = defaultdict(list)
        with RenderPool(workers) as pool:
            for index in range(n):
                program = source[index % len(source)]
                made = corrupt(program, _rng(2, index), 1 + index % 3)
                reference = pool.render(task, program.code).image
                results = pool.map((task, code) for code in made.alone if code)
                for edit, result in zip([e for e, code in zip(made.edits, made.alone, strict=True) if code], results,
                                        strict=True):  # fmt: skip
                    drawn[edit.kind] += 1
                    if result.image is None or reference is None:
                        continue
                    if not differs(reference, result.image):
                        hidden[edit.kind] += 1
                    elif reference.shape == result.image.shape:
                        apart = np.abs(reference.astype(np.int16) - result.image).max(axis=-1) >= VISIBLE
                        changed[edit.kind].append(float(apart.mean()))
        out[task] = {
            kind: {
                "drawn": count,
                "not_seen": hidden[kind],
                "mean_change": round(float(np.mean(changed[kind])), 5) if changed[kind] else None,
            }
            for kind, count in drawn.most_common()
        }
    return out


def _said(edit: Any) -> tuple:
    return edit.category, edit.location, edit.description


def natural(n: int, workers: int) -> dict[str, Any]:
    """F1 of the entries found by comparing programs, category, location and words alike, against the ledger."""
    from jaxerm.data.natural import compare

    out = {}
    for name in (name for name in SOURCES if SOURCES[name] in TASKS):
        source = open_source(name)
        hits = found = true = unread = 0
        missed: Counter[str] = Counter()
        with RenderPool(workers) as pool:
            for index in range(n):
                made = corrupt(source[index % len(source)], _rng(3, index), index % 4)
                got = compare(made.program.task, made.program.code, made.code, pool)
                unread += got is None
                one, two = (Counter(map(_said, edits)) for edits in (got or (), made.edits))
                hits, found, true = hits + sum((one & two).values()), found + len(got or ()), true + len(made.edits)
                missed.update(edit.kind for edit in made.edits if _said(edit) not in one)
        f1 = 2 * hits / max(found + true, 1)
        out[name] = {"f1": round(f1, 4), "entries": true, "unread": unread, "missed": dict(missed.most_common(8))}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("all", "pairs", "pipeline", "kinds", "natural"), default="all")
    parser.add_argument("--n", type=int, default=200, help="pairs, or batches of the pipeline (a tenth of it)")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--task", choices=TASKS, help="this one only")
    parser.add_argument("--model", default="models/tiny-base", help="whose tokenizer the pipeline uses")
    args = parser.parse_args()
    TASKS[:] = [args.task] if args.task else TASKS
    made = {
        "pairs": lambda: pairs(args.n, args.workers),
        "pipeline": lambda: pipeline(max(1, args.n // 10), args.workers, args.model),
        "kinds": lambda: kinds(args.n, args.workers),
        "natural": lambda: natural(args.n, args.workers),
    }
    chosen = made if args.what == "all" else {args.what: made[args.what]}
    result = {"cores": len(os.sched_getaffinity(0)), "workers": args.workers, "n": args.n}
    print(json.dumps(result | {name: make() for name, make in chosen.items()}, indent=2))


if __name__ == "__main__":
    main()

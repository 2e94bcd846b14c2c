"""Charts, tables and SVGs a second, against the ways of the paper's reference code, side by side in one run.

    python benchmarks/render.py --charts matplotlib-3.11.2/galleries --svgs lucide-static/icons --tables pages/

    charts   a fresh `python script.py` for each (none of them isolated)
    svgs     a multiprocessing.Manager and a Process for each, CairoSVG inside
    tables   a Chromium for each, where one is installed

The material is the user's: a folder for each kind, searched to the bottom for .py, .svg, and .html or .md. Both ways
draw the same files, in turns of a few, so that whatever else the machine does falls on both. Take the ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaxerm.render import RenderOptions, RenderPool, extract_code

SUFFIXES = {"chart": (".py",), "svg": (".svg",), "table": (".html", ".md")}


def material(task: str, folder: Path, count: int) -> list[str]:
    """At most `count` texts of a kind, evenly spread over the folder; of tables the first in each file."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES[task])
    codes = []
    for file in files[:: max(1, len(files) // (4 * count))]:
        text = file.read_text(encoding="utf-8", errors="replace")
        code = first_table(text) if task == "table" else text
        if code:
            codes.append(code)
        if len(codes) == count:
            break
    if not codes:
        raise SystemExit(f"{folder} holds no {' or '.join(SUFFIXES[task])} file with a {task} in it")
    return codes


def first_table(text: str) -> str | None:
    """The first table of a page, up to its end; a Markdown table if there is no other."""
    start = text.lower().find("<table")
    end = text.lower().find("</table", start)
    return text[start:end] + "</table>" if 0 <= start < end else extract_code(text, "table")


def fresh_python(code: str) -> bool:
    """What the reference code does with a chart: a script in a folder, a Python for it, a PNG to read."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "out.png")
        ending = f"\nimport matplotlib.pyplot as plt\nplt.savefig({str(picture)!r})\n"
        Path(folder, "chart.py").write_text("import matplotlib\nmatplotlib.use('Agg')\n" + code + ending)
        try:
            subprocess.run(
                [sys.executable, "chart.py"], cwd=folder, capture_output=True, timeout=60, check=False,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return picture.is_file()


def _cairo(code: str, size: int, answer) -> None:
    import cairosvg

    answer["png"] = cairosvg.svg2png(
        bytestring=code.encode(), output_width=size, output_height=size, background_color="white"
    )


def manager_and_process(code: str) -> bool:
    """What the reference code does with an SVG."""
    with multiprocessing.Manager() as manager:
        answer = manager.dict()
        process = multiprocessing.Process(target=_cairo, args=(code, RenderOptions().svg_size, answer))
        process.start()
        process.join(60)
        if process.is_alive():
            process.kill()
            process.join()
        return "png" in answer


def measure(ours: RenderPool, task: str, codes: Sequence[str], other: Callable[[str], bool], workers: int) -> dict:
    """Draws everything both ways, a few at a time by turns; drawn a second of each, and how many each drew.

    The ratio of the totals speaks of the slowest material, the median of the turns' ratios of what is usual.
    """
    for _ in ours.map([(task, codes[0])] * 2 * workers):  # our workers start once in their life
        pass
    seconds, drawn, ratios = [0.0, 0.0], [0, 0], []
    turn = 4 * workers
    with ThreadPoolExecutor(workers) as threads:
        for start in range(0, len(codes), turn):
            few = codes[start : start + turn]
            began = time.perf_counter()
            drawn[0] += sum(result.image is not None for result in ours.map((task, code) for code in few))
            middle = time.perf_counter()
            drawn[1] += sum(threads.map(other, few))
            both = middle - began, time.perf_counter() - middle
            seconds = [seconds[0] + both[0], seconds[1] + both[1]]
            ratios.append(both[1] / both[0])
    rates = [len(codes) / each for each in seconds]
    return {
        "n": len(codes),
        "ours_per_s": round(rates[0], 2),
        "theirs_per_s": round(rates[1], 2),
        "ratio": round(rates[0] / rates[1], 1),
        "median_ratio_of_turns": round(statistics.median(ratios), 1),
        "ours_drawn": drawn[0],
        "theirs_drawn": drawn[1],
        "isolation": ours.render(task, codes[0]).isolation,
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for task in SUFFIXES:
        parser.add_argument(f"--{task}s", type=Path, default=None, help=f"folder of {' or '.join(SUFFIXES[task])}")
    parser.add_argument("-n", type=int, default=100, help="of each kind, at most")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folders = {task: folder for task in SUFFIXES if (folder := getattr(arguments, f"{task}s"))}
    if not folders:
        parser.error("name a folder of charts, svgs or tables")
    results: dict[str, object] = {"workers": arguments.workers, "cpus": os.cpu_count()}
    browser = RenderPool(arguments.workers, timeout_s=60, options=RenderOptions(table_engine="chromium"))
    with RenderPool(arguments.workers, timeout_s=60) as ours, browser:
        others = {
            "chart": fresh_python,
            "svg": manager_and_process,
            "table": lambda code: browser.render("table", code).image is not None,
        }
        for task, folder in folders.items():
            codes = material(task, folder, arguments.n)
            if task == "table" and (missing := browser.render("table", codes[0])).fault == "host":
                results[task] = f"not compared: {missing.error}"
                continue
            results[task] = measure(ours, task, codes, others[task], arguments.workers)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

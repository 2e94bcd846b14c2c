"""Many renders in one pool: what grows, what is left behind, and what becomes of answers while processes are killed.

    python benchmarks/endurance.py --renders 10000
    python benchmarks/endurance.py --renders 1000 --kill-every 1

Every picture is compared with the one the same code gave at the start. Prints one JSON object, and ends with status 1
if a picture was wrong or a failure was called the code's. As root: nobody else may count a worker's descriptors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from jaxerm.render import RenderOptions, RenderPool

JOBS = [
    ("svg", '<svg viewBox="0 0 64 64"><circle cx="32" cy="32" r="20" fill="teal"/><text y="60">a</text></svg>'),
    ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
    ("html", "<body><h1>Title</h1><p>text</p></body>"),
    ("chart", "import matplotlib.pyplot as plt\nplt.bar([1, 2, 3], [3, 1, 2])\n"),
]


def descendants(pid: int) -> list[int]:
    """Every process below `pid`."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def measure(pid: int) -> dict[str, int]:
    """Resident memory in KiB and open descriptors of `pid` and of what is below it; zombies among them."""
    resident = descriptors = zombies = 0
    for one in [pid, *descendants(pid)]:
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{one}/status").read_text()
            zombies += "\nState:\tZ" in status
            resident += int(status.split("VmRSS:")[1].split()[0])
            descriptors += len(os.listdir(f"/proc/{one}/fd"))
    return {"resident_kb": resident, "descriptors": descriptors, "zombies": zombies}


def kill_now_and_then(every_s: float, stop: threading.Event, count: list[int]) -> None:
    """Kills one process below this one, a worker or a chart, every so often."""
    choose = random.Random(0)
    while not stop.wait(every_s):
        alive = descendants(os.getpid())
        if alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(choose.choice(alive), signal.SIGKILL)
                count[0] += 1


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=None, help="seconds between two kills; none if not given")
    parser.add_argument("--timeout", type=float, default=15.0, help="seconds for one render")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder  # so that nobody else's files are counted
        measured = endure(arguments)
        print(json.dumps({"renders": arguments.renders, **measured, "files_left": os.listdir(folder)}, indent=1))
    raise SystemExit(measured["outcomes"]["wrong"] + measured["outcomes"]["code"] > 0)


def endure(arguments: argparse.Namespace) -> dict:
    """What became of the renders, and what the processes of the pool held before and after."""
    stop, kills, errors = threading.Event(), [0], Counter()
    with RenderPool(arguments.workers, arguments.timeout, RenderOptions(svg_size=64)) as pool:
        expected = [result.image.tobytes() for result in pool.map(JOBS)]
        for _ in pool.map(JOBS * 5 * arguments.workers):  # every thread has every worker now
            pass
        before = measure(os.getpid())
        if arguments.kill_every:
            killer = threading.Thread(target=kill_now_and_then, args=(arguments.kill_every, stop, kills), daemon=True)
            killer.start()
        outcomes = {"right": 0, "wrong": 0, "code": 0, "host": 0}
        began = time.monotonic()
        for i, result in enumerate(pool.map(JOBS[i % len(JOBS)] for i in range(arguments.renders))):
            if result.ok:
                outcomes["right" if result.image.tobytes() == expected[i % len(JOBS)] else "wrong"] += 1
            else:
                outcomes[result.fault] += 1
                errors[str(result.error)] += 1
        seconds = time.monotonic() - began
        stop.set()
        time.sleep(0.2)
        after = measure(os.getpid())
    return {
        "seconds": round(seconds, 1), "kills": kills[0], "outcomes": outcomes, "errors": dict(errors),
        "before": before, "after": after, "processes_left": len(descendants(os.getpid())),
    }  # fmt: skip


if __name__ == "__main__":
    main()

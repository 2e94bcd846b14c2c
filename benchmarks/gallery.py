"""How much of matplotlib's own gallery renders in the sandbox, of what renders outside it, and whether the bytes agree.

    pip download --no-deps --no-binary matplotlib matplotlib   # and unpack it
    python benchmarks/gallery.py matplotlib-3.11.2/galleries --out gallery.json

Outside the sandbox means the same warm process and the same forked child without its layers, in a scratch folder. Run
it on a machine of no value: those programs are matplotlib's own, but nothing holds them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from jaxerm.render import RenderOptions, RenderPool
from jaxerm.render.process import _environment


def outside(files: list[str], timeout_s: float) -> dict[str, str]:
    """Path -> digest of the picture, or the error; to be called in a process that has nothing else to do."""
    from jaxerm.render import chart, wire

    chart._import_matplotlib()
    chart._warm_up()
    options = RenderOptions()
    tray = chart.Tray(options.max_pixels)
    found = {}
    for file in files:
        code = Path(file).read_bytes()
        receive, send = os.pipe()
        if os.fork() == 0:  # more than a pipe holds may have to be written while the child reads
            os.close(receive)
            wire.write_all(send, code)
            os._exit(0)
        os.close(send)
        reply = chart._draw(0, round(timeout_s * 1000), len(code), receive, options, (), tray)
        os.close(receive)
        error = wire.words(reply.meta) if reply.status == wire.WORDS else reply.meta
        found[file] = digest(reply) if reply.status == wire.IMAGE else f"{error['kind']}: {error['text']}"
    return found


def digest(reply) -> str:
    """Of the size and the pixels."""
    return hashlib.sha256(f"{reply.height} {reply.width} ".encode() + bytes(reply.pixels)).hexdigest()


def inside(files: list[str], timeout_s: float) -> tuple[dict[str, str], str]:
    """The same through the pool, and the isolation its results name."""
    found, isolation = {}, ""
    with RenderPool(1, timeout_s=timeout_s, options=RenderOptions(blank_is_error=False)) as pool:
        results = pool.map(("chart", Path(file).read_text(encoding="utf-8")) for file in files)
        for file, result in zip(files, results, strict=True):
            isolation = result.isolation or isolation
            if result.ok:
                height, width = result.image.shape[:2]
                found[file] = hashlib.sha256(f"{height} {width} ".encode() + result.image.tobytes()).hexdigest()
            else:
                found[file] = str(result.error)
    return found, isolation


def drawn(outcome: str) -> bool:
    """Whether an outcome is a digest."""
    return len(outcome) == 64 and " " not in outcome


def in_a_process_of_its_own(files: list[str], arguments: argparse.Namespace) -> dict[str, str]:
    """`outside` as the worker starts: with its environment, and with nothing in memory yet."""
    with tempfile.TemporaryDirectory() as scratch:
        names, found = Path(scratch, "files.json"), Path(scratch, "found.json")
        names.write_text(json.dumps(files))
        command = [sys.executable, os.path.abspath(__file__), ".", "--outside", str(names), "--out", str(found)]
        command += ["--timeout", str(arguments.timeout)]
        environment = _environment() | {"TMPDIR": scratch}
        subprocess.run(command, stdout=subprocess.DEVNULL, cwd=scratch, env=environment, check=True)
        return json.loads(found.read_text())


def main() -> None:
    """Prints the shares and writes every script that differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gallery", type=Path, help="folder of scripts, searched to the bottom")
    parser.add_argument("--out", type=Path, default=None, help="JSON with the outcome of each script")
    parser.add_argument("--limit", type=int, default=None, help="only so many scripts, evenly spread")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one script")
    parser.add_argument("--outside", type=Path, default=None, help=argparse.SUPPRESS)  # a list of files, in JSON
    arguments = parser.parse_args()
    if arguments.outside:
        arguments.out.write_text(json.dumps(outside(json.loads(arguments.outside.read_text()), arguments.timeout)))
        return
    gallery = arguments.gallery.resolve()
    files = sorted(str(path) for path in gallery.rglob("*.py"))
    if not files:
        parser.error(f"{arguments.gallery} holds no Python script")
    if arguments.limit:
        files = files[:: max(1, len(files) // arguments.limit)][: arguments.limit]
    free = in_a_process_of_its_own(files, arguments)
    held, isolation = inside(files, arguments.timeout)
    fair = [file for file in files if drawn(free[file])]
    kept = [file for file in fair if drawn(held[file])]
    differ = [file for file in kept if held[file] != free[file]]
    again = in_a_process_of_its_own(differ, arguments) if differ else {}
    print(f"isolation: {isolation}")
    print(f"{len(files)} scripts; {len(fair)} render outside the sandbox")
    print(f"{len(kept)} of those render inside: {100 * len(kept) / max(1, len(fair)):.1f} %")
    same = len(kept) - len(differ)
    print(f"{same} of those have the same bytes: {100 * same / max(1, len(kept)):.1f} %")
    for file in fair:
        if held[file] != free[file]:
            itself = " (and outside, a second time, others again)" if again.get(file, free[file]) != free[file] else ""
            print(f"  {Path(file).relative_to(gallery)}: {held[file][:120]}{itself}")
    if arguments.out:
        arguments.out.write_text(json.dumps({"isolation": isolation, "outside": free, "inside": held}, indent=1))


if __name__ == "__main__":
    main()

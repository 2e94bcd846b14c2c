"""Bytes that the collectives of a compiled program move, read off its text."""

from __future__ import annotations

import math
import re
from collections import defaultdict

KINDS = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "collective-permute")
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4, "f64": 8}
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\) -> .*\{$")
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
_OPERATION = re.compile(r"= (.*?) ([\w-]+)\(")
_CHANNEL = re.compile(r"channel_id=(\d+)")
_CALLED = re.compile(r"(?:body|to_apply|calls|condition|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_CONDITION = re.compile(r"condition=%?([\w.-]+)")
_CONSTANT = re.compile(r"[su]32\[\]\S* constant\((\d+)\)")


def collective_bytes(text: str) -> dict[str, int]:
    """Bytes of results a chip, by kind, loops multiplied out.

    A collective that is started in one place and awaited in another has one channel and counts once. A TPU's
    reduce-scatter is an all-reduce inside a fusion of that name; what goes in is what counts.

    Args:
      text: of `compiled.as_text()`.
    """
    own: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    calls: dict[str, list[tuple[str, str]]] = defaultdict(list)
    constants: dict[str, list[int]] = defaultdict(list)
    entry = current = ""
    for number, line in enumerate(text.splitlines()):
        if head := _COMPUTATION.match(line.strip()):
            current = head[2]
            entry = current if head[1] else entry
            continue
        constants[current] += map(int, _CONSTANT.findall(line))
        operation = _OPERATION.search(line)
        if not operation:
            continue
        kind = operation[2].removesuffix("-start")
        if kind in KINDS:
            shapes = [_size(*shape) for shape in _SHAPE.findall(operation[1])]
            # A started collective gives (operand, result, ...); another gives its results alone, perhaps several.
            size = (sum if kind == operation[2] else max)(shapes) if shapes else 0
            channel = _CHANNEL.search(line)
            kind = "reduce-scatter" if current.startswith("all-reduce-scatter") else kind
            own[current].append((kind, size, channel[1] if channel else f"line {number}"))
        condition = _CONDITION.search(line)
        names = _CALLED.findall(line) + [n.strip(" %") for part in _BRANCHES.findall(line) for n in part.split(",")]
        calls[current] += [(name, condition[1] if condition else "") for name in names]

    def bound(condition: str) -> int:
        """A scan's condition holds the length of the scan and nothing larger."""
        found = [*constants[condition], *(bound(name) for name, _ in calls[condition])]
        return max(found, default=1)

    total: dict[str, int] = dict.fromkeys(KINDS, 0)
    seen: set[str] = set()

    def walk(name: str, times: int) -> None:
        for kind, size, channel in own[name]:
            if channel not in seen:
                seen.add(channel)
                total[kind] += times * size
        for callee, condition in calls[name]:
            walk(callee, times * bound(condition) if condition else times)

    walk(entry, 1)
    return total


def _size(kind: str, sides: str) -> int:
    return math.prod(int(side) for side in sides.split(",") if side) * _BYTES.get(kind, 0)

"""Natural inference: what is wrong with an attempt nobody broke on purpose, found by comparing the two programs."""

from __future__ import annotations

from jaxerm.critique import Task
from jaxerm.data.program import Edit
from jaxerm.render import RenderPool


def compare(task: Task, reference: str, attempt: str, pool: RenderPool) -> tuple[Edit, ...] | None:
    """What differs between a program and an attempt at it, in the words of the corruption of that task.

    Args:
      task: of both.
      reference, attempt: code.
      pool: runs charts.

    Returns:
      The ledger; None where the attempt cannot be compared: it is broken, or in words the comparison does not know.

    Raises:
      ValueError: the reference cannot be compared.
    """
    if task == "chart":
        from jaxerm.data.natural.chart import compare_charts

        return compare_charts(reference, attempt, pool)
    if task == "table":
        from jaxerm.data.natural.table import compare_tables

        return compare_tables(reference, attempt)
    from jaxerm.data.natural.drawing import compare_drawings
    from jaxerm.data.natural.svg import compare_svgs
    from jaxerm.data.sources.drawings import to_shapes

    if to_shapes(reference) is None:
        return compare_svgs(reference, attempt)
    found = compare_drawings(reference, attempt)
    # What is no drawing may still be an SVG.
    return compare_svgs(reference, attempt) if found is None else found

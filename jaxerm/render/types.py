"""What goes into a render and what comes out: options, errors, results, and what counts as blank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

ErrorKind = Literal[
    "no_code", "timeout", "syntax", "exception", "blank", "too_large", "crashed", "memory", "infrastructure"
]
Task = Literal["chart", "table", "svg", "html"]
"""What can be drawn: a program that uses matplotlib, a table in HTML or Markdown, a vector graphic, a page of HTML."""
SvgEngine = Literal["auto", "cairosvg", "resvg", "plutoprint"]
PageEngine = Literal["auto", "plutoprint", "chromium"]


def check_task(task: str) -> Task:
    """Returns `task` unchanged, or raises ValueError naming the tasks there are."""
    if task not in get_args(Task):
        raise ValueError(f"unknown task {task!r}; the tasks are {', '.join(get_args(Task))}")
    return task


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How code is drawn. The defaults are the conventions of Visual-ERM.

    Attributes:
      svg_size: side in pixels of the square, white canvas an SVG is drawn on; its aspect is kept, and it is centred.
      svg_engine: "auto" takes the first that works of cairosvg, resvg, plutoprint; a name takes that one or fails.
      table_engine: "auto" takes plutoprint, or Chromium where plutoprint has no wheel; a name takes that one or fails.
      table_width: width in pixels of the page a table is laid out on.
      table_margin: pixels of background kept around a table.
      html_engine: as `table_engine`, for pages. No engine runs scripts.
      page_width: width in pixels of the window a page is shown in.
      page_height: height in pixels of that window; a page that is longer is drawn to its end.
      chart_dpi: dots per inch of every chart; None takes the figure's own (matplotlib's default is 100). What the code
        itself passes to `savefig` as dpi is ignored, so that resolution is the same for all.
      blank_is_error: whether an image of one single colour is the error "blank" rather than a result.
      max_code_bytes: longest code, in UTF-8 bytes.
      max_pixels: largest image; a larger chart is drawn at a lower dpi, a larger table or page is the error
        "too_large".
      max_elements: most elements in an SVG or a page, and most cells in a table.
      max_depth: deepest nesting of elements in an SVG or in HTML.
      max_table_depth: deepest nesting of tables in tables: the cost of layout is exponential in it.
      memory_mb: address space of the process that draws, in MiB, on top of what the engine itself maps.
      start_timeout_s: seconds a worker may take to start, imports included.
      allow_unsafe_rendering: whether charts, which are programs, are run even where this machine grants neither
        resource limits nor seccomp to hold them. Everything else is drawn by libraries and needs no such leave.
    """

    svg_size: int = 336
    svg_engine: SvgEngine = "auto"
    table_engine: PageEngine = "auto"
    table_width: int = 3600
    table_margin: int = 12
    html_engine: PageEngine = "auto"
    page_width: int = 1280
    page_height: int = 720
    chart_dpi: float | None = None
    blank_is_error: bool = True
    max_code_bytes: int = 1 << 20
    max_pixels: int = 1 << 24
    max_elements: int = 20_000
    max_depth: int = 100
    max_table_depth: int = 8
    memory_mb: int = 2048
    start_timeout_s: float = 120.0
    allow_unsafe_rendering: bool = False

    def __post_init__(self) -> None:
        for name in ("svg_size", "table_width", "page_width", "page_height", "max_code_bytes", "max_pixels",
                     "max_elements", "max_depth", "max_table_depth", "memory_mb", "start_timeout_s"):  # fmt: skip
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")
        if self.page_width * self.page_height > self.max_pixels:
            raise ValueError(
                f"a page of {self.page_width} x {self.page_height} is more than max_pixels {self.max_pixels} allows"
            )
        if self.svg_size**2 > self.max_pixels:
            raise ValueError(f"svg_size {self.svg_size} is more than max_pixels {self.max_pixels} allows")


@dataclass(frozen=True, slots=True)
class RenderError:
    """Why there is no image.

    Attributes:
      kind: what happened, in one word.
      text: what happened, in one line; the last line of the traceback where there was one.
    """

    kind: ErrorKind
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class RenderResult:
    """What became of one piece of code.

    Attributes:
      image: uint8[H, W, 3], RGB; None where there is an error, save "blank", which keeps its image.
      error: None when all went well.
      seconds: wall time of the render itself; waiting for a free worker is not part of it.
      isolation: what stood between the code and this machine, such as "process+rlimits".
      engine: what drew it, such as "cairosvg"; empty if nothing did.
    """

    image: np.ndarray | None
    error: RenderError | None
    seconds: float
    isolation: str
    engine: str

    @property
    def ok(self) -> bool:
        """Whether there is an image to look at."""
        return self.error is None

    @property
    def fault(self) -> Literal["code", "host"] | None:
        """Whose fault a failure is: "code" makes an attempt `failed`, worth least; "host" (ours) `unscored`."""
        if self.error is None:
            return None
        return "host" if self.error.kind == "infrastructure" else "code"


def is_blank(image: np.ndarray) -> bool:
    """Whether every pixel of `image`, uint8[H, W, C], has the same colour (an empty image is blank too)."""
    if image.size == 0:
        return True
    first = image[0, 0]
    if (image[::16, ::16] != first).any():  # a sample settles nearly all images without reading all of them
        return False
    return bool((image == first).all())

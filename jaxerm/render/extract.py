"""From the text of a model to the code in it: fences, unfenced SVG, tables in prose."""

from __future__ import annotations

import re

from jaxerm.render.types import Task, check_task

_WRAPPING = re.compile(r"<\|(?:im_start\|>\w*|im_end\|>|endoftext\|>)|</?answer>|\ufeff")
"""What chat templates and prompts put around an answer; none of it is an element of HTML or SVG."""
# What a model writes is not ours to trust: possessive quantifiers keep every expression here linear in its length.
_FENCE = re.compile(
    r"^(?P<indent>[ \t]*+)(?P<mark>`{3,}+|~{3,}+)[ \t]*+(?P<language>[\w+#.-]*+)[^\n]*+\n"
    r"(?P<body>.*?)(?:^[ \t]*+(?P=mark)[`~]*+[ \t]*+$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_LANGUAGES: dict[Task, tuple[str, ...]] = {
    "svg": ("svg", "xml", "html", "xhtml", "svg+xml"),
    "table": ("html", "markdown", "md", "xhtml", "xml", "htm", "table"),
    "html": ("html", "xhtml", "htm"),
    "chart": ("python", "py", "python3", "ipython", "ipython3", "matplotlib"),
}
_OPEN_SVG = re.compile(r"<svg\b[^<>]*>.*\Z", re.DOTALL | re.IGNORECASE)
_SVG_TAG = re.compile(r"<(/?)svg\b[^<>]*?(/?)>", re.IGNORECASE)
# A table begins with an element: prose that mentions <table> goes on with words.
_TABLE_START = re.compile(r"<table\b[^<>]*>\s*+<", re.IGNORECASE)
_TABLE_END = re.compile(r"</table\s*+>", re.IGNORECASE)
_PIPES = re.compile(
    r"^(?=[^\n]*\|)[^\n]*+\n[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+"
    r"(?:\n(?=[^\n]*\|)[^\n]*+)*+",
    re.MULTILINE,
)
_PAGE = re.compile(r"(?:<!doctype html\b[^<>]*>\s*+)?<html\b.*?(?:</html\s*+>|\Z)", re.DOTALL | re.IGNORECASE)
_ELEMENT = re.compile(r"<[a-z][a-z0-9]*\b[^<>]*>", re.IGNORECASE)
_PYTHON = re.compile(
    r"^(?:from[ \t]+[\w.]+[ \t]+import[ \t]+[\w(*].*|import[ \t]+[\w.]+(?:[ \t]+as[ \t]+\w+)?[ \t]*(?:[,;#].*)?)$",
    re.MULTILINE,
)
_HEADING = re.compile(r"(?>\s*+#[^\n]*+(?:\n|\Z)|\s*+(\"\"\"|\'\'\').*?\1)*+\s*+", re.DOTALL)
"""Comments and a docstring, which may stand above the first import."""


def extract_code(text: str, task: Task) -> str | None:
    """The code for `task` in what a model wrote, or None when there is none.

    Reasoning in `<think>` is skipped. Of fenced blocks the last one of a fitting language counts, then the last one
    without a language that looks like it; a block of Markdown may hold others. Without a fence: the last `<svg>`,
    closed where the text was cut off at a whole element; the HTML table, or the last Markdown table, in prose; the
    last page from `<html>` on; Python from its first import to the end.

    Raises:
      ValueError: an unknown task.
    """
    check_task(task)
    text = _WRAPPING.sub("\n", _without_thoughts(text.replace("\r\n", "\n")))
    fences = [(match["language"].lower(), _body(match)) for match in _FENCE.finditer(text)]
    named = [body for language, body in fences if language in _LANGUAGES[task]]
    bare = [body for language, body in fences if not language]
    for body in [*reversed(named), *reversed(bare)]:
        if code := _find(body, task, fenced=True):
            return code
    for language, body in reversed(fences):
        if language in ("markdown", "md") and "```" in body and (code := extract_code(body, task)):
            return code
    return None if fences and task == "chart" else _find(text, task, fenced=False)


def _without_thoughts(text: str) -> str:
    kept, at = [], 0
    while (start := text.find("<think>", at)) >= 0:
        kept.append(text[at:start])
        end = text.find("</think>", start)
        at = end + len("</think>") if end >= 0 else len(text)
    # Chat templates often put the opening tag into the prompt.
    return ("".join(kept) + text[at:]).rpartition("</think>")[2]


def _body(fence: re.Match[str]) -> str:
    """What is in a fence, without the indentation of the list that it may stand in and without half a closing mark."""
    lines = fence["body"].splitlines()
    body = "\n".join(line.removeprefix(fence["indent"]) for line in lines).strip("\n")
    return re.sub(r"\n[`~]{1,2}\Z", "", body).strip()


def _find(text: str, task: Task, fenced: bool) -> str | None:
    if task == "svg":
        return _find_svg(text)
    if task == "table":
        return _find_table(text)
    if task == "html":
        pages = _PAGE.findall(text)
        part = text.strip() if fenced and _ELEMENT.search(text) else None
        return pages[-1].strip() if pages else part
    if fenced:
        return text or None
    start = _PYTHON.search(text)
    if start is None:
        return None
    heading = _HEADING.fullmatch(text, 0, start.start())
    return text[0 if heading else start.start() :].strip()


def _find_svg(text: str) -> str | None:
    closed = [text[start:end].strip() for start, end in _closed_svgs(text)]
    if closed:  # a mention such as "<svg> is closed by </svg>" holds no element
        return next((svg for svg in reversed(closed) if svg.count("<") > 2 or "=" in svg), closed[-1])
    unclosed = _OPEN_SVG.search(text)
    return _close(unclosed[0].strip()) if unclosed else None


def _closed_svgs(text: str) -> list[tuple[int, int]]:
    """Start and end of every <svg> that is closed and not inside another that is."""
    opened: list[int] = []
    found: list[tuple[int, int]] = []
    for tag in _SVG_TAG.finditer(text):
        if not tag[1] and not tag[2]:
            opened.append(tag.start())
        elif tag[1] and opened:
            start = opened.pop()
            while found and found[-1][0] > start:
                found.pop()
            found.append((start, tag.end()))
    return found


_XML_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]*+)(?:[^<>\"'/]|\"[^\"<]*+\"|'[^'<]*+'|/(?!>))*+(/?)>")


def _close(svg: str) -> str:
    """Closes every element left open by text that was cut off, after dropping a tag cut in its middle."""
    for begin, end in (("<!--", "-->"), ("<![CDATA[", "]]>")):
        cut = svg.rfind(begin)
        if cut >= 0 and end not in svg[cut:]:
            svg = svg[:cut].rstrip()
    cut = svg.rfind("<")
    if cut > svg.rfind(">"):
        svg = svg[:cut].rstrip()
    opened: list[str] = []
    for tag in _XML_TAG.finditer(svg):
        if tag[1]:
            if opened and opened[-1] == tag[2]:
                opened.pop()
        elif not tag[3]:
            opened.append(tag[2])
    return svg + "".join(f"</{name}>" for name in reversed(opened))


def _find_table(text: str) -> str | None:
    if start := _TABLE_START.search(text):
        ends = [end.end() for end in _TABLE_END.finditer(text, start.end())]
        return text[start.start() : ends[-1] if ends else None].strip()
    tables = [match[0].strip("\n") for match in _PIPES.finditer(text)]
    return tables[-1] if tables else None

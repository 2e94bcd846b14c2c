"""From the text of a model to the code in it: fences, unfenced SVG, tables in prose."""

from __future__ import annotations

import re

from jaxerm.render.types import Task, check_task

_THINK = re.compile(r"<think>.*?</think>", re.DOTALL)
_OPEN_THINK = re.compile(r"<think>(?!.*</think>).*\Z", re.DOTALL)
_FENCE = re.compile(
    r"^[ \t]*(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n]*\n"
    r"(?P<body>.*?)(?:^[ \t]*(?P=mark)[`~]*[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_LANGUAGES: dict[Task, tuple[str, ...]] = {
    "svg": ("svg", "xml", "html", "xhtml", "svg+xml"),
    "table": ("html", "markdown", "md", "xhtml", "xml", "htm", "table"),
    "html": ("html", "xhtml", "htm"),
    "chart": ("python", "py", "python3", "matplotlib"),
}
_SVG = re.compile(r"<svg\b.*?</svg\s*>", re.DOTALL | re.IGNORECASE)
_OPEN_SVG = re.compile(r"<svg\b[^>]*>.*\Z", re.DOTALL | re.IGNORECASE)
_HTML_TABLE = re.compile(r"<table\b.*</table\s*>", re.DOTALL | re.IGNORECASE)
_OPEN_TABLE = re.compile(r"<table\b.*\Z", re.DOTALL | re.IGNORECASE)
_PIPES = re.compile(
    r"^[^\n]*\|[^\n]*\n[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*(?:\n[^\n]*\|[^\n]*)*", re.MULTILINE
)
_PAGE = re.compile(r"(?:<!doctype html\b[^>]*>\s*)?<html\b.*?(?:</html\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_ELEMENT = re.compile(r"<[a-z][a-z0-9]*\b[^<>]*>", re.IGNORECASE)
_PYTHON = re.compile(r"^(?:import|from)\s+\w+", re.MULTILINE)


def extract_code(text: str, task: Task) -> str | None:
    """The code for `task` in what a model wrote, or None when there is none.

    Reasoning in `<think>` is skipped. Of fenced blocks the last one of a fitting language counts, then the last one
    without a language that looks like it. Without a fence: the last `<svg>`, closed where the text was cut off at a
    whole element; the HTML table, or the last Markdown table, in prose; the last page from `<html>` on; a text that is
    a Python script as a whole.

    Raises:
      ValueError: an unknown task.
    """
    check_task(task)
    text = _OPEN_THINK.sub("", _THINK.sub("", text.replace("\r\n", "\n")))
    text = text.rpartition("</think>")[2]  # chat templates often put the opening tag into the prompt
    fences = [(match["language"].lower(), match["body"].strip()) for match in _FENCE.finditer(text)]
    named = [body for language, body in fences if language in _LANGUAGES[task]]
    bare = [body for language, body in fences if not language]
    for body in [*reversed(named), *reversed(bare)]:
        if code := _find(body, task, fenced=True):
            return code
    return None if fences and task == "chart" else _find(text, task, fenced=False)


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
    return text[start.start() :].strip() if start and not text[: start.start()].strip() else None


def _find_svg(text: str) -> str | None:
    if found := _SVG.findall(text):
        last = _last_outermost(text) or found[-1]
        return last.strip()
    unclosed = _OPEN_SVG.search(text)
    if unclosed is None:
        return None
    return _close(unclosed[0].strip())


def _last_outermost(text: str) -> str | None:
    """The last <svg> that is not inside another, whole; None if the tags do not balance."""
    depth, start, found = 0, 0, None
    for tag in re.finditer(r"<(/?)svg\b[^>]*?(/?)>", text, re.IGNORECASE):
        if tag[1]:
            depth -= 1
            if depth == 0:
                found = text[start : tag.end()]
            depth = max(0, depth)
        elif not tag[2]:
            if depth == 0:
                start = tag.start()
            depth += 1
    return found


_XML_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]*)(?:[^<>\"']|\"[^\"]*\"|'[^']*')*?(/?)>")


def _close(svg: str) -> str:
    """Closes every element left open by text that was cut off, after dropping a tag cut in its middle."""
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
    if found := _HTML_TABLE.search(text):
        return found[0].strip()
    if found := _OPEN_TABLE.search(text):
        return found[0].strip()
    tables = [match[0].strip("\n") for match in _PIPES.finditer(text)]
    return tables[-1] if tables else None

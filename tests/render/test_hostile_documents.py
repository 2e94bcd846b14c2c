"""Tables and SVGs that mean harm: each ends inside its limit and reaches nothing; the pool draws what it did before."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest

from jaxerm.render import RenderOptions, RenderPool

LIMIT_S = 1.0
KNOWN = {
    "svg": '<svg viewBox="0 0 8 8"><rect width="4" height="8"/><text y="8">a</text></svg>',
    "table": "<table><tr><td>known</td></tr></table>",
    "html": "<body><h1>known</h1></body>",
    "chart": "import matplotlib.pyplot as plt\nplt.figure(figsize=(2, 2)).text(0.2, 0.5, 'known')\n",
}


def png(width: int, height: int) -> str:
    """A picture of one bit a pixel, all black, in base64: hardly any bytes however large it is."""
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(width // 8 + 1)) for _ in range(height)) + rows.flush()
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
              for kind, data in parts]  # fmt: skip
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


def nested(kind: str, uses: str, depth: int = 20) -> str:
    """`kind` elements each of which uses the next one twice."""
    parts = [
        f'<{kind} id="m{i}">' + f'<rect {uses}="url(#m{i + 1})" width="64" height="64" fill="#fff"/>' * 2 + f"</{kind}>"
        for i in range(depth)
    ]
    return "".join(parts) + f'<rect {uses}="url(#m0)" width="64" height="64"/>'


USES = '<g id="a0"><rect width="1" height="1"/></g>' + "".join(
    f'<g id="a{i}">' + f'<use href="#a{i - 1}"/>' * 10 + "</g>" for i in range(1, 10)
)
FILTERED = '<rect filter="url(#f)" width="64" height="64"/>'
SVG = {  # what stands inside <svg>, or the whole where it begins with one
    "entities": '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><svg><text>&b;</text></svg>',
    "outside entity": '<!DOCTYPE svg [<!ENTITY a SYSTEM "file://{folder}/canary">]><svg><text>&a;</text></svg>',
    "use bomb": USES + '<use href="#a9"/>',
    "use of itself": '<g id="a"><use href="#a"/></g>',
    "uses in a ring": '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g><use href="#a"/>',
    "masks": nested("mask", "mask"),
    "clips": nested("clipPath", "clip-path"),
    "pattern in itself": '<pattern id="m0" width="1" height="1"><rect fill="url(#m0)" width="1" height="1"/></pattern>'
    '<rect fill="url(#m0)" width="64" height="64"/>',
    "blur": f'<filter id="f"><feGaussianBlur stdDeviation="9999"/></filter>{FILTERED}',
    "turbulence": '<filter id="f">' + '<feTurbulence numOctaves="99999"/>' * 99 + f"</filter>{FILTERED}",
    "morphology": f'<filter id="f"><feMorphology operator="dilate" radius="9999"/></filter>{FILTERED}',
    "dashes": '<path d="M0 0H64" stroke="red" stroke-dasharray="0.0000001"/>',
    "gradients in a ring": "".join(f'<linearGradient id="g{i}" href="#g{(i + 1) % 3}"/>' for i in range(3))
    + '<rect fill="url(#g0)" width="9" height="9"/>',
    "depth": "<g>" * 10_000 + "</g>" * 10_000,
    "opacity": '<g opacity="0.9">' * 95 + '<rect width="9" height="9"/>' + "</g>" * 95,
    "elements": "<g/>" * 100_000,
    "circles": '<circle r="99"/>' * 19_000,
    "long path": '<path d="M0 0' + "l1 1-1 0" * 100_000 + '"/>',
    "long text": "<text>" + "x" * 900_000 + "</text>",
    "large letters": '<text font-size="1e9" y="10">x</text>',
    "selectors": "<style>" + "a b c d e f g," * 20_000 + 'x{}</style><rect width="9" height="9"/>',
    "large": '<svg width="1e9" height="1e9"><rect width="9e8" height="9"/></svg>',
    "not a number": '<svg viewBox="nan nan nan nan"><rect width="9" height="9"/></svg>',
    "scaled": '<g transform="scale(1e20)">' * 10 + '<rect width="9" height="9"/>' + "</g>" * 10,
    "attributes": "<svg " + " ".join(f'a{i}="x"' for i in range(20_000)) + "/>",
    "picture bomb": f'<image href="data:image/png;base64,{png(40_000, 40_000)}" width="9" height="9"/>',
}
RING = "".join(f"--a{i}:var(--a{i - 1})var(--a{i - 1});" for i in range(1, 40))
TABLES = {  # what stands inside a cell, or the whole where it begins with one
    "tables in tables": "<table><tr><td>" * 24 + "x" + "</td></tr></table>" * 24,
    "depth": "<div>" * 100_000,
    "deep inline": "<b>" * 100_000 + "x",
    "deep and open": "<table><tr><td><ul><li>" * 40,
    "cells": "<table>" + "<tr><td>" * 60_000 + "</table>",
    "columns": "<table>" + "<tr>" + "<td>1</td>" * 19_000 + "</table>",
    "rows without cells": "<table>" + "<tr>" * 100_000 + "</table>",
    "colspan": "<table><tr><td colspan=1000000>x</table>",
    "colspan behind a bracket": "<table><tr><td title='>' colspan=99999 rowspan=99999>x</table>",
    "many colspans": "<table>" + "<tr><td colspan=1000 rowspan=10>1</td></tr>" * 900 + "</table>",
    "negative": "<table style='margin:-1e9px'><tr><td colspan=-5 rowspan=-1>x</table>",
    "height": "<table style='height:1e9px'><tr><td>x</table>",
    "letters": "<span style='font-size:1e9px'>x</span>",
    "position": "<div style='position:absolute;top:1e9px;left:1e9px'>x</div>",
    "transform": "<div style='transform:scale(1e20) rotate(45deg)'>x</div>",
    "divs as tables": "<div style='display:table'>" * 45 + "x" + "</div>" * 45,
    "css columns": "<div style='column-count:1000000'>x y z</div>",
    "variables": "<table><style>td{--a0:xx;" + RING + "content:var(--a39)}</style><tr><td>x</table>",
    "svg": f"<svg width='9' height='9'>{USES}<use href='#a9'/></svg>",
    "words": "x " * 450_000,
    "breaks": "<br>" * 100_000,
    "script": "<script>while(1);</script>x",
    "emphasis": "| a |\n|---|\n| " + "*" * 50_000 + "x |",
    "brackets": "| a |\n|---|\n| " + "[" * 10_000 + "x |",
    "markdown columns": "|a" * 10_000 + "|\n" + "|---" * 10_000 + "|\n",
    "tags cut off": "<table" * 100_000,
    "comment": "<table><!--" + "x" * 100_000,
    "nothing and halves": "a\0b\0\ud800x",
    "large controls": "<select>" + "<option>x" * 9_000 + "</select><textarea rows=1000000 cols=100000></textarea>",
    "picture bomb": f"<img src='data:image/png;base64,{png(40_000, 40_000)}'>",
}
URLS = ("file://{folder}/canary", "{folder}/canary", "http://127.0.0.1:{tcp}/a.png", "//127.0.0.1:{tcp}/a.png")


@pytest.fixture(scope="module")
def pool():
    with RenderPool(1, timeout_s=30, options=RenderOptions(svg_size=64, memory_mb=512)) as pool:
        yield pool


@pytest.fixture(scope="module")
def known(pool):
    return {task: pool.render(task, code).image.tobytes() for task, code in KNOWN.items()}


def run(pool, known, world, task, code):
    pool.timeout_s = LIMIT_S
    try:
        result = pool.render(task, world.fill(code))
    finally:
        pool.timeout_s = 30.0
    world.check()
    assert result.fault != "host", str(result.error)
    assert result.seconds < LIMIT_S + 2.5
    for other in (task, "chart"):
        assert pool.render(other, KNOWN[other]).image.tobytes() == known[other]
    return result


@pytest.mark.parametrize("code", SVG.values(), ids=SVG)
def test_hostile_svg_costs_one_render(pool, known, world, code):
    whole = code if code.startswith(("<svg", "<!D")) else f'<svg viewBox="0 0 64 64">{code}</svg>'
    run(pool, known, world, "svg", whole)


@pytest.mark.parametrize("code", TABLES.values(), ids=TABLES)
def test_hostile_table_costs_one_render(pool, known, world, code):
    table = code if code.startswith(("<table", "|")) else f"<table><tr><td>{code}</td></tr></table>"
    run(pool, known, world, "table", table)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("way", ["image", "style sheet", "import", "background", "font", "frame", "object"])
def test_a_table_reaches_nothing_outside_itself(pool, known, world, url, way):
    code = {
        "image": f"<img src='{url}' width=20 height=20>",
        "style sheet": f"<link rel=stylesheet href='{url}'>",
        "import": f"<style>@import url({url});</style>",
        "background": f"<div style='background:url({url})'>b</div>",
        "font": f"<style>@font-face{{font-family:F;src:url({url})}}</style><span style='font-family:F'>f</span>",
        "frame": f"<iframe src='{url}'></iframe>",
        "object": f"<object data='{url}'></object>",
    }[way]
    result = run(pool, known, world, "table", f"<table><tr><td>x{code}</td></tr></table>")
    assert result.ok, str(result.error)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("way", ["image", "use", "style", "import", "fill"])
def test_an_svg_reaches_nothing_outside_itself(pool, known, world, url, way):
    code = {
        "image": f'<image href="{url}" width="9" height="9"/>',
        "use": f'<use xlink:href="{url}#a"/>',
        "style": f'<rect width="9" height="9" style="filter:url({url})"/>',
        "import": f"<style>@import url({url});</style>",
        "fill": f'<rect width="9" height="9" fill="url({url}#a) red"/>',
    }[way]
    run(pool, known, world, "svg", f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><g>{code}</g></svg>')


@pytest.mark.parametrize("name", ["depth", "position", "divs as tables", "svg"])
def test_a_hostile_page_costs_one_render(pool, known, world, name):
    result = run(pool, known, world, "html", f"<body><p>page</p>{TABLES[name]}</body>")
    assert not result.ok


@pytest.mark.parametrize("engine", ["resvg", "plutoprint"])
def test_the_other_svg_engines_survive_the_worst(known, world, engine):
    with RenderPool(1, timeout_s=30, options=RenderOptions(svg_size=64, memory_mb=512, svg_engine=engine)) as pool:
        drawn = pool.render("svg", KNOWN["svg"]).image.tobytes()
        for name in ("entities", "use bomb", "masks", "opacity", "picture bomb"):
            code = SVG[name]
            run(pool, {"svg": drawn, "chart": known["chart"]}, world, "svg",
                code if code.startswith("<!D") else f'<svg viewBox="0 0 64 64">{code}</svg>')  # fmt: skip

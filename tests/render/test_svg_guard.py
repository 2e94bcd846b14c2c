"""What must not reach a drawing library."""

from __future__ import annotations

import pytest

from jaxerm.render import svg_guard
from jaxerm.render.errors import DrawError


def check(code: str) -> str:
    return svg_guard.check(code, max_elements=50, max_depth=10).decode()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "syntax"),
        ("<svg><g></svg>", "syntax"),
        ("<html/>", "syntax"),
        ("no svg at all", "syntax"),
        ("<svg>" + "<g/>" * 60 + "</svg>", "too_large"),
        ("<svg>" + "<g>" * 12 + "</g>" * 12 + "</svg>", "too_large"),
    ],
)
def test_refused(code, kind):
    with pytest.raises(DrawError) as error:
        check(code)
    assert error.value.kind == kind


@pytest.mark.parametrize("href", ["/etc/passwd", "http://example.org/a.png", "file:///etc/passwd", "data:text/html,x"])
@pytest.mark.parametrize("name", ["href", "xlink:href"])
def test_references_to_the_outside_are_dropped(href, name):
    out = check(f'<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image {name}="{href}"/></svg>')
    assert "href=" not in out
    assert "<image" in out


@pytest.mark.parametrize("href", ["#a", "data:image/png;base64,AAAA"])
def test_references_inside_stay(href):
    assert f'href="{href}"' in check(f'<svg><use href="{href}"/></svg>')


def test_a_missing_namespace_is_supplied():
    assert 'xmlns="http://www.w3.org/2000/svg"' in check("<svg><rect/></svg>")
    assert check('<svg xmlns="http://www.w3.org/2000/svg"/>').count("xmlns") == 1

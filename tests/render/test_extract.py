"""From the text of a model to code."""

from __future__ import annotations

import pytest

from jaxerm.render import extract_code

SVG = '<svg viewBox="0 0 8 8"><circle r="3"/></svg>'
MARKDOWN = "| a | b |\n|---|:-:|\n| 1 | 2 |"
PAGE = "<!DOCTYPE html>\n<html><body><p>x</p></body></html>"
CHART = "import matplotlib.pyplot as plt\nplt.plot([1, 2])"


@pytest.mark.parametrize(
    ("task", "text", "code"),
    [
        ("svg", f"Here:\n```svg\n{SVG}\n```\nDone.", SVG),
        ("svg", f"```xml\n<svg></svg>\n```\nBetter:\n```xml\n{SVG}\n```", SVG),
        ("svg", f"```\n{SVG}\n```", SVG),
        ("svg", f"```svg\n{SVG}", SVG),
        ("svg", f"I drew {SVG} for you", SVG),
        ("svg", f"<think>maybe <svg><rect/></svg></think>{SVG}", SVG),
        ("svg", f"maybe <svg><rect/></svg></think>{SVG}", SVG),
        ("svg", f"{SVG}<think>not sure about <svg>", SVG),
        ("svg", '<svg><g><rect x="1"/><circle r="', '<svg><g><rect x="1"/></g></svg>'),
        ("svg", "```python\nprint(1)\n```\n" + SVG, SVG),
        ("svg", "<svg><svg></svg><rect/></svg>", "<svg><svg></svg><rect/></svg>"),
        ("svg", "I cannot draw this.", None),
        ("svg", "", None),
        ("table", f"```markdown\n{MARKDOWN}\n```", MARKDOWN),
        ("table", f"The table:\n\n{MARKDOWN}\n\nHope it helps.", MARKDOWN),
        ("table", "See <table><tr><td>1</td></tr></table>.", "<table><tr><td>1</td></tr></table>"),
        ("table", "```html\n<p>x</p><table><tr><td>1</td></tr></table>\n```", "<table><tr><td>1</td></tr></table>"),
        ("table", "<table><tr><td>1</td><td>2", "<table><tr><td>1</td><td>2"),
        ("table", "Either a | b, who knows.", None),
        ("html", f"Sure:\n```html\n{PAGE}\n```\nDone.", PAGE),
        ("html", "```html\n<div>part</div>\n```", "<div>part</div>"),
        ("html", f"<think>{PAGE}</think>Here it is: {PAGE} I hope.", PAGE),
        ("html", "<html><body><p>cut o", "<html><body><p>cut o"),
        ("html", f"```css\np {{}}\n```\n```html\n<p>old</p>\n```\n```html\n{PAGE}", PAGE),
        ("html", "I would use a <div> here.", None),
        ("html", "```python\nx < 1\n```", None),
        ("chart", f"<think>```python\nx = 1\n```</think>\n```python\n{CHART}\n```", CHART),
        ("chart", f"<think>\n```python\n{CHART}\n```\nlet me see", None),
        ("chart", f"```python\n{CHART}", CHART),
        ("chart", f"```Python title=x\n{CHART}\n```", CHART),
        ("chart", f"```python\n{CHART}\n```", CHART),
        ("chart", f"```py\nx = 1\n```\ntext\n```python\n{CHART}\n```", CHART),
        ("chart", f"```json\n{{}}\n```\n```python\n{CHART}\n```\n```text\nbye\n```", CHART),
        ("chart", f"```bash\npip install x\n```\n```\n{CHART}\n```", CHART),
        ("chart", f"~~~python\n{CHART}\n~~~", CHART),
        ("chart", CHART, CHART),
        ("chart", "```\r\nimport os\r\n```", "import os"),
        ("chart", "```json\n{}\n```", None),
        ("chart", "The chart shows import volumes.\nimport and export differ.", None),
    ],
)
def test_extract(task, text, code):
    assert extract_code(text, task) == code


def test_unknown_task_is_named():
    with pytest.raises(ValueError, match="poem"):
        extract_code("x", "poem")

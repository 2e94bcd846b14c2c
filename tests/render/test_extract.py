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
        # lists, wrappers, blocks in blocks, what is cut off, what is only mentioned
        ("chart", "1. Step\n   ```python\n   import a\n   if a:\n       a()\n   ```", "import a\nif a:\n    a()"),
        ("chart", f"````markdown\n# Chart\n```python\n{CHART}\n```\n````", CHART),
        ("chart", f"```{{python}}\n{CHART}\n```", CHART),
        ("chart", f"<answer>```python\n{CHART}\n```</answer>", CHART),
        ("chart", f"<think>a</think><answer>\n{CHART}\n</answer>", CHART),
        ("chart", f"<|im_start|>assistant\n```python\n{CHART}\n```<|im_end|>", CHART),
        ("chart", f"\ufeff```ipython\n{CHART}\n```", CHART),
        ("chart", f"```python\n{CHART}\n``", CHART),
        ("chart", f"```python\n\n```\n```python\n{CHART}\n```", CHART),
        ("chart", f"```python\n{CHART}\n```\nRun:\n```\npip install matplotlib\n```", CHART),
        ("chart", f"Here is the code:\n\n{CHART}", CHART),
        ("chart", f"# chart\n{CHART}", f"# chart\n{CHART}"),
        ("chart", f'"""A chart."""\n\n{CHART}', f'"""A chart."""\n\n{CHART}'),
        ("chart", f"<think>never closed\n{CHART}", None),
        ("chart", f"<think>a</think>{CHART}<think>b", CHART),
        ("chart", "```python\n```", None),
        ("svg", f"I use <svg> tags: {SVG}", SVG),
        ("svg", f"The `<svg>` element:\n{SVG}", SVG),
        ("svg", f"{SVG}\nAs you see, <svg> is closed by </svg>.", SVG),
        ("svg", f"{SVG}\n{SVG}", SVG),
        ("svg", "<svg><rect/><!-- cut <g", "<svg><rect/></svg>"),
        ("svg", "<svg><style><![CDATA[ a{", "<svg><style></style></svg>"),
        ("svg", "<svg><text>a > b</text><circle", "<svg><text>a > b</text></svg>"),
        ("svg", f"```jsx\n{SVG}\n```", SVG),
        ("svg", f"```html\n<html><body>{SVG}</body></html>\n```", SVG),
        ("table", f"{MARKDOWN}\n\nand\n\n| c |\n|---|\n| 3 |", "| c |\n|---|\n| 3 |"),
        ("table", "a | b\n--- | ---\n1 | 2", "a | b\n--- | ---\n1 | 2"),
        ("table", "| a |\n|---|\n| 1 |\n| 2", "| a |\n|---|\n| 1 |\n| 2"),
        ("table", "The <table> tag:\n<table><tr><td>1</table>", "<table><tr><td>1</table>"),
        ("table", f"<think><table><tr><td>0</table></think>{MARKDOWN}", MARKDOWN),
        ("table", "<TABLE><TR><TD>1</TABLE>", "<TABLE><TR><TD>1</TABLE>"),
        ("html", f"```html\n{PAGE}\n```\n```css\na{{}}\n```", PAGE),
        ("html", f"```\n{PAGE}\n```", PAGE),
        ("chart", "The chart shows import volumes.\nimport and export differ.", None),
    ],
)
def test_extract(task, text, code):
    assert extract_code(text, task) == code


def test_unknown_task_is_named():
    with pytest.raises(ValueError, match="poem"):
        extract_code("x", "poem")

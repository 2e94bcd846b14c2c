"""jaxerm: a reward model that looks at the reference and the rendered attempt, and everything round it, in JAX.

    import jaxerm

    model = jaxerm.load("models/tiny-base")
    content = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "describe the picture"}]
    model.generate([{"role": "user", "content": content}])
    jaxerm.VisualERM("models/tiny-erm").critique("reference.png", "attempt.png", task="svg").severity

Names are imported when they are first used: ``import jaxerm`` itself loads neither JAX nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Critique": "jaxerm.critique",
    "CritiqueError": "jaxerm.critique",
    "Discrepancy": "jaxerm.critique",
    "RenderPool": "jaxerm.render",
    "VisualERM": "jaxerm.rewards",
    "load": "jaxerm.models.language",
}

__all__ = ["Critique", "CritiqueError", "Discrepancy", "RenderPool", "VisualERM", "load"]

if TYPE_CHECKING:
    from jaxerm.critique import Critique, CritiqueError, Discrepancy
    from jaxerm.models.language import load
    from jaxerm.render import RenderPool
    from jaxerm.rewards import VisualERM


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxerm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

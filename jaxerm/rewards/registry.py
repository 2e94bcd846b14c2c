"""Rewards by name: one table, and a recipe's list of them turned into the terms of a sum."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from jaxerm.rewards.function import FunctionReward, load_function
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.scorer import Part
from jaxerm.rewards.severity import SeverityReward

REWARDS = {
    "render_success": "jaxerm.rewards.code:RenderSuccess",
    "length": "jaxerm.rewards.code:Length",
    "pixel": "jaxerm.rewards.pixel:Pixel",
    "lpips": "jaxerm.rewards.lpips:Lpips",
    "dino": "jaxerm.rewards.dino:Dino",
    "teds": "jaxerm.rewards.teds:Teds",
    "teds_s": "jaxerm.rewards.teds:TedsStructure",
}
"""Name -> where its constructor stands; imported when somebody asks for it."""


def _constructor(name: str, made: Mapping[str, Callable[..., Reward]]) -> Callable[..., Reward]:
    if ":" in name:
        return partial(FunctionReward, load_function(name), name.partition(":")[2])
    if name in made:
        return made[name]
    if name in REWARDS:
        module, _, attribute = REWARDS[name].partition(":")
        return getattr(import_module(module), attribute)
    known = [*made, *REWARDS]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}, or package.module:function"
    raise ValueError(f"no reward {name!r}; {hint}")


def check_rewards(specs: Sequence[Any]) -> None:
    """Looks for every reward of a recipe before anything is loaded.

    Raises:
      ValueError: there is none of that name.
    """
    for spec in specs:
        _constructor(spec.name, {"visual_erm": SeverityReward})


def make_reward(name: str, options: Mapping[str, Any], made: Mapping[str, Callable[..., Reward]]) -> Reward:
    """A reward by its name.

    Args:
      name: one of `REWARDS`, or of `made`, or ``package.module:function``, see `FunctionReward`.
      options: of its constructor.
      made: further constructors, of what a run already holds, such as its reward model.

    Raises:
      ValueError: no such reward, or options it does not have.
    """
    make = _constructor(name, made)
    try:
        return make(**options)
    except TypeError as error:
        raise ValueError(f"reward {name!r}: {error}") from None


def make_parts(specs: Sequence[Any], **made: Callable[..., Reward]) -> list[Part]:
    """The terms of a recipe's `rewards`, each with name, weight, tasks, label and options; see `make_reward`."""
    parts = []
    for spec in specs:
        reward = make_reward(spec.name, spec.options, made)
        if spec.label is not None:
            reward.name = spec.label
        parts.append(Part(reward, spec.weight, tuple(spec.tasks) if spec.tasks is not None else None))
    return parts

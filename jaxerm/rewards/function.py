"""A user's own function as a reward, in the signature of TRL, of verl, or of this package."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Literal

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, scored, skipped, unscored

Signature = Literal["auto", "trl", "verl", "attempts"]
_MARKS = {"completions": "trl", "solution_str": "verl", "attempts": "attempts"}
"""Parameter -> the signature it belongs to."""


def load_function(path: str) -> Callable[..., Any]:
    """The function at ``package.module:function``; modules of the working directory are found as well.

    Raises:
      ValueError: there is no such module or function.
    """
    module, _, name = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"reward {path!r}: {error}; it is written package.module:function") from None
    if not callable(found):
        raise ValueError(f"reward {path!r} is a {type(found).__name__}, not a function")
    return found


class FunctionReward(Reward):
    """What a function of the user's says.

    What it raises leaves the attempts it was asked about unscored, with the reason; so does what is no finite number.

    - ``trl``: ``f(prompts, completions, **columns) -> list[float | None]``, as of TRL's GRPOTrainer with
      conversations: ``prompts[i]`` and ``completions[i]`` are lists of messages, each column of the rows is a list.
      None means that the reward does not apply, and leaves it out of the sum. ``completion_ids`` are tokens.
    - ``verl``: ``f(data_source, solution_str, ground_truth, extra_info) -> float | {"score": float, ...}``, once for
      each attempt. They are the row's ``data_source``, else its task; the answer; ``reward_model.ground_truth`` or
      ``ground_truth`` of the row, else the reference's own code; and ``extra_info``.
    - ``attempts``: ``f(attempts) -> list[float | None | RewardResult]``, with all that an `Attempt` knows: images too.

    Arguments that a function does not name are left out unless it takes ``**kwargs``.

    Args:
      function: may be a coroutine function.
      name: of the reward.
      signature: ``auto`` tells it by the parameters.
      options: further keyword arguments of each call.

    Raises:
      ValueError: the parameters fit none of the signatures.
    """

    def __init__(self, function: Callable[..., Any], name: str, signature: Signature = "auto", **options: Any):
        self.function, self.name, self.options = function, name, options
        parameters = inspect.signature(function).parameters.values()
        self._takes = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        if signature == "auto":
            signature = next((of for mark, of in _MARKS.items() if mark in self._takes), "")
        if signature not in _MARKS.values():
            raise ValueError(
                f"reward {name!r} takes {', '.join(self._takes) or 'nothing by name'}; it should take prompts and "
                "completions (TRL), data_source, solution_str, ground_truth and extra_info (verl), or attempts"
            )
        self._ask = {"trl": self._trl, "verl": self._verl, "attempts": self._attempts}[signature]

    def __call__(self, attempts: Sequence[Attempt], *, seed: int = 0) -> list[RewardResult]:
        return self._ask(attempts) if attempts else []

    def _call(self, arguments: dict[str, Any]) -> Any:
        arguments = arguments | self.options
        if not self._takes_all:
            arguments = {name: value for name, value in arguments.items() if name in self._takes}
        out = self.function(**arguments)
        return asyncio.run(_wait(out)) if inspect.isawaitable(out) else out

    def _lists(self, count: int, arguments: dict[str, Any]) -> list[RewardResult]:
        """Calls a function of lists; a fault of it is one of all the attempts it was asked about."""
        try:
            values = list(self._call(arguments))
            if len(values) != count:
                raise ValueError(f"{len(values)} rewards for {count} attempts")
        except Exception as error:  # whatever a user's function raises
            return [_fault(error)] * count
        return [_result(value) for value in values]

    def _trl(self, attempts: Sequence[Attempt]) -> list[RewardResult]:
        names = dict.fromkeys(name for attempt in attempts for name in attempt.columns)
        columns = {name: [attempt.columns.get(name) for attempt in attempts] for name in names if name != "prompt"}
        tokens = [attempt.tokens for attempt in attempts]
        return self._lists(
            len(attempts),
            {
                **columns,
                "prompts": [[{"role": "user", "content": attempt.prompt}] for attempt in attempts],
                "completions": [[{"role": "assistant", "content": attempt.text}] for attempt in attempts],
                "completion_ids": tokens,
                "completions_ids": tokens,
                "task": columns.get("task") or [attempt.task for attempt in attempts],
            },
        )

    def _attempts(self, attempts: Sequence[Attempt]) -> list[RewardResult]:
        return self._lists(len(attempts), {"attempts": list(attempts)})

    def _verl(self, attempts: Sequence[Attempt]) -> list[RewardResult]:
        return [self._verl_one(attempt) for attempt in attempts]

    def _verl_one(self, attempt: Attempt) -> RewardResult:
        row = attempt.columns
        model = row.get("reward_model")
        truth = model.get("ground_truth") if isinstance(model, dict) else row.get("ground_truth")
        try:
            value = self._call(
                {
                    "data_source": row.get("data_source", attempt.task),
                    "solution_str": attempt.text,
                    "ground_truth": row.get("code") if truth is None else truth,
                    "extra_info": row.get("extra_info") or {},
                }
            )
            value = value["score"] if isinstance(value, dict) else value
        except Exception as error:  # whatever a user's function raises
            return _fault(error)
        return unscored("the function gave no number") if value is None else _result(value)


async def _wait(coroutine: Any) -> Any:
    return await coroutine


def _fault(error: Exception) -> RewardResult:
    return unscored(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _result(value: Any) -> RewardResult:
    if isinstance(value, RewardResult):
        return value
    if value is None:
        return skipped("the function has nothing to say of it")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return unscored(f"the function gave {str(value)[:60]!r}, which is no number")
    return scored(number) if math.isfinite(number) else unscored(f"the function gave {number}")

"""Conversations that others wrote (ms-swift, LLaMA-Factory, OpenAI, verl) as examples to learn from as they are."""

from __future__ import annotations

from typing import Any

from jaxerm.data.examples import Example
from jaxerm.data.picture import picture_of
from jaxerm.data.rows import dig, open_rows

_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
_MARK = "<image>"


class Conversations:
    """The rows of a file, each one conversation; its last turn is the answer that is learned.

    A row has ``messages`` (role, content), ``conversations`` (from, value), ``instruction``, ``input`` and ``output``,
    or ``prompt`` and ``reward_model.ground_truth``; and ``images``, which stand where the text says ``<image>``, or
    before the first question where it does not.

    Args:
      name: file or ``tfds:NAME``, see `open_rows`.
      split, data_dir: of TFDS.

    Raises:
      ValueError: see `open_rows`; or the first row is in none of these forms.
    """

    def __init__(self, name: str, split: str = "train", data_dir: str | None = None):
        self._rows = open_rows(name, split, data_dir)
        _turns(self._rows[0], f"{self._rows.name}, item 0")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Example:
        """Example `index`, its images read.

        Raises:
          ValueError: a row in none of the forms, or with other images than its text says; the message names it.
        """
        row, where = self._rows[index], f"{self._rows.name}, item {index}"
        *asked, (role, answer) = _turns(row, where)
        if role != "assistant" or not asked or not isinstance(answer, str):
            raise ValueError(f"{where}: the last turn is {role}'s, not the assistant's answer to another")
        images = row.get("images") or []
        images = images if isinstance(images, list) else [images]
        marks = sum(text.count(_MARK) for _, text in asked)
        if marks not in (0, len(images)):
            raise ValueError(f"{where}: {marks} times {_MARK} in the text, and {len(images)} images")
        left = iter([picture_of(image, self._rows.folder).open() for image in images])
        messages: list[dict[str, Any]] = []
        for role, text in asked:
            first = not marks and role == "user" and all(message["role"] != "user" for message in messages)
            content = [{"type": "image", "image": image} for image in left] if first else []
            for place, part in enumerate(text.split(_MARK)):
                if place:
                    content.append({"type": "image", "image": next(left)})
                if part.strip():
                    content.append({"type": "text", "text": part.strip("\n")})
            messages.append({"role": role, "content": content})
        return Example(messages, answer)


def _turns(row: dict[str, Any], where: str) -> list[tuple[str, str]]:
    """(role, text) of every turn."""
    if "instruction" in row and "output" in row:
        asked = "\n".join(part for part in (row["instruction"], row.get("input")) if part)
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]
    elif "prompt" in row and dig(row, "reward_model.ground_truth") is not None:
        turns = [*row["prompt"], {"role": "assistant", "content": dig(row, "reward_model.ground_truth")}]
    else:
        turns = row.get("messages") or row.get("conversations")
    found = []
    for turn in turns if isinstance(turns, list) else []:
        role = _ROLES.get(turn.get("role", turn.get("from"))) if isinstance(turn, dict) else None
        text = turn.get("content", turn.get("value")) if isinstance(turn, dict) else None
        if role is None or not isinstance(text, str):
            raise ValueError(f"{where}: a turn has a role (user, assistant, system) and a text, not {str(turn)[:60]!r}")
        found.append((role, text))
    if not found:
        raise ValueError(
            f"{where} has the fields {', '.join(map(str, row))}: a conversation has messages, conversations, "
            "instruction and output, or prompt and reward_model.ground_truth"
        )
    if isinstance(row.get("system"), str) and row["system"] and found[0][0] != "system":
        found.insert(0, ("system", row["system"]))
    return found

"""Conversations of other trainers are examples as they stand: images in their places, the last answer to learn."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jaxerm.data.conversations import Conversations
from jaxerm.data.features import features
from jaxerm.prompts import Prompts
from jaxerm.train.mixture import components

TURNS = [("user", "see <image> and <image>"), ("assistant", "two"), ("user", "which?"), ("assistant", "the first")]
NAMES = {"user": "human", "assistant": "gpt"}
ROWS = {
    "swift": {"messages": [{"role": role, "content": text} for role, text in TURNS]},
    "llamafactory": {"conversations": [{"from": NAMES[role], "value": text} for role, text in TURNS]},
    "alpaca": {"instruction": "see <image> and <image>", "input": "which?", "output": "the first"},
    "verl": {
        "prompt": [{"role": "user", "content": "see <image> and <image>\nwhich?"}],
        "reward_model": {"ground_truth": "the first"},
    },
}


@pytest.fixture
def write(tmp_path):
    for name in ("red", "blue"):
        Image.new("RGB", (16, 16), name).save(tmp_path / f"{name}.png")

    def write(**row):
        path = tmp_path / "talks.jsonl"
        path.write_text(json.dumps({"images": ["red.png", "blue.png"]} | row))
        return path

    return write


@pytest.mark.parametrize("name", ROWS)
def test_images_stand_where_the_text_says_and_the_last_answer_is_learned(write, name):
    example = Conversations(str(write(**ROWS[name])))[0]
    kinds = [part["type"] for part in example.messages[0]["content"]]
    assert kinds[:4] == ["text", "image", "text", "image"] and example.answer == "the first"
    pictures = [part["image"] for part in example.messages[0]["content"] if part["type"] == "image"]
    assert pictures[0][0, 0].tolist() == [255, 0, 0] and pictures[1][0, 0].tolist() == [0, 0, 255]
    assert [message["role"] for message in example.messages] in (["user"], ["user", "assistant", "user"])


def test_images_nobody_mentions_come_first(write):
    turns = [
        {"role": "system", "content": "judge"},
        {"role": "user", "content": "see"},
        {"role": "assistant", "content": "a"},
    ]
    system, asked = Conversations(str(write(messages=turns)))[0].messages
    assert system["role"] == "system" and [part["type"] for part in asked["content"]] == ["image", "image", "text"]


def test_a_mixture_learns_the_answer_alone(write, micro):
    part = SimpleNamespace(
        source=str(write(**ROWS["swift"])), role="conversation", options={}, weight=2.0, max_edits=None
    )
    (component,) = components([part], None, Prompts("brief"), seed=0, max_edits=1, clean_share=0.0)
    made = features(component.make(0), micro.processor)
    assert (component.size, component.weight) == (1, 2.0)
    assert micro.processor.decode(made["tokens"][made["weights"] > 0]).startswith("the first")
    assert len(np.unique(made["image"])) == 2


@pytest.mark.parametrize(
    "row, words",
    [
        ({"messages": [{"role": "user", "content": "see <image>"}, {"role": "assistant", "content": "a"}]}, "1 times"),
        ({"messages": [{"role": "user", "content": "see"}]}, "the last turn is user's"),
        ({"messages": [{"role": "tool", "content": "see"}]}, "a turn has a role"),
        ({"text": "see"}, "has the fields images, text: a conversation has messages"),
    ],
)
def test_rows_that_are_no_conversation_are_named(write, row, words):
    with pytest.raises(ValueError, match=f"talks.jsonl, item 0.*{words}"):
        Conversations(str(write(**row)))[0]

"""A GRPO run small enough for a test, with a judge that never errs."""

import numpy as np

from jaxerm.critique import Critique, Discrepancy

LENGTH, NEW = 64, 16


class Judge:
    """A reward model that never errs: as severe as the attempt is far from red."""

    def critiques(self, pairs, **_):
        out = []
        for task, reference, attempt in pairs:
            same = np.array_equal(reference, attempt)
            out.append(Critique(task, () if same else (Discrepancy("style_error", 3, "differs", "center"),)))
        return out


def variety(completions, **_):
    """Different letters of an answer: a reward that even an untrained policy's answers differ in."""
    return [len(set(completion[-1]["content"])) / 10 for completion in completions]


def small_grpo(path, model):
    """Writes a recipe of two prompts a step with two answers each, and returns its path."""
    path.write_text(
        f"""
kind: grpo
policy: {model}
out: unused
steps: 3
seed: 1
checkpoint_every: 2
prompts: brief
render: {{svg_size: 64}}
prompts_per_step: 2
mini_batch: 1
micro_batch: 2
rollouts: 2
rollout_prompts: 1
max_prompt_length: {LENGTH}
max_patches: 64
max_new_tokens: {NEW}
dtype: {{param: float32, compute: float32}}
mesh: {{fsdp: 1}}
reward: {{model: {model}, max_new_tokens: 8, max_prompt_length: 64, max_patches: 128, rows: 4}}
rewards:
  - {{name: render_success}}
  - {{name: visual_erm}}
  - {{name: "tests.train.small:variety"}}
data:
  mixture:
    - {{source: drawings, options: {{max_shapes: 2}}}}
"""
    )
    return path

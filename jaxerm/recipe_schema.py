"""The fields of a recipe: what one run trains, on what and how. Read one with `jaxerm.recipe.load_recipe`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Dtype = Literal["float32", "bfloat16"]
Axis = Literal["data", "fsdp", "tensor"]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Rate = Annotated[float, Field(ge=0.0)]


class Section(BaseModel):
    """Base of every part of a recipe: exact types, no key that is not declared, never changed after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class Dtypes(Section):
    """Number formats."""

    param: Dtype = Field("float32", description="of the weights and of the optimizer's state")
    compute: Dtype = Field("bfloat16", description="of activations and matmuls; losses are always float32")


class Optimizer(Section):
    """The optimiser and its schedule: linear warm-up, then `schedule` down to `decay_to * lr` at the last step."""

    name: Literal["adamw", "muon"] = Field("adamw", description="muon: for training from scratch")
    lr: Annotated[float, Field(gt=0.0)] = Field(1e-5, description="peak learning rate")
    b1: Share = 0.9
    b2: Share = 0.999
    weight_decay: Rate = 0.0
    clip_norm: Annotated[float, Field(gt=0.0)] | None = Field(1.0, description="global gradient norm; null: no clip")
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    decay_to: Share = Field(0.0, description="share of `lr` left at the last step (cosine, linear)")


class GrpoOptimizer(Optimizer):
    """The same, ten times slower by default."""

    lr: Annotated[float, Field(gt=0.0)] = Field(1e-6, description="peak learning rate")


class Mix(Section):
    """One part of a mixture of supervised examples."""

    source: str = Field(description="name of a source, a folder of its files, or a folder of written pairs")
    weight: Annotated[float, Field(gt=0.0)] = Field(1.0, description="how often, against the other parts")
    role: Literal["describe", "code", "compare", "compare_json", "edit", "critique", "revise", "conversation"] = Field(
        "critique",
        description="what is learned. From an image: describe it, code it. From a pair: compare, critique. "
        "From a reference, a draft and its critique: revise. The same with the critique in plain words: edit. "
        "From a file of conversations (ms-swift, LLaMA-Factory, verl): the last answer, as it stands",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="handed to the source")
    max_edits: Count | None = Field(None, description="corruptions of one pair of this part; null: those of `data`")


class SftData(Section):
    """Supervised examples."""

    mixture: Annotated[list[Mix], Field(min_length=1)]
    max_edits: Annotated[int, Field(ge=1)] = Field(4, description="corruptions of one pair, at most")
    clean_share: Share = Field(0.15, description="share of pairs with no difference at all")
    workers: Count = Field(2, description="renderer processes")
    prefetch: Count = Field(64, description="examples made ahead")
    streams: Count | None = Field(
        None, description="parts the data is drawn in, a multiple of the hosts; null: 8, or what of it divides the rows"
    )


class PromptMix(Section):
    """One part of a mixture of images to turn into code. No ground-truth code is needed."""

    source: str = Field(description="name of a source, or a folder")
    weight: Annotated[float, Field(gt=0.0)] = 1.0
    role: Literal["code"] = "code"
    options: dict[str, Any] = Field(default_factory=dict, description="handed to the source")


class GrpoData(Section):
    """Images for GRPO."""

    mixture: Annotated[list[PromptMix], Field(min_length=1)]
    workers: Count = Field(2, description="renderer processes")


class RewardPart(Section):
    """One term of the sum that rewards an answer."""

    name: str = Field(description="of a reward that jaxerm has, or package.module:function")
    weight: float = Field(1.0, description="what it is multiplied by; 0: only watched")
    tasks: Annotated[list[Literal["chart", "table", "svg"]], Field(min_length=1)] | None = Field(
        None, description="those it speaks of; null: all"
    )
    label: str | None = Field(None, description="its name in the metrics; null: its own")
    options: dict[str, Any] = Field(default_factory=dict, description="handed to the reward")


class Reward(Section):
    """The reward model, which the reward `visual_erm` asks: Visual-ERM, eqs. 3-5."""

    model: str | None = Field(
        None, description="directory of the reward model; with a url its name there, null: the first the server lists"
    )
    url: str | None = Field(
        None, description="OpenAI-compatible address of the reward model, http://HOST/v1; null: on the mesh"
    )
    timeout_s: Annotated[float, Field(gt=0.0)] = Field(300.0, description="of one try at the url")
    prompts: Literal["brief", "full"] | None = Field(
        None, description="wording of its instructions; null: what its directory says, full at a url"
    )
    normaliser: Literal["batch_max", "fixed"] = Field(
        "batch_max", description="divide S by the batch's largest (the paper), or by `fixed` (the reference code)"
    )
    fixed: Annotated[float, Field(gt=0.0)] = 50.0
    max_new_tokens: Count = 4096
    temperature: Rate = 0.7
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8
    top_k: Annotated[int, Field(ge=0)] = Field(20, description="0: no limit")
    max_prompt_length: Count = Field(8192, description="tokens of its prompt, both images included")
    max_patches: Count = Field(16384, description="vision patches of both images, before merging")
    rows: Count = Field(64, description="critiques written at once, or asked for at once")
    retries: Annotated[int, Field(ge=0)] = Field(2, description="further tries at a critique that cannot be read")


class RoleMesh(Section):
    """Devices of one role, where it does not share the actor's."""

    devices: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(
        None, description="first, and one past the last, of the devices; null: all"
    )
    mesh: dict[Axis, int] = Field(default_factory=dict, description="as the recipe's; empty: the recipe's own")

    @model_validator(mode="after")
    def _in_order(self) -> RoleMesh:
        if self.devices is not None and not 0 <= self.devices[0] < self.devices[1]:
            raise ValueError(f"devices {self.devices} are none: the first stands before the last, from 0")
        return self


class Lora(Section):
    """Low-rank updates of the text's linear layers; everything else stands still."""

    rank: Count = 16
    alpha: Annotated[float, Field(gt=0.0)] = Field(32.0, description="updates are scaled by alpha / rank")
    vision: bool = Field(False, description="the vision tower's linear layers get updates too")


class Evaluation(Section):
    """Held-out examples a supervised run is measured on while it trains; the best checkpoint is kept by their loss."""

    every: Count = Field(100, description="steps between two measurements")
    mixture: Annotated[list[Mix], Field(min_length=1)] = Field(description="as in data; let it share nothing with it")
    batches: Count = Field(4, description="batches the loss is taken on, the same ones every time")
    pairs: Annotated[int, Field(ge=0)] = Field(
        0, description="held-out pairs whose critiques are written and judged: F1, severity correlation; 0: none"
    )


class PolicyEvaluation(Section):
    """Held-out prompts a policy is measured on while it trains, before its first step too; best is what earns most."""

    every: Count = Field(100, description="steps between two measurements")
    mixture: Annotated[list[PromptMix], Field(min_length=1)] = Field(
        description="as in data; let it share nothing with it"
    )
    prompts: Count = Field(64, description="rounded up to whole steps' worth; each is answered as in training")


class Watching(Section):
    """When a run has gone wrong; null turns a rule off. A loss or a gradient that is not finite always stops it."""

    window: Count = Field(20, description="steps of the running means, of rewards, of renders and of what has no score")
    reward_collapse: Share | None = Field(0.5, description="mean reward below this share of its best")
    render_collapse: Share | None = Field(0.5, description="share that renders below this share of its best")
    flat_groups: Count | None = Field(50, description="steps in a row in which no group has a spread")
    kl: Rate | None = Field(10.0, description="KL to the reference, nats a token, over this")
    unscored: Share | None = Field(0.5, description="share of the window's answers without a score over this")
    stop: list[Literal["reward_collapse", "render_collapse", "flat_groups", "kl", "unscored"]] = Field(
        default_factory=lambda: ["unscored"], description="rules that end the run, with status 3; the others warn"
    )


class Common(Section):
    """What every recipe says."""

    steps: Count = Field(description="optimizer steps for sft, rollout steps for grpo")
    seed: int = 0
    out: str = Field(description="run folder")
    checkpoint_every: Count = 100
    keep_checkpoints: Count = Field(2, description="older ones are deleted")
    log_every: Count = Field(1, description="steps between two lines of metrics.jsonl")
    log_to: list[Literal["tensorboard", "wandb"]] = Field(
        default_factory=lambda: ["tensorboard"], description="where metrics and rollouts go besides the run folder"
    )
    mesh: dict[Axis, int] = Field(
        default_factory=lambda: {"fsdp": -1},
        validate_default=True,
        description="devices along each axis, 1 where none is said; one may be -1: the rest",
    )
    dtype: Dtypes = Field(default_factory=Dtypes)
    attention: Literal["auto", "xla", "splash", "cudnn"] = Field(
        "auto", description="splash on TPUs, cudnn on GPUs in bfloat16, xla everywhere; auto takes what fits the device"
    )
    remat: Literal["none", "dots", "dots_no_batch", "attention", "full"] = Field(
        "none",
        description="what the backward pass computes anew of each layer, to save memory; full: all of it; attention: "
        "all but attention; dots_no_batch, dots: nor the matmuls of linear layers, nor any",
    )
    logits_chunk: Count | None = Field(None, description="positions a row whose logits exist at once; null: all")
    lora: Lora | None = Field(None, description="train low-rank updates; null: the weights themselves")
    freeze: list[Literal["vision", "merger", "text"]] = Field(
        default_factory=list, description="parts that stand still where the weights themselves are trained"
    )
    render: dict[str, Any] = Field(default_factory=dict, description="RenderOptions, such as svg_size")
    watch: Watching = Field(default_factory=Watching)

    @model_validator(mode="after")
    def _lora_freezes_all(self) -> Common:
        if self.lora is not None and self.freeze:
            raise ValueError("lora trains its factors alone and freezes the rest: leave freeze out")
        return self

    @field_validator("mesh")
    @classmethod
    def _every_axis(cls, mesh: dict[str, int]) -> dict[str, int]:
        mesh = {axis: mesh.get(axis, 1) for axis in ("data", "fsdp", "tensor")}
        if any(size < 1 and size != -1 for size in mesh.values()) or list(mesh.values()).count(-1) > 1:
            raise ValueError("the size of an axis is at least 1, and one axis may be -1 for the devices left over")
        return mesh


class SftRecipe(Common):
    """Supervised fine-tuning, loss on the answer's tokens only. Defaults: the paper's reward model."""

    kind: Literal["sft"] = "sft"
    model: str = Field(description="directory to start from, in Hugging Face layout")
    batch_size: Count = Field(32, description="rows a step, over all devices; short examples share a row")
    accumulate: Count = Field(1, description="parts of a batch whose gradients are taken one after another, and added")
    data: SftData
    evaluation: Evaluation | None = None
    prompts: Literal["brief", "full"] = Field("full", description="wording of the instructions: brief for tiny models")
    max_length: Count = Field(8192, description="tokens a row, image tokens included; one example must fit")
    max_patches: Count = Field(8192, description="vision patches a row, before merging")
    max_new_tokens: Count = Field(4096, description="longest answer asked of the trained model; its directory says so")
    optimizer: Optimizer = Field(default_factory=Optimizer)

    @model_validator(mode="after")
    def _parts_divide(self) -> SftRecipe:
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate {self.accumulate} does not divide batch_size {self.batch_size}")
        return self


class GrpoRecipe(Common):
    """Group-relative policy optimisation against a reward model. Defaults: the paper's."""

    kind: Literal["grpo"] = "grpo"
    policy: str = Field(description="directory of the policy to start from")
    reference: str | None = Field(None, description="frozen model of the KL term; null: the policy as it started")
    data: GrpoData
    reward: Reward | None = Field(None, description="null where none of `rewards` is visual_erm")
    rewards: Annotated[list[RewardPart], Field(min_length=1)] = Field(
        default_factory=lambda: [RewardPart(name="visual_erm"), RewardPart(name="render_success")],
        description="the terms of an answer's reward; the paper's are the reward model's verdict and r_rsr",
    )
    prompts: Literal["brief", "full"] = "full"
    prompts_per_step: Count = 256
    rollouts_every: Count | None = Field(
        None, description="steps between two pages of rollouts with their pictures; null: as checkpoint_every"
    )
    rollouts: Annotated[int, Field(ge=2)] = Field(8, description="answers to each prompt: one group")
    max_prompt_length: Count = Field(8192, description="tokens, image included")
    max_patches: Count = Field(8192, description="vision patches of one prompt, before merging")
    max_new_tokens: Count = 8192
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = Field(0, description="0: no limit")
    rollout_prompts: Count | None = Field(None, description="prompts answered at once; null: all of a step")
    overlap: bool = Field(
        True, description="earlier lots of rollout_prompts are rendered and scored while the next is generated"
    )
    kl_coef: Rate = 0.01
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    kl_in: Literal["loss", "reward"] = Field(
        "loss", description="reward: its sum over an answer is taken off the reward"
    )
    ratio: Literal["token", "sequence"] = Field("token", description="sequence: GSPO, with far smaller clips")
    surrogate: Literal["clip", "cispo"] = Field(
        "clip", description="clip: PPO's; cispo: the clipped weight is a constant"
    )
    clip_low: Rate = Field(0.2, description="ratio clipped below at 1 - clip_low")
    clip_high: Rate = Field(0.2, description="ratio clipped above at 1 + clip_high")
    dual_clip: Annotated[float, Field(gt=1.0)] | None = Field(
        None, description="largest multiple of a negative advantage a token can cost (3 is usual); null: no bound"
    )
    advantage: Literal["grpo", "dr_grpo", "rloo"] = "grpo"
    loss_aggregation: Literal["token_mean", "sequence_mean", "sequence_sum"] = "token_mean"
    max_refills: Annotated[int, Field(ge=0)] = Field(
        0, description="dynamic sampling: rounds of further prompts to replace groups whose rewards are all equal"
    )
    overlong: Literal["keep", "mask"] = Field(
        "keep", description="mask: answers that were cut short are not learned from"
    )
    overlong_buffer: Annotated[int, Field(ge=0)] = Field(
        0, description="tokens before max_new_tokens over which a penalty grows to overlong_penalty; 0: none"
    )
    overlong_penalty: Rate = 1.0
    role_to_mesh: dict[Literal["actor", "rollout", "reference", "reward"], RoleMesh] = Field(
        default_factory=dict, description="roles with devices of their own; the others share the actor's"
    )
    evaluation: PolicyEvaluation | None = None
    mini_batch: Count = Field(128, description="prompts of one optimizer update; their rollouts come with them")
    micro_batch: Count | None = Field(None, description="rollouts of one forward pass; null: the whole mini-batch")
    tis_cap: Annotated[float, Field(gt=0.0)] | None = Field(
        2.0, description="cap of the trainer / sampler likelihood ratio (truncated importance sampling); null: none"
    )
    optimizer: GrpoOptimizer = Field(default_factory=GrpoOptimizer)

    @property
    def judge(self) -> str | None:
        """Directory of the reward model that the mesh holds, if it holds one."""
        asked = any(part.name == "visual_erm" for part in self.rewards)
        return self.reward.model if asked and self.reward is not None and self.reward.url is None else None

    @model_validator(mode="after")
    def _reward_model(self) -> GrpoRecipe:
        asked = any(part.name == "visual_erm" for part in self.rewards)
        if asked and (self.reward is None or self.reward.model is None and self.reward.url is None):
            raise ValueError("the reward visual_erm asks a reward model: say reward: {model: DIRECTORY} or {url: ...}")
        return self

    @model_validator(mode="after")
    def _batches_divide(self) -> GrpoRecipe:
        if self.prompts_per_step % self.mini_batch:
            raise ValueError(
                f"prompts_per_step {self.prompts_per_step} is not a multiple of mini_batch {self.mini_batch}"
            )
        if self.overlong_buffer > self.max_new_tokens:
            raise ValueError(
                f"overlong_buffer {self.overlong_buffer} is more than max_new_tokens {self.max_new_tokens}"
            )
        rows = self.mini_batch * self.rollouts
        if self.micro_batch and rows % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} does not divide mini_batch x rollouts = {rows}")
        return self


Recipe = SftRecipe | GrpoRecipe
KINDS: dict[str, type[Common]] = {"sft": SftRecipe, "grpo": GrpoRecipe}

"""Recipes: what is read, what is refused, and how it is said."""

from pathlib import Path

import pytest

from jaxerm.recipe import GrpoRecipe, RecipeError, SftRecipe, load_recipe, recipe_names, recipe_to_yaml

SFT = """\
kind: sft
steps: 10
out: runs/x
model: models/tiny-base
data:
  mixture:
    - {source: lucide, weight: 2}
    - source: vega
      role: code
      options: {task: table}
optimizer:
  lr: 1e-4
"""

GRPO = """\
kind: grpo
steps: 3
out: runs/y
policy: models/tiny-base
data: {mixture: [{source: lucide}]}
reward: {model: runs/x}
"""


@pytest.fixture
def sft(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(SFT)
    return path


@pytest.fixture
def grpo(tmp_path: Path) -> Path:
    path = tmp_path / "b.yaml"
    path.write_text(GRPO)
    return path


def refusal(path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, list(overrides))
    message = str(caught.value)
    assert "\n" not in message, "a refusal is one line"
    return message


def test_an_sft_recipe_is_read_with_its_values_and_the_defaults(sft):
    recipe = load_recipe(sft)
    assert isinstance(recipe, SftRecipe)
    assert recipe.optimizer.lr == 1e-4  # YAML 1.1 would read 1e-4 as text
    assert [part.weight for part in recipe.data.mixture] == [2.0, 1.0]
    assert [part.role for part in recipe.data.mixture] == ["critique", "code"]
    assert recipe.data.mixture[1].options == {"task": "table"}
    assert recipe.mesh == {"data": 1, "fsdp": -1, "tensor": 1}
    assert (recipe.batch_size, recipe.seed, recipe.dtype.param) == (32, 0, "float32")


def test_grpo_defaults_are_the_papers(grpo):
    recipe = load_recipe(grpo)
    assert isinstance(recipe, GrpoRecipe)
    assert (recipe.prompts_per_step, recipe.rollouts, recipe.mini_batch) == (256, 8, 128)
    assert (recipe.optimizer.lr, recipe.kl_coef, recipe.kl_estimator) == (1e-6, 0.01, "k3")
    assert (recipe.max_prompt_length, recipe.max_new_tokens) == (8192, 8192)
    assert (recipe.reward.temperature, recipe.reward.top_p, recipe.reward.top_k) == (0.7, 0.8, 20)
    assert [(part.name, part.weight) for part in recipe.rewards] == [("visual_erm", 1.0), ("render_success", 1.0)]
    assert recipe.reference is None


def test_the_reward_model_is_needed_where_it_is_asked(grpo):
    assert load_recipe(grpo).judge == "runs/x"
    assert load_recipe(grpo, ["reward.url=http://there/v1"]).judge is None
    assert "the reward visual_erm asks a reward model" in refusal(grpo, "reward=null")
    other = load_recipe(grpo, ["reward=null", "rewards=[{name: dino, weight: 0.9, options: {model: x}}]"])
    assert other.reward is None and other.judge is None and other.rewards[0].weight == 0.9


def test_naming_one_optimizer_key_keeps_the_lr_of_the_kind(grpo):
    assert load_recipe(grpo, ["optimizer.warmup_steps=5"]).optimizer.lr == 1e-6


def test_overrides_reach_nested_keys_lists_and_open_options(sft):
    recipe = load_recipe(
        sft, ["steps=7", "optimizer.lr=3e-5", "data.mixture.1.weight=0.5", "mesh.fsdp=4", "optimizer.clip_norm=null"]
    )
    assert (recipe.steps, recipe.optimizer.lr, recipe.optimizer.clip_norm) == (7, 3e-5, None)
    assert recipe.data.mixture[1].weight == 0.5
    assert recipe.mesh == {"data": 1, "fsdp": 4, "tensor": 1}
    assert load_recipe(sft, ["data.mixture.0.options.n=[1, 2]"]).data.mixture[0].options == {"n": [1, 2]}


def test_the_last_override_of_a_key_wins(sft):
    assert load_recipe(sft, ["steps=7", "steps=8"]).steps == 8


def test_a_written_recipe_reads_back_equal(sft, grpo, tmp_path):
    for path in (sft, grpo):
        recipe = load_recipe(path, ["steps=9", "optimizer.lr=1.5e-7"])
        (tmp_path / "again.yaml").write_text(recipe_to_yaml(recipe))
        assert load_recipe(tmp_path / "again.yaml") == recipe


def test_a_recipe_cannot_be_changed(sft):
    with pytest.raises(ValueError):
        load_recipe(sft).steps = 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stpes=3", "'steps'"),
        ("optimizer.lrr=1", "'optimizer.lr'"),
        ("data.mixture.0.wieght=1", "'data.mixture.0.weight'"),
        ("lr=1", "'optimizer.lr'"),
    ],
)
def test_an_unknown_key_names_its_nearest_neighbour(sft, override, said):
    message = refusal(sft, override)
    assert f"unknown key {override.split('=')[0]!r}" in message and f"did you mean {said}?" in message


def test_an_unknown_key_like_no_other_lists_the_keys_there(sft):
    assert "the keys here are source, weight, role, options" in refusal(sft, "data.mixture.0.zzz=1")


def test_a_misspelt_required_key_is_called_misspelt_and_not_missing(sft):
    sft.write_text(SFT.replace("model:", "modle:"))
    assert "a.yaml:4: unknown key 'modle'; did you mean 'model'?" in refusal(sft)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps: 10", "steps: ten", "a.yaml:2: steps is 'ten'; expected a whole number"),
        ("steps: 10", "steps: true", "a.yaml:2: steps is True; expected a whole number"),
        ("steps: 10", "steps: 0", "a.yaml:2: steps is 0; expected a number >= 1"),
        ("steps: 10", "steps: 1.5", "a.yaml:2: steps is 1.5; expected a whole number"),
        ("out: runs/x", "out: 7", "a.yaml:3: out is 7; expected text"),
        ("role: code", "role: coder", "a.yaml:9: data.mixture.1.role is 'coder'; expected 'describe', 'code'"),
        ("lr: 1e-4", "lr: -1", "a.yaml:12: optimizer.lr is -1; expected a number > 0"),
        ("out: runs/x", "", "'out' is missing"),
        ("kind: sft", "kind: sftt", "a.yaml:1: kind is 'sftt'; expected sft or grpo"),
        ("steps: 10", "steps: 10\nsteps: 11", "a.yaml:3: 'steps' is said twice"),
        ("out: runs/x", "out: [runs", "a.yaml:4: not valid YAML"),
        ("out: runs/x", "out: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_a_wrong_value_is_named_with_its_line_and_what_was_expected(sft, old, new, said):
    sft.write_text(SFT.replace(old, new))
    assert said in refusal(sft)


def test_an_override_at_fault_is_named_instead_of_the_file(sft):
    assert refusal(sft, "steps=ten").startswith("override 'steps=ten': steps is 'ten'")
    assert refusal(sft, "mesh.data=0").startswith("override 'mesh.data=0': mesh:")
    assert "write it as key=value" in refusal(sft, "steps")
    assert "data.mixture has parts 0 to 1" in refusal(sft, "data.mixture.2.weight=1")
    assert "steps is 10 and has no parts" in refusal(sft, "steps.x=1")


def test_only_one_axis_may_take_the_devices_left_over(sft):
    assert load_recipe(sft, ["mesh.data=-1"]).mesh["data"] == -1
    assert "one axis may be -1" in refusal(sft, "mesh.data=-1", "mesh.fsdp=-1")
    assert "'data', 'fsdp' or 'tensor'" in refusal(sft, "mesh.rows=2")


def test_grpo_batches_must_divide(grpo):
    assert "not a multiple of mini_batch 100" in refusal(grpo, "mini_batch=100")
    assert "does not divide mini_batch x rollouts = 1024" in refusal(grpo, "micro_batch=3")


def test_a_file_that_is_missing_empty_or_no_text_is_one_line(tmp_path):
    assert "no recipe" in refusal(tmp_path / "none.yaml")
    assert "is a folder" in refusal(tmp_path)
    (tmp_path / "empty.yaml").write_text("")
    assert "it is empty" in refusal(tmp_path / "empty.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00kind")
    assert "not UTF-8" in refusal(tmp_path / "bytes.yaml")


def test_a_bare_name_is_found_in_configs_and_a_near_miss_is_named(sft, tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "my_first_run.yaml").write_text(SFT)
    monkeypatch.chdir(tmp_path)
    assert load_recipe("my_first_run") == load_recipe(sft)
    assert "did you mean 'my_first_run'?" in refusal("my_frist_run")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_ships_can_be_read(name):
    load_recipe(name)

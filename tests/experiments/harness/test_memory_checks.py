"""What is refused for want of memory before anything is sampled."""

import dataclasses
import math

import jax
import pytest
from oracles import micro_runs

from experiments.configs import competition_math, gsm8k, quality
from experiments.harness import memory_checks, methods
from launch.aot import chips, players
from qsharp_jax import models, pipeline, sharding
from qsharp_jax.core import errors
from qsharp_jax.finetuning import methods as finetuning_methods
from qsharp_jax.generate import memory
from qsharp_jax.sharding import mesh as mesh_lib

# What the configurations say of themselves; tokens of the longest prompt.
SLOW = pytest.mark.slow  # shapes of so many layers take seconds
SLICES = [
  (gsm8k, "llama31_8b", "v5e", 8, 512),
  pytest.param(quality, "qwen25_7b", "h100", 8, 10_240, marks=SLOW),
  pytest.param(gsm8k, "llama3_8b", "v5e", 8, 512, marks=SLOW),
  pytest.param(gsm8k, "qwen25_7b", "v5e", 8, 512, marks=SLOW),
  pytest.param(gsm8k, "qwen25_7b", "v5e", 16, 512, marks=SLOW),
  pytest.param(competition_math, "llama31_8b", "v5e", 8, 512, marks=SLOW),
  pytest.param(competition_math, "qwen25_7b", "v5e", 8, 512, marks=SLOW),
  pytest.param(competition_math, "aime", "v5e", 16, 512, marks=SLOW),
  pytest.param(competition_math, "llama31_70b_1b", "v5p", 16, 512, marks=SLOW),
  pytest.param(competition_math, "llama31_70b_3b", "v5p", 16, 512, marks=SLOW),
  pytest.param(quality, "llama31_8b", "h100", 8, 10_240, marks=SLOW),
]


@pytest.mark.parametrize("module, variant, chip, num_devices, length", SLICES)
def test_a_papers_variant_fits_where_it_says(
  module, variant, chip, num_devices, length
):
  config = module.get_config(variant)
  rest = num_devices // math.prod(size for size in config.mesh if size)
  shape = tuple(size or rest for size in config.mesh)
  mesh = jax.sharding.AbstractMesh(shape, mesh_lib.AXES)
  found = players.make(config, sharding.Layout(mesh))
  num_bytes = int(chips.find(chip).hbm_bytes)
  own = config.sampling
  needed = memory.needed(
    found.policy,
    batch_size=own.batch_size,
    num_samples=max(config.rounds.num_samples, config.evaluation.num_samples),
    prompt_length=length,
    max_new_tokens=own.max_new_tokens,
    num_newcomers=own.prompts_per_refill,
    mesh=mesh,
  )
  assert needed.total <= num_bytes
  num_parts = shape[0] * shape[1]
  assert own.batch_size % num_parts == own.prompts_per_refill % num_parts == 0
  cuts = memory_checks.values(config.fit, found.policy, mesh, num_bytes)
  assert config.fit.batch_size % (cuts * num_parts) == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return micro_runs.evaluated(tmp_path_factory.mktemp("run"), num_rounds=1)


def has(monkeypatch, num_bytes):
  monkeypatch.setattr(memory, "available_bytes", lambda devices: num_bytes)


def methods_of(run, *names, **search):
  config = gsm8k.get_config("tiny")
  config.reference = run.players.reference
  config.evaluation.methods = names
  config.search.update(search)
  return methods.build(methods.Bench(config, run, None, None))


ALL = (
  *("qsharp", "args", "mixture", "best_of_n", "blocks"),
  *("transfer", "dpo", "dpo_q", "dpo_beam"),
)


def needs(run, method, num_samples):
  return method.needs(
    batch_size=4,
    num_samples=num_samples,
    prompt_length=3,
    max_new_tokens=micro_runs.NEW_TOKENS,
    num_newcomers=1,
    mesh=run.layout.mesh,
  )


def test_every_method_says_what_it_holds(run):
  search = {"blocks": {"num_samples": 4, "num_kept": 2, "block_length": 2}}
  found = methods_of(run, *ALL, best_of=16, **search)
  held = {name: needs(run, m, m.num_samples or 2) for name, m in found.items()}
  plain = needs(run, pipeline.methods.reference(run), 2)
  assert plain.value == 0
  # An actor is a second reference, with caches of its own.
  assert held["dpo"].reference == 2 * plain.reference
  assert held["dpo"].caches == 2 * plain.caches
  # A ratio holds the tuned model beside the reference, which is there once,
  # and caches of all three.
  assert held["dpo_q"].value == plain.reference
  assert held["dpo_q"].caches == 3 * plain.caches
  assert held["mixture"].value == held["qsharp"].value > 0
  # Sixteen rows a prompt for two.
  sixteen = needs(run, pipeline.methods.reference(run), 16)
  assert held["best_of_n"] == sixteen
  assert sixteen.caches > 6 * plain.caches
  # Two rows of each of the kept prefixes, after all blocks but the last.
  assert held["blocks"] == memory.needed(
    run.unguided(),
    batch_size=4,
    num_samples=2,
    prompt_length=3 + micro_runs.NEW_TOKENS - 2,
    max_new_tokens=2,
    num_newcomers=1,
    mesh=run.layout.mesh,
  )
  assert held["transfer"].caches > 5 * 4 * plain.caches / 2
  beams = dict(num_samples=8, num_newcomers=0)
  policy = run.unguided(actor=run.players.policy.reference)
  sizes = dict(batch_size=4, prompt_length=3, mesh=run.layout.mesh)
  once = memory.needed(
    policy, max_new_tokens=micro_runs.NEW_TOKENS, **sizes, **beams
  )
  assert held["dpo_beam"].caches == 2 * once.caches


def test_a_search_of_many_samples_is_refused_by_name(run, monkeypatch):
  what = pipeline.Evaluation(methods_of(run, "best_of_n", best_of=4096), 2)
  memory_checks.evaluation(run, what)
  held = memory.parameter_bytes(run.players.policy.value, run.layout.mesh)
  enough = needs(run, what.methods["best_of_n"], 1).total + held
  has(monkeypatch, enough)
  memory_checks.evaluation(run, what)
  has(monkeypatch, enough - 1)
  with pytest.raises(errors.InputError) as caught:
    memory_checks.evaluation(run, what)
  assert "the method best_of_n needs" in str(caught.value)
  assert "sampling.batch_size from 4 to at most 3" in str(caught.value)


def test_a_reward_model_takes_its_part(run, monkeypatch):
  what = pipeline.Evaluation(methods_of(run, "qsharp"), 2)
  held = memory.parameter_bytes(run.players.policy.value, run.layout.mesh)
  enough = needs(run, what.methods["qsharp"], 2).total + held
  has(monkeypatch, enough + 5_000_000)
  memory_checks.evaluation(run, what, 5_000_000)
  with pytest.raises(errors.InputError) as caught:
    memory_checks.evaluation(run, what, 5_000_001)
  assert "reward model 0.005, caches" in str(caught.value)
  sizes = [
    memory_checks.values(
      run.fit, run.players.policy, run.layout.mesh, 210_000, beside
    )
    for beside in (0, 30_000)
  ]
  assert sizes == [1, 2]


def test_values_take_micro_batches_until_they_fit(run):
  policy, mesh = run.players.policy, run.layout.mesh
  found = [
    memory_checks.values(run.fit, policy, mesh, size)
    for size in (210_000, 180_000, 150_000)
  ]
  assert found == [1, 2, 4], found
  with pytest.raises(errors.InputError, match="training with fit needs"):
    memory_checks.values(run.fit, policy, mesh, 10**4)


@pytest.mark.parametrize("name", ["dpo", "ppo", "rto"])
def test_a_policy_that_cannot_be_trained_is_refused(run, monkeypatch, name):
  settings = finetuning_methods.make(name, {})
  memory_checks.tuned(run, name, settings)
  has(monkeypatch, 10**5)
  with pytest.raises(errors.InputError, match=f"baselines.{name}"):
    memory_checks.tuned(run, name, settings)


def test_a_policy_that_samples_needs_room_beside_its_state(run, monkeypatch):
  plan = finetuning_methods.make(
    "reinforce", {"fit": {"batch_size": 4, "max_length": 8}}
  )
  has(monkeypatch, 10**7)
  memory_checks.tuned(run, "reinforce", plan)
  wide = dataclasses.replace(plan, num_samples=10**5)
  with pytest.raises(errors.InputError, match="sampling by reinforce while"):
    memory_checks.tuned(run, "reinforce", wide)


def test_policies_before_others_are_sized_alike(run):
  changes = {"dpo": {"fit": {"max_length": 64}}}
  rto = finetuning_methods.make("rto", changes)
  dpo = finetuning_methods.make("dpo", changes["dpo"])
  sized = memory_checks.tuned(run, "rto", rto)
  assert sized.dpo == memory_checks.tuned(run, "dpo", dpo)


def test_methods_are_checked_while_they_are_made(run, monkeypatch):
  has(monkeypatch, 10**5)
  with pytest.raises(errors.InputError, match="baselines.sft.fit"):
    methods_of(run, "sft")


def test_parts_of_samples_hold_as_many_rows(run):
  """Lazy rows have slots to spare; whole ones read as many prompts at once."""
  value = models.ValueModel(micro_runs.CONFIG, models.HeadConfig("v"))
  policy = dataclasses.replace(run.players.policy, value=value, num_scored=1)
  players = dataclasses.replace(run.players, policy=policy)
  own = dataclasses.replace(run, players=players)
  method = pipeline.methods.guided(own, policy.guidance, (0.1,))
  assert method.is_lazy
  whole, some, none = (
    memory_checks.sampled(own, method, 8, 4, kl_every=every)
    for every in (1, 4, 0)
  )
  assert whole == needs(own, method, 8)
  # Two of eight samples of four times as many prompts fill the same rows.
  assert some.caches == whole.caches and some.total >= whole.total
  assert none.caches > whole.caches and none.workspace < whole.workspace

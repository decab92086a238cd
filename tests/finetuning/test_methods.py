"""Settings from plain mappings, and what is refused."""

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import methods


def test_changes_reach_nested_fields():
  settings = methods.make(
    "rto", {"eta": 0.2, "fit": {"batch_size": 4}, "dpo": {"eta": 0.3}}, seed=7
  )
  assert (settings.eta, settings.fit.batch_size) == (0.2, 4)
  assert (settings.fit.seed, settings.clip) == (7, 0.2)
  assert settings.dpo.eta == 0.3
  default = methods.DEFAULTS["rto"]
  assert settings.fit.num_epochs == default.fit.num_epochs


def test_a_seed_reaches_the_policy_that_rto_needs():
  changes = {"eta": 0.3, "fit": {"batch_size": 4}}
  inner = methods.make("rto", {"dpo": changes}, seed=7).dpo
  assert inner.fit.seed == 7
  assert inner == methods.make("dpo", changes, seed=7)
  assert inner != methods.make("dpo", changes, seed=8)


@pytest.mark.parametrize("name", methods.DEFAULTS)
def test_without_changes_the_defaults(name):
  assert methods.make(name, {}) == methods.DEFAULTS[name]


@pytest.mark.parametrize(
  ("name", "changes", "match"),
  [
    ("gspo", {}, "no fine-tuning method 'gspo'; expected one of sft"),
    ("ppo", {"clips": 0.1}, "baselines.ppo has no field 'clips'.*value_clip"),
    ("ppo", {"fit": {"lr": 1}}, "baselines.ppo.fit has no field 'lr'"),
    ("ppo", {"num_iterations": 0}, "expected all > 0"),
    ("dpo", {"eta": 0.0}, "eta is 0.0"),
    ("rloo", {"num_samples": 1}, "at least 2 for the baseline leave_one"),
    ("grpo", {"num_samples": 1}, "num_samples is 1; expected at least 2"),
  ],
)
def test_refuses(name, changes, match):
  with pytest.raises(InputError, match=match):
    methods.make(name, changes)


def test_one_sample_is_enough_for_the_batch_baseline():
  settings = methods.make("rloo", {"num_samples": 1, "baseline": "batch"})
  assert settings.num_samples == 1

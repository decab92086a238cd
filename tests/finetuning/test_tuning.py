"""Hyper-parameters from plain mappings, and what is refused."""

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import tuning


def test_changes_reach_nested_fields():
  how = tuning.make(
    "rto", {"eta": 0.2, "fit": {"batch_size": 4}, "dpo": {"eta": 0.3}}, seed=7
  )
  assert (how.eta, how.fit.batch_size, how.dpo.eta) == (0.2, 4, 0.3)
  assert (how.fit.seed, how.clip) == (7, 0.2)
  assert how.fit.num_epochs == tuning.DEFAULTS["rto"].fit.num_epochs


@pytest.mark.parametrize("name", tuning.DEFAULTS)
def test_without_changes_the_defaults(name):
  assert tuning.make(name, {}) == tuning.DEFAULTS[name]


@pytest.mark.parametrize(
  ("name", "changes", "match"),
  [
    ("grpo", {}, "no baseline 'grpo'; expected one of sft"),
    ("ppo", {"clips": 0.1}, "baselines.ppo has no field 'clips'.*value_clip"),
    ("ppo", {"fit": {"lr": 1}}, "baselines.ppo.fit has no field 'lr'"),
    ("ppo", {"num_iterations": 0}, "expected all > 0"),
    ("dpo", {"eta": 0.0}, "eta is 0.0"),
    ("reinforce", {"num_samples": 1}, "at least 2 for the baseline leave_one"),
  ],
)
def test_refuses(name, changes, match):
  with pytest.raises(InputError, match=match):
    tuning.make(name, changes)


def test_one_sample_is_enough_for_the_batch_baseline():
  how = tuning.make("reinforce", {"num_samples": 1, "baseline": "batch"})
  assert how.num_samples == 1

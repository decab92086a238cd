"""What the table of methods makes of a config."""

import types

import pytest

from experiments.configs import alignment, gsm8k
from experiments.harness import methods


def strength(monkeypatch, config):
  """How strongly a DPO policy of KL weight 1.2 guides, in reward units."""
  monkeypatch.setattr(
    methods.methods_lib, "log_ratio", lambda run, find, guidance, etas: guidance
  )
  bench = types.SimpleNamespace(
    config=config,
    run=None,
    settings=lambda name: types.SimpleNamespace(eta=1.2),
    train=lambda name: None,
  )
  return methods._dpo_q(bench).strength


def test_a_dpo_policy_guides_in_the_units_of_the_reward(monkeypatch):
  config = alignment.get_config("tiny")
  config.preferences.scale = 1 / 6  # six units of log-odds a unit of reward
  assert strength(monkeypatch, config) == pytest.approx(0.2)
  # Pairs of samples by the reward itself, and runs that know no preferences.
  assert strength(monkeypatch, gsm8k.get_config("tiny")) == 1.2
  config = gsm8k.get_config("tiny")
  del config.preferences
  assert strength(monkeypatch, config) == 1.2


def test_each_baseline_looks_ahead_as_often_as_it_was_told(monkeypatch):
  monkeypatch.setattr(methods, "_rewards", lambda bench, name: None)
  monkeypatch.setattr(methods, "_looking_ahead", lambda *arguments: arguments)
  config = alignment.get_config("local")
  own = config.search.transfer
  own.update(baseline="RIGHT", other_baseline="WRONG", num_rollouts=3)
  bench = types.SimpleNamespace(config=config)
  of = lambda make: make(bench)[-2:]
  others = (methods._transfer_other, methods._transfer_indirect)
  assert all(of(make) == ("WRONG", 3) for make in others)
  own.other_num_rollouts = 5
  assert of(methods._transfer) == ("RIGHT", 3)
  assert all(of(make) == ("WRONG", 5) for make in others)
  # Runs of earlier versions had one baseline and one number.
  del own.other_num_rollouts, own.other_baseline
  assert all(of(make) == ("RIGHT", 3) for make in others)

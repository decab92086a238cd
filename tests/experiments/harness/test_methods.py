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

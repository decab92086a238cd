"""Variants of the experiments: what a flag changes."""

import ml_collections
import pytest

from experiments.configs import gsm8k, star_graph


def parts(config):
  """All configurations inside one, itself included."""
  inside = [v for v in config.values() if isinstance(v, type(config))]
  return [config, *(part for v in inside for part in parts(v))]


@pytest.mark.parametrize(
  "config", [gsm8k.get_config("tiny_all"), star_graph.get_config("tiny")]
)
def test_a_change_of_one_method_reaches_no_other(config):
  assert isinstance(config, ml_collections.ConfigDict)
  found = parts(config)
  assert len({id(part) for part in found}) == len(found) > 10
  config.baselines.ppo.fit.learning_rate = 9.0
  rates = [
    own.fit.learning_rate
    for name, own in config.baselines.items()
    if name != "ppo"
  ]
  assert 9.0 not in rates


def test_methods_under_two_names_have_the_same_settings():
  for module, variant in ((gsm8k, "tiny_all"), (star_graph, "tiny")):
    own = module.get_config(variant).baselines
    assert own.reinforce.to_dict() == own.rloo.to_dict()

"""Which weights a front takes; its values run in tests/integration."""

import dataclasses
import json
import types

import pytest
from oracles import players

from qsharp_jax import generate, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import second_values
from qsharp_jax.rollout.grading import Reward


@pytest.mark.parametrize("pair", [(1.0,), (0.0, 0.0), (-1.0, 2.0), (1, 2, 3)])
def test_refuses_weights_that_mean_nothing(pair):
  with pytest.raises(InputError, match="the weights of the front have"):
    second_values.front(
      None,
      Reward(None, "second"),
      generate.Guidance("qsharp"),
      eta=0.1,
      weights=[(1.0, 0.0), pair],
    )


def test_every_request_has_the_weights_of_its_row(tmp_path, monkeypatch):
  """Whether its samples are decoded together or in parts."""
  asked = []

  def sampler_of(policy, params):
    assert params["value"]["params"].keys() == {"members_0", "members_1"}
    note = lambda requests, *part: asked.append((requests[0].weights, part))
    sampler = rollout.Sampler(note, 1, None, None)
    return dataclasses.replace(sampler, complete_part=note)

  run = types.SimpleNamespace(
    players=types.SimpleNamespace(policy=players.policy("v")),
    rounds=types.SimpleNamespace(num_rounds=1),
    values=lambda _: {"params": 1},
    load=lambda _: {"params": 2},
    is_lazy=lambda policy: policy.guidance.has_bound,
    sampler_of=sampler_of,
  )
  (tmp_path / second_values._SUPPORT).write_text(json.dumps({"atoms": []}))
  monkeypatch.setattr(second_values, "train", lambda *_: tmp_path)
  method = second_values.front(
    run,
    Reward(None, "second"),
    generate.Guidance("qsharp"),
    eta=0.1,
    weights=[(0.75, 0.25)],
  )["front_0.75_0.25"]
  assert method.is_lazy
  sampler, requests = method.sampler(1), [generate.Request([1], [2])]
  sampler.complete(requests)
  (part,) = rollout.partly.parts(1, 1)
  sampler.complete_part(requests, part)
  assert asked == [((0.75, 0.25), ()), ((0.75, 0.25), (part,))]

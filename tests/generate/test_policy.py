"""What a policy and its controls are: static, and named like parameters."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from oracles import players

from qsharp_jax.generate import policy as policy_lib


def test_a_policy_is_static():
  policy = policy_lib.Policy(reference=None, eos_ids=(1, 2))
  same = dataclasses.replace(policy)
  controls = policy_lib.Controls(*jnp.zeros((6, 1)))
  assert hash(policy) == hash(same) and policy == same
  assert len(jax.tree.leaves(controls)) == 6


@pytest.mark.parametrize("kind", ["v", "q", None])
def test_decoders_are_named_like_their_parameters(kind):
  policy = players.policy(kind)
  assert policy.decoders.keys() == players.params(kind).keys()
  assert policy.decoders["reference"] == (policy.reference.config,)

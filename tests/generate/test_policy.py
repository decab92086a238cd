"""What the guided distribution is made of; see test_next_distribution too."""

import jax.numpy as jnp
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import policy as policy_lib

ROWS, VOCAB = 2, 5


def arguments(**changed):
  full = lambda value, dtype: jnp.full(ROWS, value, dtype)
  found = {
    "ref_logits": jnp.zeros((ROWS, VOCAB)),
    "candidates": jnp.array([[0, 1], [3, 2]]),
    "log_weights": jnp.array([[1.0, 0.0], [0.5, 2.0]]),
    "controls": policy_lib.Controls(
      seeds=full(0, jnp.uint32),
      eta=full(1, jnp.float32),
      guided_steps=full(9, jnp.int32),
      max_new_tokens=full(9, jnp.int32),
      temperature=full(1, jnp.float32),
      top_p=full(1, jnp.float32),
    ),
  }
  return found | changed


def test_every_law_is_normalised():
  distribution = policy_lib.next_distribution(**arguments())
  for log_probs in (distribution.sampled, distribution.reference):
    np.testing.assert_allclose(jnp.exp(log_probs).sum(-1), 1, rtol=1e-6)
  assert (distribution.kl > 0).all()


def test_an_actor_equal_to_the_reference_changes_nothing():
  plain = policy_lib.next_distribution(**arguments())
  acted = policy_lib.next_distribution(
    **arguments(), actor_logits=arguments()["ref_logits"]
  )
  np.testing.assert_allclose(acted.sampled, plain.sampled, atol=1e-6)
  np.testing.assert_allclose(acted.kl, plain.kl, atol=1e-6)


@pytest.mark.parametrize(
  "changed",
  [
    {"ref_logits": jnp.zeros((ROWS, VOCAB), jnp.int32)},
    {"ref_logits": jnp.zeros(VOCAB)},
    {"ref_logits": jnp.zeros((ROWS + 1, VOCAB))},
    {"candidates": jnp.zeros((ROWS, 2))},
    {"candidates": jnp.zeros(2, jnp.int32)},
    {"log_weights": jnp.zeros((ROWS, 2), jnp.int32)},
    {"log_weights": jnp.zeros((ROWS, 3))},
    {"actor_logits": jnp.zeros((ROWS, VOCAB), jnp.int32)},
    {"actor_logits": jnp.zeros((ROWS, VOCAB + 1))},
  ],
)
def test_refuses_other_types_ranks_and_shapes(changed):
  with pytest.raises(AssertionError, match="Chex"):
    policy_lib.next_distribution(**arguments(**changed))


@pytest.mark.parametrize("kind", ["v", "q", None])
def test_decoders_are_named_like_their_parameters(kind):
  policy = players.policy(kind)
  assert policy.decoders.keys() == players.params(kind).keys()
  assert policy.decoders["reference"] == (policy.reference.config,)

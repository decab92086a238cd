"""Which tokens are candidates."""

import chex
import jax.numpy as jnp
import pytest

from qsharp_jax.generate import scoring

ROWS, MOST = 4, 6


def test_the_most_likely_tokens_come_in_order_and_of_equals_the_first():
  logits = jnp.array([[0.0, 3.0, 3.0, -1.0], [2.0, -jnp.inf, 1.0, 5.0]])
  found = scoring.most_likely(logits, 3)
  chex.assert_type(found, jnp.int32)
  assert found.tolist() == [[1, 2, 0], [3, 0, 2]]


@pytest.mark.parametrize(
  "logits", [jnp.zeros((2, 3), jnp.int32), jnp.zeros(3)], ids=["type", "rank"]
)
def test_the_most_likely_tokens_need_logits_of_rows(logits):
  with pytest.raises(AssertionError, match="Chex"):
    scoring.most_likely(logits, 2)

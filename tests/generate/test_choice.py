"""Rows that choose their guidance, beside each guidance by itself."""

import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.generate import choice, guided

KINDS = ("qsharp", "cd", "vas", "fudge", "args")
ATOMS = (-1.0, 0.0, 2.0)


def members(loss):
  atoms = ATOMS if loss == "categorical" else None
  return tuple(guided.Guidance(kind, loss, atoms) for kind in KINDS)


def values(loss, rows=5):
  size = len(ATOMS) if loss == "categorical" else 1
  rng = np.random.default_rng(3)
  return rng.normal(size=(rows, 4, size)).astype(np.float32)


@pytest.mark.parametrize("loss", ["bernoulli", "categorical", "squared_error"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_each_row_gets_the_scores_of_its_own_candidates(loss, number):
  """The first candidates alone give the same, by the member itself."""
  own, logits = members(loss), values(loss)
  eta = np.array([[0.1], [0.2], [1.0], [3.0], [0.5]], np.float32)
  which = np.arange(5, dtype=np.int32)
  rows = choice.Choice(own).of(which, np.full(5, number, np.int32))
  scores = rows.scores(jnp.asarray(logits), eta)
  other = rows.other(scores)
  covered = np.asarray(rows.covered(scores, other[:, 0]))
  for i, member in enumerate(own):
    alone = member.scores(logits[i : i + 1, :number], eta[i : i + 1])
    np.testing.assert_allclose(
      scores[i, :number], alone[0], rtol=1e-5, atol=1e-5
    )
    beyond = member.other(alone)
    np.testing.assert_allclose(other[i], beyond[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
      covered[i, number:],
      np.full(4 - number, beyond[0, 0]),
      rtol=1e-5,
      atol=1e-5,
    )
    if member.has_bound:
      np.testing.assert_allclose(
        rows.bound(eta)[i], member.bound(eta[i : i + 1])[0], rtol=1e-6
      )


def test_rows_are_raced_where_their_guidance_has_a_bound():
  own = choice.Choice(members("bernoulli"))
  which = np.array([0, 2, 2, 3], np.int32)
  rows = own.of(which, np.ones(4, np.int32))
  assert rows.is_raced().tolist() == [True, False, False, True]
  assert own.has_bound and not own.is_always_raced and own.is_floored
  assert choice.Choice(own.members[:2]).is_always_raced
  assert not choice.Choice((own.members[2],)).has_bound

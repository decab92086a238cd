"""What the page is told of a token."""

import numpy as np
from oracles import players

from qsharp_jax import models, training
from qsharp_jax.generate import following
from qsharp_jax.pipeline import tokens


def critic(loss, atoms=None):
  head = models.HeadConfig("v", len(atoms or [0]))
  return training.Critic(models.ValueModel(players.CONFIG, head), loss, atoms)


def followed(values):
  """Two tokens with an alternative each: 5 beside 7, the end beside 5."""
  return following.Followed(
    tokens=np.array([[5, 5, 7], [3, 3, 5]]),
    values=np.array(values, np.float32),
    reference=np.log(np.array([[0.5, 0.5, 0.25], [1.0, 1.0, 0.0001]])),
    guided=np.log(np.array([[0.1, 0.1, 0.9], [1.0, 1.0, 0.0001]])),
  )


def test_a_token_its_numbers_and_the_likeliest_others():
  logits = [[[0.0], [0.0], [np.log(3)]], [[-np.log(3)], [0.0], [0.0]]]
  found = tokens.rows(
    critic("bernoulli"), followed(logits), lambda ids: f"<{ids[0]}>", (3,)
  )
  assert found[0] == [
    *("<5>", 0.5, 0.5, 0.1),
    [["<7>", 0.75, 0.25, 0.9], ["<5>", 0.5, 0.5, 0.1]],
    None,
  ]
  assert found[1][:4] == ["⟨end⟩", 0.25, 1.0, 1.0]


def test_distributions_of_many_atoms_are_summed_to_few():
  atoms = tuple(np.linspace(-1, 1, 40).tolist())
  logits = np.zeros((2, 3, 40))
  own = critic("categorical", atoms)
  found = tokens.rows(own, followed(logits), str, (3,))
  page = tokens.form(own, [{"answers": [{"tokens": found}]}])
  assert len(found[0][5]) == len(page["atoms"]) == 16
  np.testing.assert_allclose(sum(found[0][5]), 1, rtol=1e-3)
  mean = np.dot(found[0][5], page["atoms"])
  np.testing.assert_allclose(mean, found[0][1], atol=0.02)
  assert page["bounds"] == [-1, 1] and not page["isChance"]


def test_means_without_bounds_are_shown_between_their_own_ends():
  own = critic("squared_error")
  found = tokens.rows(own, followed([[[2.0]] * 3, [[5.0]] * 3]), str, ())
  page = tokens.form(own, [{"answers": [{"tokens": found}]}])
  assert page["bounds"] == [2.0, 5.0] and page["atoms"] is None


def test_chosen_are_the_worst_and_those_with_the_greatest_gain():
  means = {f"q{i}": [0.5, i / 20] for i in range(20)}
  found = tokens._chosen(means)
  assert found == ["q0", "q1", "q2", "q3", "q19", "q18", "q17", "q16"]

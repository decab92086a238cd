"""Theory of questions that may be declined, and which values part from it."""

import numpy as np
import pytest

from qsharp_jax.tabular import mdp as mdp_lib
from qsharp_jax.tabular import solve
from qsharp_jax.tasks import abstention_theory as theory_lib


def exact(method, eta, *, pays, declining, right):
  """The same question as a finite MDP, solved by the functions that guide."""
  with np.errstate(divide="ignore"):
    ref = np.log([[declining, 1 - declining], [right, 1 - right], [0.5, 0.5]])
  mdp = mdp_lib.MDP(
    ref_log_probs=ref,
    rewards=np.array([[pays, 0.0], [1.0, 0.0], [0.0, 0.0]]),
    next_states=np.array([[2, 1], [2, 2], [2, 2]], np.int32),
    horizon=2,
  )
  exact = solve.exact_distributions(mdp)
  policy = getattr(solve, method)(mdp, exact, eta=eta)
  outcome = solve.evaluate(mdp, policy, eta=eta)
  optimum = solve.soft_values(mdp, eta=eta)[1][0]
  before = declining * pays + (1 - declining) * right
  share = (outcome.objective - before) / (optimum - before)
  declined, solved = np.exp([policy[0, 0], policy[1, 0]])
  return [declined, solved, *map(float, outcome), float(share)]


@pytest.mark.parametrize("method", ["qsharp", "cd"])
@pytest.mark.parametrize("eta", [0.05, 0.1, 0.3, 1.0, 5.0])
@pytest.mark.parametrize(
  ("pays", "declining", "right"), [(0.6, 0.4, 0.5), (0.3, 0.2, 0.05)]
)
def test_theory_is_what_the_guiding_functions_give_on_the_tree(
  method, eta, pays, declining, right
):
  terms = {"pays": pays, "declining": declining, "right": right}
  np.testing.assert_allclose(
    theory_lib.theory(method, eta=eta, **terms),
    exact(method, eta, **terms),
    rtol=2e-3,
    atol=2e-5,
  )


@pytest.mark.parametrize(
  ("method", "eta", "declined", "reward"),
  [
    ("qsharp", 0.1, 0.024, 0.990),
    # 0.4 e^6 against 0.6 e^5.
    ("cd", 0.1, 0.645, 0.742),
    ("cd", 0.25, 0.499, 0.791),
    ("cd", 0.001, 1.0, 0.6),  # in the end the mean always declines
    ("qsharp", 0.001, 0.0, 1.0),
  ],
)
def test_theory_by_hand(method, eta, declined, reward):
  found = theory_lib.theory(method, eta=eta, pays=0.6, declining=0.4, right=0.5)
  assert found.declined == pytest.approx(declined, abs=1e-3)
  assert found.reward == pytest.approx(reward, abs=1e-3)
  if method == "qsharp":
    assert found.share == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("method", ["qsharp", "cd"])
def test_little_guidance_is_the_reference(method):
  found = theory_lib.theory(method, eta=1e6, pays=0.6, declining=0.4, right=0.5)
  unguided = theory_lib.unguided(0.6, 0.4, 0.5)
  assert unguided.reward == pytest.approx(0.54)
  np.testing.assert_allclose(found[:4], unguided[:4], atol=1e-5)


EXACT = theory_lib.theory("qsharp", eta=0.1, pays=0.6, declining=0.4, right=0.5)


def row(declined, solved, per_position=(1.0, 0.99, 0.99)):
  right = (1 - declined) * solved
  return {
    "declined": declined,
    "pass@1": right,
    "reward": right + 0.6 * declined,
    "per_position": list(per_position),
  }


@pytest.mark.parametrize(
  ("declined", "solved", "per_position", "parts"),
  [
    (0.03, 0.99, (1.0, 0.99, 0.99), []),
    (0.3, 1.0, (1.0, 1.0, 1.0), ["of declining"]),
    (0.02, 0.5, (1.0, 0.5, 0.5), ["of node 2 of"]),
    (0.02, 0.7, (1.0, 1.0, 0.7), ["of node 3 of"]),
    (0.3, 0.7, (1.0, 0.7, 0.7), ["of declining", "of node 2 of"]),
    (0.02, 0.7, (), ["of an attempt"]),
    (1.0, 0.0, (), ["of declining"]),
  ],
)
def test_what_parts_from_theory_is_named(declined, solved, per_position, parts):
  found = theory_lib.to_blame(
    row(declined, solved, per_position), EXACT, pays=0.6, far=0.03
  )
  assert len(found) == len(parts)
  for text, part in zip(found, parts, strict=True):
    assert text.startswith(part)


def test_solved_counts_attempts_alone():
  assert theory_lib.solved(row(0.25, 0.8)) == pytest.approx(0.8)
  assert theory_lib.solved(row(1.0, 0.0)) is None

import itertools
import math

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import accuracy


def test_pass_at_1_by_hand():
  values = accuracy.pass_at_1([[True, False, False, True], [False] * 4])
  np.testing.assert_array_equal(values, [0.5, 0.0])


def test_pass_at_1_of_flat_verdicts_is_refused():
  with pytest.raises(InputError, match="expected \\[questions, samples\\]"):
    accuracy.pass_at_1([True, False])


@pytest.mark.parametrize("n", [1, 4, 7])
def test_pass_at_k_equals_enumeration_of_subsets(n):
  for right, k in itertools.product(range(n + 1), range(1, n + 1)):
    verdicts = [True] * right + [False] * (n - right)
    draws = [any(draw) for draw in itertools.combinations(verdicts, k)]
    expected = sum(draws) / len(draws)
    (got,) = accuracy.pass_at_k([right], n, k)
    assert got == pytest.approx(expected, abs=1e-14), (right, k)


def test_pass_at_k_of_different_sample_counts_and_large_ones():
  right, total = [1, 2, 300], [4, 10, 5000]
  expected = [
    1 - math.comb(n - c, 3) / math.comb(n, 3)
    for c, n in zip(right, total, strict=True)
  ]
  np.testing.assert_allclose(
    accuracy.pass_at_k(right, total, 3), expected, rtol=1e-13
  )
  assert np.isfinite(accuracy.pass_at_k([10], 100_000, 500)).all()


def test_pass_at_k_reduces_to_pass_at_1_and_to_any():
  correct = np.random.default_rng(0).random((20, 6)) < 0.3
  count = correct.sum(axis=1)
  np.testing.assert_allclose(
    accuracy.pass_at_k(count, 6, 1), accuracy.pass_at_1(correct), atol=1e-15
  )
  np.testing.assert_array_equal(
    accuracy.pass_at_k(count, 6, 6), correct.any(axis=1)
  )


@pytest.mark.parametrize("count, n, k", [(1, 4, 5), (1, 4, 0), (5, 4, 2)])
def test_pass_at_k_refuses_impossible_counts(count, n, k):
  with pytest.raises(InputError):
    accuracy.pass_at_k([count], n, k)


def random_tie_break(keys, verdicts, votes):
  """Mean verdict over every order in which ties could be broken."""
  outcomes = []
  present = sorted({key for key in keys if key})
  if not present:
    return 0.0
  for order in itertools.permutations(present):
    total = lambda key: sum(
      vote for k, vote in zip(keys, votes, strict=True) if k == key
    )
    first = max(order, key=total)  # max keeps the first of equals
    outcomes.append(verdicts[keys.index(first)])
  return np.mean(outcomes)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_majority_equals_enumeration_of_tie_breaks(is_weighted):
  generator = np.random.default_rng(3)
  letters = ["a", "b", "c", None, ""]
  ties = 0
  for _ in range(200):
    keys = [letters[i] for i in generator.integers(5, size=5)]
    verdicts = [key == "a" for key in keys]
    # Integers, so that the oracle's plain sums tie exactly.
    votes = generator.integers(0, 4, size=5) if is_weighted else np.ones(5)
    expected = random_tie_break(keys, verdicts, votes)
    (got,) = accuracy.majority_at_k(
      [keys], [verdicts], 5, weights=[votes] if is_weighted else None
    )
    assert got == pytest.approx(expected), (keys, votes)
    ties += 0 < expected < 1
  assert ties > 10


def test_majority_by_hand():
  answers = [
    ["2", "3", "2", None],  # majority 2, right
    ["5", "6", "7", ""],  # three-way tie, one right
    [None, " ", "", None],  # no vote at all
    ["1", None, None, None],  # one vote beats three empty ones
  ]
  correct = [
    [True, False, True, False],
    [False, True, False, False],
    [False] * 4,
    [True, False, False, False],
  ]
  np.testing.assert_allclose(
    accuracy.majority_at_k(answers, correct, 4), [1, 1 / 3, 0, 1]
  )


def test_majority_averages_disjoint_groups_and_drops_the_rest():
  answers = [["1", "1", "2", "2", "1", "2", "2"]]
  correct = [[key == "1" for key in answers[0]]]
  # Groups of 2: 1 wins, 2 wins, a tie; the seventh sample is left out.
  np.testing.assert_allclose(
    accuracy.majority_at_k(answers, correct, 2), [(1 + 0 + 0.5) / 3]
  )


def test_majority_of_one_is_pass_at_1():
  correct = np.random.default_rng(1).random((9, 5)) < 0.5
  answers = [["r" if c else "w" for c in row] for row in correct]
  np.testing.assert_allclose(
    accuracy.majority_at_k(answers, correct, 1), accuracy.pass_at_1(correct)
  )


def test_a_value_can_overturn_the_majority():
  answers, correct = [["1", "2", "2"]], [[True, False, False]]
  plain = accuracy.majority_at_k(answers, correct, 3)
  weighted = accuracy.majority_at_k(
    answers, correct, 3, weights=[[0.9, 0.4, 0.4]]
  )
  assert (plain[0], weighted[0]) == (0.0, 1.0)


def test_weighted_totals_do_not_depend_on_the_order_of_votes():
  answers = [["a", "a", "a", "b", "b", "b"]]
  correct = [[True] * 3 + [False] * 3]
  weights = [[0.1, 0.2, 0.3, 0.3, 0.2, 0.1]]
  (got,) = accuracy.majority_at_k(answers, correct, 6, weights=weights)
  assert got == 0.5


@pytest.mark.parametrize(
  "answers, correct, k, weights",
  [
    ([["1", "2"]], [[True, False]], 3, None),
    ([["1", "2"]], [[True, False]], 0, None),
    ([["1", "2"]], [[True]], 2, None),
    ([["1", "2"]], [[True, False]], 2, [[0.1, -0.1]]),
    ([["1", "2"]], [[True, False]], 2, [[0.1, math.nan]]),
  ],
)
def test_majority_refuses(answers, correct, k, weights):
  with pytest.raises(InputError):
    accuracy.majority_at_k(answers, correct, k, weights=weights)


def test_best_of_n_by_hand():
  correct = [[True, False, False], [False, True, True], [True, False, True]]
  values = [[-1.0, -2.0, -3.0], [0.9, 0.1, 0.2], [0.5, 0.5, 0.1]]
  np.testing.assert_array_equal(
    accuracy.best_of_n(correct, values, 3), [1.0, 0.0, 0.5]
  )


def test_best_of_n_reduces_to_pass_at_1_and_to_any():
  correct = np.random.default_rng(2).random((9, 5)) < 0.4
  np.testing.assert_allclose(
    accuracy.best_of_n(correct, np.zeros((9, 5)), 5),
    accuracy.pass_at_1(correct),
  )
  np.testing.assert_array_equal(
    accuracy.best_of_n(correct, correct.astype(float), 5), correct.any(axis=1)
  )


def test_best_of_n_refuses_nan_and_other_shapes():
  with pytest.raises(InputError, match="1 of them NaN"):
    accuracy.best_of_n([[True, False]], [[math.nan, 1.0]], 2)
  with pytest.raises(InputError, match="shape"):
    accuracy.best_of_n([[True, False]], [[1.0]], 2)


def test_best_of_fewer_than_all_takes_disjoint_groups():
  rewards = [[0.5, -2.0, 3.0, 1.0, 9.0]]
  values = [[0.0, 1.0, 1.0, 1.0, 5.0]]
  # -2 of the first two, the mean of two equals of the next, the last left out.
  np.testing.assert_allclose(accuracy.best_of_n(rewards, values, 2), [0.0])
  with pytest.raises(InputError, match="lower n"):
    accuracy.best_of_n(rewards, values, 6)

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import preference


def test_by_hand():
  ours = [[3.0, 0.0], [1.0, 1.0]]
  theirs = [[1.0, 0.0], [1.0, 2.5]]
  # Question 1: 3-1, 3-0 win, 0-1 loses, 0-0 ties; 2: 1-1 ties, 1-2.5 loses.
  assert preference.against(ours, theirs, margin=0.0) == pytest.approx(
    (2 / 8, 3 / 8, 3 / 8)
  )
  # By more than 1: 0-1 is a tie.
  assert preference.against(ours, theirs, margin=1.0) == pytest.approx(
    (2 / 8, 4 / 8, 2 / 8)
  )


def test_numbers_of_answers_may_differ_and_sides_change_places():
  rng = np.random.default_rng(0)
  ours, theirs = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
  one = preference.against(ours, theirs, margin=0.3)
  other = preference.against(theirs, ours, margin=0.3)
  assert one == pytest.approx(other[::-1]) and sum(one) == pytest.approx(1)
  plain = [
    np.sign(a - b) * (abs(a - b) > 0.3)
    for mine, his in zip(ours, theirs, strict=True)
    for a in mine
    for b in his
  ]
  assert one.win == pytest.approx(np.mean(np.array(plain) == 1))


def test_against_itself_wins_and_losses_are_even():
  scores = np.random.default_rng(1).normal(size=(4, 6))
  found = preference.against(scores, scores, margin=0.0)
  assert found.win == pytest.approx(found.lose)
  assert found.tie == pytest.approx(1 / 6)


@pytest.mark.parametrize(
  ("ours", "theirs", "margin", "says"),
  [
    ([[np.nan, 1.0]], [[1.0]], 0.0, "scored 1 of 2 answers nan"),
    ([[1.0]], [[np.inf]], 0.0, "scored 1 of 1 answers inf"),
    ([[1.0]], [[1.0], [2.0]], 0.0, "the same questions"),
    ([1.0], [1.0], 0.0, "the same questions"),
    ([[1.0]], [[1.0]], -1.0, "margin is -1.0"),
    ([[1.0]], [[1.0]], float("nan"), "margin is nan"),
  ],
)
def test_refusals(ours, theirs, margin, says):
  with pytest.raises(InputError, match=says):
    preference.against(ours, theirs, margin=margin)

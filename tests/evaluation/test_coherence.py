import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import coherence


def test_by_hand():
  prompts = [[1.0, 0.0], [1.0, 1.0], [3.0, 4.0], [0.0, 0.0]]
  answers = [[0.0, 2.0], [-2.0, -2.0], [4.0, 3.0], [1.0, 1.0]]
  found = coherence.cosines(prompts, answers)
  np.testing.assert_allclose(found, [0.0, -1.0, 24 / 25, 0.0], atol=1e-12)


def test_only_directions_count():
  a, b = np.random.default_rng(0).normal(size=(2, 5, 7))
  wanted = coherence.cosines(a, b)
  np.testing.assert_allclose(coherence.cosines(3 * a, 0.1 * b), wanted)
  np.testing.assert_allclose(coherence.cosines(a, a), np.ones(5))


@pytest.mark.parametrize(
  ("a", "b"), [([[1.0]], [[1.0, 2.0]]), ([1.0], [1.0]), ([[np.nan]], [[1.0]])]
)
def test_refusals(a, b):
  with pytest.raises(InputError):
    coherence.cosines(a, b)

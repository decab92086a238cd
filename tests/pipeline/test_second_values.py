"""Which weights a front takes; its values run in tests/integration."""

import pytest

from qsharp_jax import generate
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

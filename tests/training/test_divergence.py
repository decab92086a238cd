"""What is not finite ends training, and says where."""

import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.training import divergence


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_a_number_that_is_not_finite_is_named_with_its_step(name, number):
  metrics = {"loss": 0.5, "grad_norm": 1.0, "weight": 3.0}
  divergence.check_metrics(7, metrics)
  with pytest.raises(InputError, match=f"step 7 has {name} {number}$"):
    divergence.check_metrics(7, metrics | {name: number})


# The last one is finite, and nothing that is made of it will be.
@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30])
def test_weights_that_are_not_finite_are_refused(number):
  weights = {"a": jnp.ones((2, 3)), "b": {"c": jnp.zeros(4)}}
  divergence.check_weights(3, weights)
  weights["b"]["c"] = weights["b"]["c"].at[2].set(number)
  with pytest.raises(divergence.Diverged, match="weights after step 3 is"):
    divergence.check_weights(3, weights)

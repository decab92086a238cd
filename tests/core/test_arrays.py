"""What counts as an array, and what may become one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.core import arrays


def test_arrays_are_jax_arrays_even_while_they_are_traced():
  seen = []
  jax.eval_shape(lambda x: seen.append(x) or x, jnp.zeros(2))
  assert all(isinstance(x, arrays.Array) for x in (jnp.zeros(2), *seen))
  assert len(seen) == 1 and not isinstance(np.zeros(2), arrays.Array)


@pytest.mark.parametrize(
  "value", [jnp.zeros(2), np.zeros(2), 1.5, np.float32(1)]
)
def test_what_jax_takes_for_an_array(value):
  assert isinstance(value, arrays.ArrayLike)


def test_a_list_is_no_array():
  assert not isinstance([1.0], arrays.ArrayLike)

"""Products with weights stored as [out, in], few rows and many."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from qsharp_jax.models import products


def drawn(*shape):
  values = np.random.default_rng(len(shape)).normal(size=shape)
  return jnp.asarray(values, jnp.float32)


class TestProject(chex.TestCase):
  @chex.variants(with_jit=True, without_jit=True)
  @parameterized.parameters(
    ((2, 3), (5,), (7,)),
    ((2, 3), (5,), (4, 6)),
    ((2, 3), (4, 6), (5,)),
    ((40, 5), (5,), (7,)),  # more rows than are multiplied weights first
  )
  def test_equals_a_sum_over_the_inputs(self, rows, inputs, outputs):
    x, kernel = drawn(*rows, *inputs), drawn(*outputs, *inputs)
    project = self.variant(
      lambda *x: products.project(*x, num_inputs=len(inputs))
    )
    wanted = np.tensordot(
      x,
      kernel,
      (
        range(len(rows), len(rows) + len(inputs)),
        range(len(outputs), len(outputs) + len(inputs)),
      ),
    )
    chex.assert_shape(wanted, (*rows, *outputs))
    chex.assert_trees_all_close(
      project(x, kernel), wanted, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("rows", [3, 200])
def test_sums_of_half_precision_can_be_kept_whole(rows):
  x = jnp.ones((rows, 300), jnp.bfloat16)
  kernel = jnp.ones((2, 300), jnp.bfloat16).at[1].set(1 + 2**-7)
  kept = products.project(x, kernel, dtype=jnp.float32)
  chex.assert_type(kept, jnp.float32)
  np.testing.assert_array_equal(kept[0], [300, 300 + 300 / 128])
  chex.assert_type(products.project(x, kernel), jnp.bfloat16)


@pytest.mark.parametrize("rows", [3, 200])
def test_gradients_equal_those_of_a_plain_product(rows):
  x, kernel = drawn(rows, 5), drawn(4, 5, 1)[..., 0]
  loss = lambda product: lambda x, k: jnp.sum(jnp.sin(product(x, k)))
  found, wanted = (
    jax.jit(jax.grad(loss(product), (0, 1)))(x, kernel)
    for product in (products.project, lambda x, k: x @ k.T)
  )
  chex.assert_trees_all_close(found, wanted, rtol=1e-4, atol=1e-5)

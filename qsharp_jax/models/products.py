"""Products of activations and weights, the weights stored as [out, in]."""

import math

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array

# Below so many rows, reading the weights takes longer than multiplying.
_FEW_ROWS = 128


def project(
  x: Array, kernel: Array, *, num_inputs: int = 1, dtype: str | None = None
) -> Array:
  """Maps the last `num_inputs` dimensions of `x` by `kernel`.

  Args:
    x: Shape [..., *inputs].
    kernel: Shape [*outputs, *inputs].
    num_inputs: number of dimensions in `inputs`.
    dtype: of the sums and the result; by default that of the arguments.

  Returns:
    Shape [..., *outputs].
  """
  rows, inputs = x.shape[:-num_inputs], x.shape[-num_inputs:]
  outputs = kernel.shape[:-num_inputs]
  x = x.reshape(-1, math.prod(inputs))
  kernel = kernel.reshape(-1, math.prod(inputs))

  def multiply(x, kernel):
    return jnp.matmul(x, kernel.T, preferred_element_type=dtype)

  if len(x) <= _FEW_ROWS:
    y = jax.lax.platform_dependent(
      x, kernel, cpu=_weights_first(dtype), default=multiply
    )
  else:
    y = multiply(x, kernel)
  return y.reshape(*rows, *outputs)


def _weights_first(dtype: str | None):
  """The same product with the weights as its left operand.

  The CPU's library reads a left operand where it lies, and repacks a right one
  at every call: with 8 rows that is half of the bandwidth.
  """

  def multiply(x: Array, kernel: Array) -> Array:
    y = jnp.matmul(kernel, x.T, preferred_element_type=dtype)
    # Without the barrier the compiler exchanges the operands again.
    return jax.lax.optimization_barrier(y).T

  return multiply

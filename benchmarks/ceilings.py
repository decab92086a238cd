"""What this device can do: bytes a second and multiplications a second.

Both are measured, not read from a data sheet, in the run that uses them.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from benchmarks import measure as measure_lib


@dataclasses.dataclass(frozen=True)
class Ceilings:
  """Measured rates of the default device."""

  bytes_per_second: float
  flops_per_second: float


def best_seconds(function, *args, repeats: int = 7) -> float:
  """Least wall-clock seconds of a call, compilation left out."""
  run = functools.partial(function, *args)
  jax.block_until_ready(run())
  return min(measure_lib.timed(run, repeats))


def measure(dtype: str = "float32") -> Ceilings:
  """Reads 1 GB in a matrix-vector product; multiplies two square matrices.

  Of random numbers: processors are faster on numbers that are all the same. A
  GPU may copy faster than the product reads; then that is its bandwidth.
  """
  size = jnp.dtype(dtype).itemsize
  rows = int(1e9 / size / 8192)
  matrix, vector = _random(rows, 8192, dtype), _random(1, 8192, dtype)[0]
  read = best_seconds(jax.jit(jnp.dot), matrix, vector)
  bandwidth = rows * 8192 * size / read
  on_cpu = jax.default_backend() == "cpu"
  if not on_cpu:
    bandwidth = max(bandwidth, _copied_bytes_per_second())
  side = 2048 if on_cpu else 8192
  square = _random(side, side, dtype)
  multiply = best_seconds(jax.jit(jnp.matmul), square, square)
  return Ceilings(bandwidth, 2 * side**3 / multiply)


def _copied_bytes_per_second() -> float:
  """Of a copy of 1 GB with a sign changed: bytes read plus bytes written."""
  numbers = _random(1, int(1e9 / 4), "float32")
  return 2 * numbers.nbytes / best_seconds(jax.jit(jnp.negative), numbers)


def _random(rows: int, columns: int, dtype: str) -> jax.Array:
  """Numbers of [-1, 1): a million are drawn, and repeated."""
  drawn = jax.random.uniform(jax.random.key(0), (1 << 20,), dtype, minval=-1)
  return jax.jit(jnp.resize, static_argnums=1)(drawn, (rows, columns))

"""The least time a decode step can take, at measured rates.

For each of the two models the longer of two times: that of reading its weights
once and the keys and values of all rows, and that of multiplying every token of
the step with every weight, and its query with every key and value. The models
run one after the other, since the candidates come from the reference.
"""

import jax.numpy as jnp

from benchmarks import ceilings, pairs
from qsharp_jax import models


def step_seconds(
  configs: tuple[models.DecoderConfig, models.DecoderConfig],
  rates: ceilings.Ceilings,
  *,
  rows: int,
  num_candidates: int,
  context: float,
) -> dict[str, float]:
  """Floors of an unguided step and of a guided one, V-type.

  Args:
    configs: the reference and the value model.
    rates: of the device.
    rows: sequences decoded together.
    num_candidates: tokens of each row that get values.
    context: tokens in the cache of a row, on average.
  """
  reference, value = configs
  base = _seconds(reference, rates, rows, 1, context, with_output=True)
  extra = _seconds(
    value, rates, rows, 1 + num_candidates, context, with_output=False
  )
  return {"unguided": base, "guided": base + extra}


def _seconds(
  config: models.DecoderConfig,
  rates: ceilings.Ceilings,
  rows: int,
  tokens: int,
  context: float,
  *,
  with_output: bool,
) -> float:
  """Floor of one pass over `tokens` new tokens in each of `rows`."""
  weights = pairs.num_parameters(config, with_output=with_output)
  per_token = 2 * config.num_layers * config.num_kv_heads * config.head_width
  num_read = weights + rows * context * per_token
  # A query meets all keys, and its weights all values.
  attention = 4 * config.num_layers * config.num_heads * config.head_width
  num_flops = rows * tokens * (2 * weights + attention * context)
  return max(
    num_read * jnp.dtype(config.dtype).itemsize / rates.bytes_per_second,
    num_flops / rates.flops_per_second,
  )

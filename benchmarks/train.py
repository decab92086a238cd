r"""How fast does a value model train, beside its floor and beside PyTorch?

  python -m benchmarks.train --model=40m
  python -m benchmarks.train --model=1b --dtype=bfloat16 --remat  # on a GPU

Two questions, a V-type value model and its Bernoulli loss in both:

1. Tokens per second of one step on full rows of one length, against the same
   step in PyTorch: same weights, batch, loss, clipping and AdamW; the loss of
   both after the same number of steps is shown. MFU is the FLOPs that the model
   needs over those of a square matrix product of the same type, measured in the
   same run. A token needs 6 N + 6 L N_heads H T: two FLOPs for each of the N
   parameters in matrix products forward and four backward; and, in each of L
   layers, 2 * 2 * N_heads * H * T / 2 forward for a causal row's scores and
   mixed values, three times that with the backward pass. What remat computes
   again is not counted.
2. Tokens of GSM8K's questions and answers (no padding counted) per second in
   rows that hold several sequences, against one sequence a row, both of the
   longest sequence's length. Their own lengths with QSHARP_DATA_DIR, else a
   distribution fitted to them.

Weights are float32; --dtype is that of activations and products. On Linux,
GLIBC_TUNABLES=glibc.malloc.hugetlb=1 both frameworks spend less on new memory;
the setting is shown. Prints a table and one line of JSON; with --profile=DIR
also the kernels of a step that take longest, and leaves the trace in DIR.
"""

import dataclasses
import itertools
import os
import statistics
import tempfile
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from flax import linen as nn

from benchmarks import ceilings, gsm8k_lengths, kernels, measure, pairs
from qsharp_jax import data, models, training
from qsharp_jax.checkpoint import saving

# Name: value model, rows and tokens a row.
_MODELS = {
  "tiny": (pairs.PAIRS["tiny"][1], 32, 64),
  "40m": (pairs.PAIRS["129m_40m"][1], 4, 256),
  "1b": (pairs.PAIRS["8b_1b"][1], 8, 1024),
}
_MODEL = flags.DEFINE_enum("model", "tiny", list(_MODELS), "Value model.")
_BATCH = flags.DEFINE_integer("batch", None, "Rows; the model's own if unset.")
_LENGTH = flags.DEFINE_integer("length", None, "Tokens a row, likewise.")
_REPEATS = flags.DEFINE_integer("repeats", 9, "Timed steps; medians are shown.")
_SEQUENCES = flags.DEFINE_integer("sequences", 2000, "Packed and padded.")
_PACKING = flags.DEFINE_bool("packing", True, "Also the second question.")
_TORCH = flags.DEFINE_bool("torch", True, "Also run PyTorch.")
_COMPILE = flags.DEFINE_bool("torch_compile", True, "PyTorch compiled, too.")
_PROFILE = flags.DEFINE_string("profile", None, "Directory of a trace.")
_REMAT = flags.DEFINE_bool("remat", False, "Compute activations twice.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of activations and products."
)
_LEARNING_RATE = 2e-5
_BUCKET = 64  # lengths are rounded up to its multiples
_COLLATED = 32  # sequences padded to the longest among them, where that is done


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  config, rows, length = _MODELS[_MODEL.value]
  config = dataclasses.replace(config, dtype=_DTYPE.value, remat=_REMAT.value)
  model = models.ValueModel(config, models.HeadConfig("v", 1))
  rows, length = _BATCH.value or rows, _LENGTH.value or length
  params = _weights(model)
  batch = _full_rows(config.vocab_size, rows, length)
  packages = ("torch", "transformers") if _TORCH.value else ()
  result = measure.describe("flax", "optax", *packages) | {
    "model": _MODEL.value,
    "batch": rows,
    "length": length,
    "dtype": _DTYPE.value,
    "remat": _REMAT.value,
    "repeats": _REPEATS.value,
    "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
  }
  result |= _ours(model, params, batch)
  result |= _utilisation(config, length, result["tokens_per_second"])
  if _TORCH.value:
    result |= _peers(model, params, batch)
    ratio = result["tokens_per_second"] / result["torch_tokens_per_second"]
    low, high = result["interval"]
    torch_low, torch_high = result["torch_interval"]
    result["over_torch"] = ratio
    result["over_torch_interval"] = [low / torch_high, high / torch_low]
  if _PACKING.value:
    result |= _packing(model, params, rows * length)
  measure.show(result)


def _sequence(rng, vocab: int, size: int) -> data.Sequence:
  """Random tokens; the loss starts somewhere in the first half."""
  return data.Sequence(
    rng.integers(3, vocab, size).astype(np.int32),
    np.arange(size) >= rng.integers(size // 2),
    np.full(size, rng.integers(2), np.float32),
  )


def _full_rows(vocab: int, rows: int, length: int) -> dict[str, np.ndarray]:
  rng = np.random.default_rng(0)
  found = [_sequence(rng, vocab, length) for _ in range(rows)]
  return data.packing.pad(found, length=length)._asdict()


class _Trainer:
  """Our step with the state that it changes."""

  def __init__(self, model: models.ValueModel, params):
    optimizer = training.adamw(learning_rate=_LEARNING_RATE, num_steps=1000)
    # The state is donated; the weights are needed again.
    self._state = training.create(jax.tree.map(jnp.copy, params), optimizer)
    objective = training.objectives.value(model, loss="bernoulli")
    self._update = training.make_step(objective, optimizer)

  def step(self, batch) -> jax.Array:
    """One update, waited for; the loss before it."""
    self._state, metrics = self._update(self._state, batch)
    jax.block_until_ready(self._state)
    return metrics["loss"]


def _weights(model: models.ValueModel):
  one = jnp.zeros((1, 1), jnp.int32)
  init = lambda key: nn.unbox(model.init(key, one, one))
  return jax.jit(init)(jax.random.key(0))


def _ours(model: models.ValueModel, params, batch) -> dict:
  trainer, losses = _Trainer(model, params), []
  on_device = jax.device_put(batch)
  found = _speed(batch, lambda: losses.append(trainer.step(on_device)))
  if _PROFILE.value:
    kernels.show(_PROFILE.value, lambda: trainer.step(on_device), steps=1)
  return found | {"loss_after": float(losses[-1])}


def _speed(batch, step: Callable[[], object]) -> dict:
  """Tokens a second of a step: the median, its 95% interval, the spread."""
  jax.block_until_ready(step())  # compiles
  seconds = measure.timed(step, _REPEATS.value)
  low, high = measure.interval(seconds)
  num = batch["tokens"].size
  return {
    "tokens_per_second": num / statistics.median(seconds),
    "interval": [num / high, num / low],
    "spread": max(seconds) / min(seconds) - 1,
  }


def _utilisation(
  config: models.DecoderConfig, length: int, tokens_per_second: float
) -> dict:
  """The FLOPs that training needs, over those that the device can do."""
  rate = ceilings.measure(config.dtype).flops_per_second
  params = pairs.num_parameters(config, with_output=False) + config.width
  attention = config.num_layers * config.num_heads * config.head_width * length
  needed = 6 * params + 6 * attention
  return {
    "flops_per_token": needed,
    "flops_per_second": rate,
    "mfu": needed * tokens_per_second / rate,
  }


def _peers(model: models.ValueModel, params, batch) -> dict:
  """The same in PyTorch; the faster of eager and compiled counts."""
  from benchmarks.peers import torch_training

  found = {}
  with tempfile.TemporaryDirectory() as folder:
    saving.save_value_model(folder, model.config, model.head, params, "llama")
    for name in ("eager", "compiled")[: 1 + _COMPILE.value]:
      trainer, losses = (
        torch_training.Trainer(
          folder,
          {k: batch[k] for k in ("tokens", "mask", "labels")},
          dtype=_DTYPE.value,
          learning_rate=_LEARNING_RATE,
          is_remat=_REMAT.value,
          is_compiled=name == "compiled",
        ),
        [],
      )
      step = lambda run=trainer.step, to=losses: to.append(run())
      found[name] = _speed(batch, step) | {"loss_after": float(losses[-1])}
  best = max(found, key=lambda name: found[name]["tokens_per_second"])
  speeds = {
    f"torch_{name}_tokens_per_second": own["tokens_per_second"]
    for name, own in found.items()
  }
  own = {f"torch_{key}": entry for key, entry in found[best].items()}
  return speeds | own | {"torch_fastest": best}


def _packing(model: models.ValueModel, params, tokens_a_step: int) -> dict:
  """Tokens a second without padding, packed and padded."""
  sizes, source = gsm8k_lengths.load(_SEQUENCES.value)
  rng = np.random.default_rng(1)
  found = [_sequence(rng, model.config.vocab_size, size) for size in sizes]
  length = _rounded(sizes.max())
  rows = max(1, round(tokens_a_step / length))
  trainer = _Trainer(model, params)
  speeds, shares = {}, {}
  for name, lay in (
    ("packed", data.packing.pack),
    ("padded", data.packing.pad),
  ):
    laid = lay(found, length=length)
    shares[name] = sizes.sum() / laid.tokens.size
    seconds, spread = _seconds_a_step(trainer, laid, rows)
    speeds[name] = rows * length * shares[name] / seconds, spread
  collated = [
    _rounded(max(part)) * len(part)
    for part in np.split(sizes, range(_COLLATED, len(sizes), _COLLATED))
  ]
  return {
    "lengths": source,
    "length_mean": float(sizes.mean()),
    "length_longest": int(sizes.max()),
    "row": length,
    "packed_rows_a_step": rows,
    "packed_tokens_per_second": speeds["packed"][0],
    "packed_spread": speeds["packed"][1],
    "padded_tokens_per_second": speeds["padded"][0],
    "padded_spread": speeds["padded"][1],
    "packed_over_padded": speeds["packed"][0] / speeds["padded"][0],
    "packed_useful_share": float(shares["packed"]),
    "padded_useful_share": float(shares["padded"]),
    "padded_by_batch_useful_share": float(sizes.sum() / sum(collated)),
  }


def _seconds_a_step(
  trainer: _Trainer, laid: data.packing.Packed, rows: int
) -> tuple[float, float]:
  """Median and spread over batches from the beginning of `laid`."""
  cut = lambda i: {
    name: field[i * rows : (i + 1) * rows]
    for name, field in laid._asdict().items()
  }
  num_batches = min(_REPEATS.value, len(laid.tokens) // rows)
  batches = itertools.cycle(
    [jax.device_put(cut(i)) for i in range(num_batches)]
  )
  return measure.median_seconds(
    lambda: trainer.step(next(batches)), _REPEATS.value
  )


def _rounded(size: int) -> int:
  return -(-int(size) // _BUCKET) * _BUCKET


if __name__ == "__main__":
  app.run(main)

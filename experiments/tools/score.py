r"""Next-token log-probabilities of token sequences under a language model.

  python -m experiments.score --model=DIR --tokens=in.jsonl --output=out.npz

In: lines `{"tokens": [int, ...]}`. Out: for line i, counted from 0, the array
`log_probs_<i>` of log p(token t | tokens before t) for t = 1 .. T-1, float32.
"""

import functools
import io
import json
from collections.abc import Iterator

import jax
import numpy as np
from absl import flags

from experiments.harness import console
from qsharp_jax import checkpoint, models, ops
from qsharp_jax.core import errors, files, places
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError

_MODEL = flags.DEFINE_string(
  "model", None, "Model directory or Hub name.", required=True
)
_TOKENS = flags.DEFINE_string(
  "tokens", None, 'JSON lines {"tokens": [int, ...]}.', required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "npz to write.", required=True)
_BATCH_SIZE = flags.DEFINE_integer(
  "batch_size", 8, "Sequences at a time.", lower_bound=1
)
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and products."
)

_SHORTEST = 16  # the smallest length bucket; the others are its doubles
_CHUNK = 256  # tokens whose logits [V] exist at one time


def read(path: str, config: models.DecoderConfig) -> list[list[int]]:
  """Reads the sequences; an InputError names the line that is broken."""
  with (
    errors.foreign(f"cannot read --tokens {path}", "name a file of JSON lines"),
    places.path(path).open("rb") as file,
  ):
    rows = [_row(line, config, f"{path}:{i}") for i, line in enumerate(file, 1)]
  if not rows:
    raise InputError(f"{path} is empty; expected one JSON object a line")
  return rows


def score(
  config: models.DecoderConfig,
  params: PyTree,
  rows: list[list[int]],
  *,
  batch_size: int = 8,
) -> list[np.ndarray]:
  """Log-probability of every token given those before it.

  Args:
    config: the decoder's.
    params: {"params": ...} of a `LanguageModel`.
    rows: token sequences of length at least 1.
    batch_size: sequences at a time.

  Returns:
    For each sequence of length T an array of shape [T - 1], float32.
  """
  log_probs = [None] * len(rows)
  for batch, tokens, positions in _batches(
    rows, batch_size, max_length=config.max_length
  ):
    scored = np.asarray(_score(config, params, tokens, positions))
    for i, values in zip(batch, scored, strict=False):  # the rest is padding
      log_probs[i] = values[: len(rows[i]) - 1]
  return log_probs


def write(path: str, log_probs: list[np.ndarray]) -> None:
  """Writes the npz, the whole file or nothing."""
  content = io.BytesIO()
  np.savez(content, **{f"log_probs_{i}": x for i, x in enumerate(log_probs)})
  with errors.foreign(f"cannot write --output {path}", "name another file"):
    files.replace(path, content.getvalue())


def main(_) -> None:
  """Reads, scores, writes, prints one line."""
  raw = checkpoint.huggingface.read_config(_MODEL.value)
  rows = read(_TOKENS.value, checkpoint.families.from_hf(raw))
  config, params = checkpoint.huggingface.load_language_model(
    _MODEL.value, dtype=_DTYPE.value, param_dtype=_DTYPE.value
  )
  # Accelerators round float32 products to fewer bits unless told not to.
  with jax.default_matmul_precision("highest"):
    log_probs = score(config, params, rows, batch_size=_BATCH_SIZE.value)
  write(_OUTPUT.value, log_probs)
  num_scored = sum(map(len, log_probs))
  mean = sum(float(x.sum()) for x in log_probs) / max(num_scored, 1)
  print(
    f"{len(rows)} sequences, {num_scored} tokens scored, mean log-probability "
    f"{mean:.4f} -> {_OUTPUT.value}"
  )


@functools.partial(jax.jit, static_argnums=0)
def _score(
  config: models.DecoderConfig, params: PyTree, tokens: Array, positions: Array
) -> Array:
  """Log-probability of tokens[:, 1:] given those before. Shape [B, T - 1]."""
  model = models.LanguageModel(config)
  hidden, _ = model.apply(params, tokens, positions, method="hidden")

  def negated(x):
    return ops.losses.next_token(
      model.apply(params, x[0], method="logits"), x[1]
    )

  flat = (hidden[:, :-1].reshape(-1, config.width), tokens[:, 1:].reshape(-1))
  losses = jax.lax.map(negated, flat, batch_size=_CHUNK)
  return -losses.reshape(tokens[:, 1:].shape)


def _batches(
  rows: list[list[int]], batch_size: int, *, max_length: int
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
  """Row numbers, tokens and positions; one shape for each length bucket."""
  buckets = {}
  for i, row in enumerate(rows):
    length = _SHORTEST
    while length < len(row):
      length *= 2
    buckets.setdefault(min(length, max_length), []).append(i)
  for length, members in sorted(buckets.items()):
    for start in range(0, len(members), batch_size):
      batch = members[start : start + batch_size]
      tokens = np.zeros((batch_size, length), np.int32)
      positions = np.full((batch_size, length), -1, np.int32)
      for row, i in enumerate(batch):
        tokens[row, : len(rows[i])] = rows[i]
        positions[row, : len(rows[i])] = np.arange(len(rows[i]))
      yield batch, tokens, positions


def _row(line: bytes, config: models.DecoderConfig, where: str) -> list[int]:
  try:
    record = json.loads(line)
  except (ValueError, RecursionError) as error:
    raise InputError(f"{where}: not a line of JSON ({error})") from error
  tokens = record.get("tokens") if isinstance(record, dict) else None
  if not isinstance(tokens, list) or not tokens:
    raise InputError(
      f'{where}: expected {{"tokens": [int, ...]}} with at least one token'
    )
  if len(tokens) > config.max_length:
    raise InputError(
      f"{where}: {len(tokens)} tokens are longer than the model's context of "
      f"{config.max_length}; cut them"
    )
  for token in tokens:
    if type(token) is not int or not 0 <= token < config.vocab_size:
      raise InputError(
        f"{where}: token {token!r} is not an id of the vocabulary of "
        f"{config.vocab_size}"
      )
  return tokens


if __name__ == "__main__":
  console.run(main)

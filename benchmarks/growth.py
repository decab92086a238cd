r"""How do time and memory of guided decoding grow?

  python -m benchmarks.growth --pair=129m_40m --pairs=tiny,129m_40m

From a base point, one axis is varied at a time: batch, prompt length, answer
length, candidates, model pair. Of each point: seconds of the prefill and of a
decode step, both measured; and the bytes that both need, as
`generate.memory` predicts them and as the compiler counts them. A point whose
prediction does not fit the device is not run. Prints a table and one line of
JSON.
"""

import dataclasses
import json

import jax
import numpy as np
from absl import app, flags

from benchmarks import measure, pairs, steps
from qsharp_jax.core import errors
from qsharp_jax.generate import decode, memory
from qsharp_jax.generate import state as state_lib

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Base pair.")
_BATCH = flags.DEFINE_integer("batch", 8, "Base prompts decoded together.")
_PROMPT = flags.DEFINE_integer("prompt", 64, "Base prompt length in tokens.")
_ANSWER = flags.DEFINE_integer("answer", 128, "Base room for new tokens.")
_CANDIDATES = flags.DEFINE_integer("candidates", 20, "Base tokens with values.")
_AXES = {
  "batch": flags.DEFINE_list("batches", ["1", "32"], "Others than the base."),
  "prompt": flags.DEFINE_list("prompts", ["16", "256"], "Likewise."),
  "answer": flags.DEFINE_list("answers", ["32", "512"], "Likewise."),
  "candidates": flags.DEFINE_list(
    "more_candidates", ["1", "5", "50", "100"], "Likewise."
  ),
  "pair": flags.DEFINE_list("pairs", [], "Likewise."),
}
_STEPS = flags.DEFINE_integer("steps", 8, "Decode steps of one timed run.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs; medians are shown.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)
_COLUMNS = (
  "axis",
  "pair",
  "batch",
  "prompt",
  "answer",
  "candidates",
  "prefill_seconds",
  "step_seconds",
  "step_spread",
  "predicted_bytes",
  "compiled_bytes",
)


@dataclasses.dataclass(frozen=True)
class _Point:
  """Sizes of one row of the table."""

  pair: str
  batch: int
  prompt: int
  answer: int
  candidates: int


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  result = measure.describe("flax") | {
    "dtype": _DTYPE.value,
    "repeats": _REPEATS.value,
  }
  print(" | ".join(_COLUMNS))
  rows = []
  for axis, point in _points():
    rows.append(_measure(point) | {"axis": axis})
    print(" | ".join(_cell(rows[-1][name]) for name in _COLUMNS), flush=True)
  print(json.dumps(result | {"points": rows}))


def _points() -> list[tuple[str, _Point]]:
  base = _Point(
    _PAIR.value,
    _BATCH.value,
    _PROMPT.value,
    _ANSWER.value,
    _CANDIDATES.value,
  )
  found = [("base", base)]
  for axis, values in _AXES.items():
    kind = str if axis == "pair" else int
    found += [
      (axis, dataclasses.replace(base, **{axis: kind(value)}))
      for value in values.value
    ]
  return found


def _measure(point: _Point) -> dict:
  """One row of the table; times are None where it does not fit."""
  cast = lambda config: pairs.with_dtype(config, _DTYPE.value)
  policy = steps.make_policy(
    tuple(map(cast, pairs.PAIRS[point.pair])), point.candidates
  )
  predict = lambda batch: memory.needed(
    policy,
    batch_size=batch,
    prompt_length=point.prompt,
    max_new_tokens=point.answer,
  )
  row = dict.fromkeys(_COLUMNS) | dataclasses.asdict(point)
  row["predicted_bytes"] = predict(point.batch).total
  try:
    available = memory.available_bytes(jax.devices()[:1])
    memory.check(predict, point.batch, available)
  except errors.InputError as error:
    print(f"not run: {error}")
    return row
  return row | _run(policy, point)


def _run(policy, point: _Point) -> dict:
  """Compiles both programs once, counts their bytes, times them."""
  params = steps.weights(policy)
  num_steps = min(_STEPS.value, point.answer)
  controls = steps.controls([steps.ETA] * point.batch, num_steps)
  arrays = *steps.prompts(point.batch, point.prompt), controls
  prefill = state_lib.prefill.lower(
    policy,
    params,
    *arrays,
    num_slots=point.prompt - 1 + point.answer,
    num_new_tokens=point.answer,
  ).compile()
  prefill_seconds, _ = measure.median_seconds(
    lambda: prefill(params, *arrays), _REPEATS.value
  )
  state, rows = prefill(params, *arrays), np.int32(point.batch)
  loop = decode.decode.lower(policy, params, state, rows).compile()
  step_seconds, spread = steps.seconds_per_step(
    lambda state: loop(params, state, rows), state, num_steps, _REPEATS.value
  )
  return {
    "prefill_seconds": prefill_seconds,
    "step_seconds": step_seconds,
    "step_spread": spread,
    "compiled_bytes": _compiled_bytes(params, prefill, loop),
  }


def _compiled_bytes(params, prefill, loop) -> int:
  """Bytes of the larger program, with all weights."""
  # What the prefill does not read lies on the device all the same.
  weights = sum(x.nbytes for x in jax.tree.leaves(params))
  first, then = prefill.memory_analysis(), loop.memory_analysis()
  return max(
    weights + first.output_size_in_bytes + first.temp_size_in_bytes,
    then.argument_size_in_bytes
    + then.output_size_in_bytes
    + then.temp_size_in_bytes
    - then.alias_size_in_bytes,
  )


def _cell(entry) -> str:
  if entry is None:
    return "-"
  return f"{entry:.4g}" if isinstance(entry, float) else str(entry)


if __name__ == "__main__":
  app.run(main)

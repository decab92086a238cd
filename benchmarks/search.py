r"""What do more candidates cost, and what does a sweep of eta cost?

  python -m benchmarks.search --pair=129m_40m --batch=8

1. Tokens per second of guided decoding against the number of candidates, beside
   the floor (benchmarks/floors.py) at rates measured in the same run.
2. A grid of 8 etas in one batch, against one eta at the same total batch, and
   against 8 runs, one for each eta, of an eighth of the batch. The programs
   compiled for the first two are counted: one serves every eta.

Decode steps only, without the prefill. Prints a table and one line of JSON.
"""

import numpy as np
from absl import app, flags

from benchmarks import ceilings, floors, measure, pairs, steps
from qsharp_jax.generate import decode
from qsharp_jax.generate import state as state_lib

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Model pair.")
_BATCH = flags.DEFINE_integer("batch", 8, "Rows in all; a multiple of 8.")
_PROMPT = flags.DEFINE_integer("prompt", 64, "Prompt length in tokens.")
_CANDIDATES = flags.DEFINE_list(
  "candidates", ["1", "5", "10", "20", "50", "100"], "Tokens that get values."
)
_GRID_CANDIDATES = flags.DEFINE_integer("grid_candidates", 20, "In the sweep.")
_STEPS = flags.DEFINE_integer("steps", 16, "Decode steps of one timed run.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs; medians are shown.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)
_TURNS = 3
_ETAS = (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0)


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  if _BATCH.value % len(_ETAS):
    raise app.UsageError(f"--batch must be a multiple of {len(_ETAS)}")
  configs = tuple(
    pairs.with_dtype(c, _DTYPE.value) for c in pairs.PAIRS[_PAIR.value]
  )
  result = measure.describe("flax") | {
    "pair": _PAIR.value,
    "batch": _BATCH.value,
    "prompt": _PROMPT.value,
    "dtype": _DTYPE.value,
    "steps": _STEPS.value,
    "repeats": _REPEATS.value,
  }
  rates = ceilings.measure(_DTYPE.value)
  result["bytes_per_second"] = rates.bytes_per_second
  result["flops_per_second"] = rates.flops_per_second
  params = steps.weights(steps.make_policy(configs, 1))
  for num in map(int, _CANDIDATES.value):
    policy = steps.make_policy(configs, num)
    seconds, spread = _step_seconds(policy, params, [steps.ETA] * _BATCH.value)
    floor = floors.step_seconds(
      configs,
      rates,
      rows=_BATCH.value,
      num_candidates=num,
      context=_PROMPT.value + _STEPS.value / 2,
    )["guided"]
    result |= {
      f"tokens_per_second_{num}": _BATCH.value / seconds,
      f"spread_{num}": spread,
      f"over_floor_{num}": seconds / floor,
    }
  result |= _sweep(steps.make_policy(configs, _GRID_CANDIDATES.value), params)
  measure.show(result)


def _sweep(policy, params) -> dict:
  """The grid in one batch, one eta in one batch, and eta after eta."""
  rows, share = _BATCH.value, _BATCH.value // len(_ETAS)
  decode.decode.clear_cache()
  # In turns: a machine that slows down must not count against one of them.
  turns = [
    [_step_seconds(policy, params, etas)[0] for etas in pair]
    for pair in [(np.repeat(_ETAS, share), [steps.ETA] * rows)] * _TURNS
  ]
  grid, one = np.median(turns, axis=0).tolist()
  programs = decode.decode._cache_size()
  parts = [_step_seconds(policy, params, [eta] * share)[0] for eta in _ETAS]
  return {
    "eta_grid_tokens_per_second": rows / grid,
    "one_eta_tokens_per_second": rows / one,
    "eta_grid_over_one_eta": grid / one,
    "eta_grid_over_separate_runs": grid / sum(parts),
    "eta_grid_programs": programs,
  }


def _step_seconds(policy, params, etas) -> tuple[float, float]:
  """Median seconds of a decode step of as many rows as etas, and spread."""
  state = state_lib.prefill(
    policy,
    params,
    *steps.prompts(len(etas), _PROMPT.value),
    steps.controls(etas, _STEPS.value),
    num_slots=_PROMPT.value - 1 + _STEPS.value,
    num_new_tokens=_STEPS.value,
  )
  run = lambda state: decode.decode(policy, params, state, np.int32(len(etas)))
  return steps.seconds_per_step(run, state, _STEPS.value, _REPEATS.value)


if __name__ == "__main__":
  app.run(main)

r"""What does it bring to refill rows, and to score few candidates in them?

  python -m benchmarks.rollout

Guided answers to 256 prompts, as long as GSM8K's worked answers are
(benchmarks/gsm8k_lengths.py), a long tail. Once every row that
ends is given to the next prompt, once the next batch waits for the longest
answer, and once refilled rows score candidates lazily, --scored at once, with
values around --success. The answers are compared: they must be the same. Prints
a table and one line of JSON.
"""

import dataclasses
import statistics
import unittest.mock

import numpy as np
from absl import app, flags

from benchmarks import gsm8k_lengths, measure, pairs, steps
from qsharp_jax import generate
from qsharp_jax.generate import decode

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Model pair.")
_BATCH = flags.DEFINE_integer("batch", 16, "Rows.")
_PROMPTS = flags.DEFINE_integer("prompts", 256, "Prompts in all.")
_REFILL = flags.DEFINE_integer("refill", 1, "Prompts that enter together.")
_CANDIDATES = flags.DEFINE_integer("candidates", 20, "Tokens that get values.")
_SCORED = flags.DEFINE_integer("scored", 4, "Candidates scored at once.")
_SUCCESS = flags.DEFINE_float("success", 0.5, "What values are around.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs; medians are shown.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)


class _Meter:
  """Stands in for the decode loop and counts the steps it takes."""

  def __init__(self):
    self.row_steps = 0
    self._decode = decode.decode

  def __call__(self, policy, params, state, num_finished):
    before = np.asarray(state.turns)
    state = self._decode(policy, params, state, num_finished)
    # Some row is open from the first turn of a call to its last.
    num_steps = (np.asarray(state.turns) - before).max()
    self.row_steps += int(num_steps) * len(before)
    return state


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  configs = tuple(
    pairs.with_dtype(c, _DTYPE.value) for c in pairs.PAIRS[_PAIR.value]
  )
  policy = steps.make_policy(configs, _CANDIDATES.value)
  params = steps.valued(policy, steps.weights(policy), _SUCCESS.value)
  lazy = dataclasses.replace(policy, num_scored=_SCORED.value)
  requests, source = _requests()
  lengths = [request.max_new_tokens for request in requests]
  result = measure.describe("flax") | {
    "pair": _PAIR.value,
    "batch": _BATCH.value,
    "prompts": _PROMPTS.value,
    "refill": _REFILL.value,
    "scored": _SCORED.value,
    "success": _SUCCESS.value,
    "dtype": _DTYPE.value,
    "repeats": _REPEATS.value,
    "lengths": source,
    "mean_length": statistics.mean(lengths),
    "longest": max(lengths),
  }
  answers = {}
  for name, who, size in (
    ("refilled", policy, _REFILL.value),
    ("whole", policy, _BATCH.value),
    ("lazy", lazy, _REFILL.value),
  ):
    sampling = generate.Sampling(
      max_new_tokens=max(lengths),
      batch_size=_BATCH.value,
      prompts_per_refill=size,
      prompt_bucket=32,
    )
    run = lambda who=who, sampling=sampling: list(
      generate.generate(who, params, requests, sampling)
    )
    answers[name], found = _measure(run)
    kept = sum(lengths) / found.pop("row_steps")
    result |= {f"{name}_{key}": value for key, value in found.items()}
    result[f"{name}_kept_of_row_steps"] = kept
  speed = lambda name: result[f"{name}_answers_per_second"]
  result["refilled_over_whole"] = speed("refilled") / speed("whole")
  result["lazy_over_full"] = speed("lazy") / speed("refilled")
  result["scored_per_token"] = sum(
    answer.num_scored for (answer,) in answers["lazy"]
  ) / sum(lengths)
  tokens = {
    name: [answer.tokens for (answer,) in groups]
    for name, groups in answers.items()
  }
  same = [
    np.array_equal(*pair)
    for name in ("whole", "lazy")
    for pair in zip(tokens["refilled"], tokens[name], strict=True)
  ]
  result["same_answers"] = statistics.mean(same)
  measure.show(result)


def _requests() -> tuple[list[generate.Request], str]:
  """Prompts of 16 to 32 tokens, each with its own number of tokens to write."""
  rng = np.random.default_rng(0)
  lengths, source = gsm8k_lengths.load(_PROMPTS.value, fields=("answer",))
  return [
    generate.Request(
      rng.integers(3, 500, rng.integers(16, 33)).tolist(),
      [i],
      steps.ETA,
      max_new_tokens=int(length),
    )
    for i, length in enumerate(lengths)
  ], source


def _measure(run) -> tuple[list, dict]:
  """Answers, and how many a second; steps are counted in the run that compiles.

  Later runs are timed without the counting.
  """
  meter = _Meter()
  with unittest.mock.patch.object(decode, "decode", meter):
    answers = run()
  seconds = measure.timed(run, _REPEATS.value)
  return answers, {
    "answers_per_second": _PROMPTS.value / statistics.median(seconds),
    "spread": max(seconds) / min(seconds) - 1,
    "row_steps": meter.row_steps,
  }


if __name__ == "__main__":
  app.run(main)

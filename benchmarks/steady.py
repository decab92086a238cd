r"""How fast is a decode step, unguided, guided and lazy, without any prefill?

  python -m benchmarks.steady --pair=8b_1b --dtype=bfloat16 --batches=8,64,1

Random weights, made on the device; caches already hold a prompt. All programs
are compiled first, side by side. Then each way to decode at each batch gives
one line of JSON as soon as it is measured: tokens a second, and the share of
the floor (benchmarks/floors.py) of what a step scores at least, at rates
measured in the same run. Lazy decoding is measured with values around a success
of 0.5 and, `sharp`, of a reference whose logits are larger, so that most tokens
are nearly certain, as a trained model's are. With --profile=DIR the kernels of
a guided step at the first batch that take longest are listed, and the trace is
left in DIR.
"""

import concurrent.futures
import dataclasses
import json
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks import ceilings, floors, kernels, measure, pairs, steps
from qsharp_jax import generate
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import decode
from qsharp_jax.generate import state as state_lib
from qsharp_jax.models import cache as cache_lib

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Model pair.")
_BATCHES = flags.DEFINE_list("batches", ["8", "64", "1"], "Rows, one by one.")
_PROMPT = flags.DEFINE_integer("prompt", 64, "Tokens already in the caches.")
_NEW = flags.DEFINE_integer("new", 128, "Tokens of a row in one timed run.")
_CANDIDATES = flags.DEFINE_integer("candidates", 20, "Tokens that get values.")
_SCORED = flags.DEFINE_integer("scored", 4, "Candidates scored at first.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed runs; medians are shown.")
_PROFILE = flags.DEFINE_string("profile", None, "Directory of a trace.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)
_SHARPNESS = 12.0  # of the logits of `sharp`
_SPARE = 64  # turns in which a row may wait
_PROFILED_STEPS = 8

# Weights, the state, how many rows to finish: the state then.
Run = Callable[[PyTree, state_lib.DecodeState, np.int32], state_lib.DecodeState]


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  configs = tuple(
    pairs.with_dtype(c, _DTYPE.value) for c in pairs.PAIRS[_PAIR.value]
  )
  rates = ceilings.measure(_DTYPE.value)
  show = lambda entry: print(json.dumps(entry), flush=True)
  show(
    measure.describe("flax")
    | {
      "pair": _PAIR.value,
      "dtype": _DTYPE.value,
      "prompt": _PROMPT.value,
      "new": _NEW.value,
      "candidates": _CANDIDATES.value,
      "scored": _SCORED.value,
      "bytes_per_second": rates.bytes_per_second,
      "flops_per_second": rates.flops_per_second,
    }
  )
  guided = steps.make_policy(configs, _CANDIDATES.value)
  policies = {
    "guided": guided,
    "lazy": dataclasses.replace(guided, num_scored=_SCORED.value),
    "unguided": generate.Policy(guided.reference, guided.eos_ids),
  }
  batches = [int(x) for x in _BATCHES.value]
  params = steps.weights(guided)
  started = time.perf_counter()
  with concurrent.futures.ThreadPoolExecutor() as pool:
    waiting = _compiling(pool, policies, params, batches)
    weighted = _weighted(guided, params)
    compiled = {key: entry.result() for key, entry in waiting.items()}
  show({"compile_seconds": time.perf_counter() - started})
  if _PROFILE.value:
    _profile(compiled["guided", batches[0]], guided, params, batches[0])
  for batch in batches:
    for what, (kind, weights) in weighted.items():
      found = _measured(compiled[kind, batch], policies[kind], weights, batch)
      least = _floor(configs, rates, policies[kind], batch)
      share = least * found["tokens_per_second"] / batch
      show({"batch": batch, "what": what} | found | {"share_of_floor": share})


def _weighted(
  policy: generate.Policy, params: PyTree
) -> dict[str, tuple[str, PyTree]]:
  """By name: which program decodes, and with which weights."""
  even = steps.valued(policy, params, 0.5)
  return {
    "guided": ("guided", even),
    "lazy": ("lazy", even),
    "lazy_sharp": ("lazy", steps.sharpened(even, _SHARPNESS)),
    "unguided": ("unguided", {"reference": params["reference"]}),
  }


def _compiling(
  pool: concurrent.futures.Executor,
  policies: dict[str, generate.Policy],
  params: PyTree,
  batches: list[int],
) -> dict[tuple[str, int], concurrent.futures.Future]:
  """The loops of all policies, soon, by name and batch."""
  prompt = steps.prompts(1, _PROMPT.value)
  waiting = {}
  for name, policy in policies.items():
    own = {model: params[model] for model in policy.decoders}
    # Only to have it compiled, too.
    waiting[name, 0] = pool.submit(_prefill, policy, own, *prompt, 1)
    for batch in batches:
      lowered = decode.decode.lower(
        policy, own, _shapes(policy, own, batch), np.int32(batch)
      )
      waiting[name, batch] = pool.submit(lowered.compile)
  return waiting


def _floor(configs, rates, policy: generate.Policy, batch: int) -> float:
  """Least seconds of a step that scores the first candidates of each row."""
  floor = floors.step_seconds(
    configs,
    rates,
    rows=batch,
    num_candidates=policy.num_leaves,
    context=_PROMPT.value + _NEW.value / 2,
  )
  return floor["unguided" if policy.value is None else "guided"]


def _measured(
  run: Run, policy: generate.Policy, params: PyTree, batch: int
) -> dict:
  """Tokens a second of all rows, from the first turn to their last token."""
  state = _begun(policy, params, batch)
  last = [state]

  def loop(state: state_lib.DecodeState) -> state_lib.DecodeState:
    last[0] = run(params, state, np.int32(batch))
    return last[0]

  seconds, spread = steps.seconds_per_step(
    loop, state, _NEW.value, _REPEATS.value
  )
  if not np.asarray(last[0].finished).all():
    raise RuntimeError(
      f"rows waited in more than the {_SPARE} turns that the caches have room "
      "for: score more at first (--scored)"
    )
  num_tokens = batch * _NEW.value
  found = {"step_ms": 1e3 * seconds, "spread": spread}
  if policy.value is not None:
    found["scored_per_token"] = int(last[0].scored.sum()) / num_tokens
    found["turns_per_token"] = int(last[0].turns.sum()) / num_tokens
  return found | {"tokens_per_second": batch / seconds}


def _shapes(
  policy: generate.Policy, params: PyTree, batch: int
) -> state_lib.DecodeState:
  """Of the state after a prefill."""
  tokens, positions = steps.prompts(batch, _PROMPT.value)
  return jax.eval_shape(
    lambda params: _prefill(policy, params, tokens, positions, batch), params
  )


def _prefill(
  policy: generate.Policy,
  params: PyTree,
  tokens: np.ndarray,
  positions: np.ndarray,
  batch: int,
) -> state_lib.DecodeState:
  spare = _SPARE if policy.is_lazy else 0
  return state_lib.prefill(
    policy,
    params,
    tokens,
    positions,
    steps.controls([steps.ETA] * batch, _NEW.value),
    num_slots=_PROMPT.value - 1 + _NEW.value + spare,
    num_new_tokens=_NEW.value,
  )


def _begun(
  policy: generate.Policy, params: PyTree, batch: int
) -> state_lib.DecodeState:
  """As after a prefill of the same prompt in every row."""
  tokens, positions = steps.prompts(1, _PROMPT.value)
  read = _prefill(policy, params, tokens, positions, 1)
  num_slots = read.caches["reference"].positions.shape[1]
  wide = lambda cache: cache_lib.grow(cache_lib.repeat(cache, batch), num_slots)
  return jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), _shapes(policy, params, batch)
  ).replace(
    caches=cache_lib.each(wide, read.caches),
    controls=steps.controls([steps.ETA] * batch, _NEW.value),
    newest=jnp.repeat(read.newest, batch),
    position=jnp.repeat(read.position, batch),
  )


def _profile(
  run: Run, policy: generate.Policy, params: PyTree, batch: int
) -> None:
  """Prints the kernels that take longest."""
  state = _begun(policy, params, batch)
  # The same program: limits are traced.
  few = state.controls.replace(
    max_new_tokens=jnp.full(batch, _PROFILED_STEPS, jnp.int32)
  )
  state = state.replace(controls=few)
  jax.block_until_ready(state)
  kernels.show(
    _PROFILE.value,
    lambda: run(params, state, np.int32(batch)),
    steps=_PROFILED_STEPS,
  )


if __name__ == "__main__":
  app.run(main)

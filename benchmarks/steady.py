r"""How fast is one decode step, unguided and guided, without any prefill?

  python -m benchmarks.steady --pair=8b_1b --dtype=bfloat16 --batches=8,64,1

Random weights, made on the device; caches already hold random keys and values
of a prompt. Each batch gives one line of JSON as soon as it is measured: tokens
a second, and the share of the floor (benchmarks/floors.py) at rates measured in
the same run. With --profile=DIR the kernels of a guided step at the first batch
that take longest are listed, and the trace is left in DIR.
"""

import collections
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks import ceilings, floors, measure, pairs, steps
from qsharp_jax import generate, models
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import decode
from qsharp_jax.generate import state as state_lib
from qsharp_jax.models import cache as cache_lib

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Model pair.")
_BATCHES = flags.DEFINE_list("batches", ["8", "64", "1"], "Rows, one by one.")
_PROMPT = flags.DEFINE_integer("prompt", 64, "Tokens already in the caches.")
_NEW = flags.DEFINE_integer("new", 128, "Decode steps of one timed run.")
_CANDIDATES = flags.DEFINE_list("candidates", ["20"], "Tokens that get values.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed runs; medians are shown.")
_PROFILE = flags.DEFINE_string("profile", None, "Directory of a trace.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)
_PROFILED_STEPS = 8
_LONGEST = 10


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  configs = tuple(
    pairs.with_dtype(c, _DTYPE.value) for c in pairs.PAIRS[_PAIR.value]
  )
  rates = ceilings.measure(_DTYPE.value)
  print(
    json.dumps(
      measure.describe("flax")
      | {
        "pair": _PAIR.value,
        "dtype": _DTYPE.value,
        "prompt": _PROMPT.value,
        "new": _NEW.value,
        "bytes_per_second": rates.bytes_per_second,
        "copied_bytes_per_second": ceilings.copied_bytes_per_second(),
        "flops_per_second": rates.flops_per_second,
      }
    ),
    flush=True,
  )
  params = steps.weights(steps.make_policy(configs, 1))
  for i, batch in enumerate(map(int, _BATCHES.value)):
    for num in map(int, _CANDIDATES.value):
      guided = steps.make_policy(configs, num)
      found = _beside_floor("guided", guided, params, configs, rates, batch)
      print(json.dumps(found | {"candidates": num}), flush=True)
      if _PROFILE.value and i == 0 and num == int(_CANDIDATES.value[0]):
        _profile(guided, params, batch)
    plain = generate.Policy(models.LanguageModel(configs[0]), guided.eos_ids)
    found = _beside_floor("unguided", plain, params, configs, rates, batch)
    print(json.dumps(found), flush=True)


def _beside_floor(name, policy, params, configs, rates, batch: int) -> dict:
  """Tokens a second, and the floor's seconds over those of a step."""
  state = _begun(policy, params, batch)
  run = lambda state: decode.decode(policy, params, state, np.int32(batch))
  seconds, spread = steps.seconds_per_step(
    run, state, _NEW.value, _REPEATS.value
  )
  floor = floors.step_seconds(
    configs,
    rates,
    rows=batch,
    num_candidates=policy.num_candidates,
    context=_PROMPT.value + _NEW.value / 2,
  )[name]
  return {
    "batch": batch,
    "what": name,
    "step_ms": 1e3 * seconds,
    "spread": spread,
    "tokens_per_second": batch / seconds,
    "share_of_floor": floor / seconds,
  }


def _begun(
  policy: generate.Policy, params: PyTree, batch: int
) -> state_lib.DecodeState:
  """As after a prefill, of random keys and values: nothing is compiled."""
  tokens, positions = steps.prompts(batch, _PROMPT.value)
  controls = steps.controls([steps.ETA] * batch, _NEW.value)
  num_slots = _PROMPT.value - 1 + _NEW.value
  state = jax.eval_shape(
    lambda params: state_lib.prefill(
      policy,
      params,
      tokens,
      positions,
      controls,
      num_slots=num_slots,
      num_new_tokens=_NEW.value,
    ),
    params,
  )
  empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)
  return empty.replace(
    caches=cache_lib.each(_filled, state.caches),
    controls=controls,
    newest=jnp.asarray(tokens[:, -1]),
    position=jnp.asarray(positions[:, -1]),
  )


def _filled(cache: cache_lib.KVCache) -> cache_lib.KVCache:
  """A cache of that shape that has read all but the last prompt token."""
  past = _PROMPT.value - 1
  keys = iter(jax.random.split(jax.random.key(0), 2 * len(cache.keys)))
  draw = lambda x: jax.random.normal(next(keys), x.shape, x.dtype)
  places = jnp.arange(cache.positions.shape[1])
  return cache_lib.KVCache(
    keys=tuple(map(draw, cache.keys)),
    values=tuple(map(draw, cache.values)),
    positions=jnp.broadcast_to(
      jnp.where(places < past, places, -1), cache.positions.shape
    ).astype(jnp.int32),
    index=jnp.int32(past),
  )


def _profile(policy: generate.Policy, params: PyTree, batch: int) -> None:
  """Prints the kernels that take longest, in microseconds a step."""
  state = _begun(policy, params, batch)
  # The same program: limits are traced.
  few = state.controls.replace(
    max_new_tokens=jnp.full(batch, _PROFILED_STEPS, jnp.int32)
  )
  state = state.replace(controls=few)
  jax.block_until_ready(state)
  with jax.profiler.trace(_PROFILE.value):
    jax.block_until_ready(decode.decode(policy, params, state, np.int32(batch)))
  for name, microseconds, calls in _longest(_PROFILE.value):
    print(f"{microseconds:10.1f} us {calls:7.1f} calls  {name}")


def _longest(directory: str) -> list[tuple[str, float, float]]:
  """Names, microseconds and calls, per step, of the longest kernels."""
  path = max(pathlib.Path(directory).rglob("*.xplane.pb"))
  planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
  on_device = [p for p in planes if p.name.startswith("/device:GPU")]
  spent, calls = collections.Counter(), collections.Counter()
  for plane in on_device or planes:
    for line in plane.lines:
      if on_device and not line.name.startswith("Stream"):
        continue  # the same time again, by module and by operation
      for event in line.events:
        spent[event.name[:100]] += event.duration_ns / 1e3 / _PROFILED_STEPS
        calls[event.name[:100]] += 1 / _PROFILED_STEPS
  spent["all together"] = sum(spent.values())
  calls["all together"] = sum(calls.values())
  return [(n, t, calls[n]) for n, t in spent.most_common(_LONGEST + 1)]


if __name__ == "__main__":
  app.run(main)

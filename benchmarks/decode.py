r"""How fast is decoding, guided and not, beside its floor and beside PyTorch?

  python -m benchmarks.decode --pair=129m_40m --batch=8

Prompt 64 tokens, 128 new tokens, 20 candidates, random weights, the same in
both frameworks; every time is that of the whole call, prefill included. The
floor (benchmarks/floors.py) is that of the new tokens alone.

Lazy decoding draws the tokens of full decoding from fewer scores; how many
depends on the values, so it is run with values around a success of 0.5, 0.1 and
0.9 (`lazy`, `lazy_p10`, `lazy_p90`). The next token of a random reference is
nearly anything: lazy decoding's worst case. `sharp` multiplies its logits so
that most tokens are nearly certain, as a language model's are. All runs take
turns. Prints a table and one line of JSON.
"""

import dataclasses
import functools
import statistics
import tempfile

import jax
import numpy as np
from absl import app, flags

from benchmarks import ceilings, floors, measure, pairs, steps
from qsharp_jax import generate
from qsharp_jax.checkpoint import saving

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Model pair.")
_BATCH = flags.DEFINE_integer("batch", 8, "Prompts decoded together.")
_PROMPT = flags.DEFINE_integer("prompt", 64, "Prompt length in tokens.")
_NEW = flags.DEFINE_integer("new", 128, "New tokens of each prompt.")
_CANDIDATES = flags.DEFINE_integer("candidates", 20, "Tokens that get values.")
_SCORED = flags.DEFINE_integer("scored", 4, "Candidates scored in a turn.")
_SHARPNESS = flags.DEFINE_float("sharpness", 12.0, "Of the logits of `sharp`.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed runs; medians are shown.")
_TORCH_REPEATS = flags.DEFINE_integer("torch_repeats", 2, "Beside PyTorch.")
_TORCH = flags.DEFINE_bool("torch", True, "Also run the PyTorch versions.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)
_FEW = 4  # new tokens that warm PyTorch up
_STATIC = {
  "torch_static_unguided": False,
  "torch_static_one_pass": True,
}


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  configs = tuple(
    pairs.with_dtype(c, _DTYPE.value) for c in pairs.PAIRS[_PAIR.value]
  )
  rates = ceilings.measure(_DTYPE.value)
  policy = steps.make_policy(configs, _CANDIDATES.value)
  params = steps.weights(policy)
  result = measure.describe("flax") | {
    "pair": _PAIR.value,
    "batch": _BATCH.value,
    "prompt": _PROMPT.value,
    "new": _NEW.value,
    "candidates": _CANDIDATES.value,
    "scored": _SCORED.value,
    "dtype": _DTYPE.value,
    "repeats": _REPEATS.value,
    "bytes_per_second": rates.bytes_per_second,
    "flops_per_second": rates.flops_per_second,
  }
  runs = _runs(policy, params)
  result |= _needed(runs)
  seconds = measure.in_turns(runs, _REPEATS.value)
  result |= _speeds(seconds)
  for name in runs:
    if name.startswith("lazy"):
      suffix = name.removeprefix("lazy")
      result[f"lazy_over_full{suffix}"] = _over(seconds, name, "guided")
  result |= _beside_floors(configs, rates, result)
  if _TORCH.value:
    valued = steps.valued(policy, params, 0.5)
    result |= _beside_torch(policy, valued, runs)
  measure.show(result)


def _runs(policy: generate.Policy, params) -> dict:
  """Ways to decode, by name, ready to call."""
  plain = generate.Policy(policy.reference, policy.eos_ids)
  lazy = dataclasses.replace(policy, num_scored=_SCORED.value)
  even = steps.valued(policy, params, 0.5)
  sharp = steps.sharpened(even, _SHARPNESS.value)
  decode = lambda who, params: functools.partial(_decode, who, params)
  return {
    "unguided": decode(plain, params),
    "guided": decode(policy, even),
    "lazy": decode(lazy, even),
    "lazy_p10": decode(lazy, steps.valued(policy, params, 0.1)),
    "lazy_p90": decode(lazy, steps.valued(policy, params, 0.9)),
    "lazy_sharp": decode(lazy, sharp),
  }


def _decode(policy: generate.Policy, params) -> list[generate.Completion]:
  tokens, _ = steps.prompts(_BATCH.value, _PROMPT.value)
  requests = [
    generate.Request(prompt.tolist(), [i], steps.ETA)
    for i, prompt in enumerate(tokens)
  ]
  sampling = generate.Sampling(
    max_new_tokens=_NEW.value, batch_size=_BATCH.value, prompt_bucket=64
  )
  groups = generate.generate(policy, params, requests, sampling)
  return [completion for (completion,) in groups]


def _scores(completions: list[generate.Completion]) -> dict:
  """What lazy decoding needed."""
  num = sum(len(c.tokens) for c in completions)
  # Two models read every prompt once, and a token or more of it in each turn.
  turns = sum(c.num_forwards // 2 - 1 for c in completions)
  return {
    "scored_per_token": sum(c.num_scored for c in completions) / num,
    "turns_per_token": turns / num,
  }


def _needed(runs: dict) -> dict:
  """What lazy runs scored; all runs are compiled by it."""
  found = {name: run() for name, run in runs.items()}
  needed = {}
  for name, completions in found.items():
    if name.startswith("lazy"):
      suffix = name.removeprefix("lazy")
      needed |= {
        f"{key}{suffix}": entry for key, entry in _scores(completions).items()
      }
  same = [
    np.array_equal(a.tokens, b.tokens)
    for a, b in zip(found["guided"], found["lazy"], strict=True)
  ]
  return needed | {"same_answers": statistics.mean(same)}


def _speeds(seconds: dict[str, list[float]]) -> dict:
  """New tokens a second of each run, and their spread."""
  found = {}
  for name, own in seconds.items():
    speed = _BATCH.value * _NEW.value / statistics.median(own)
    found[f"{name}_tokens_per_second"] = speed
    found[f"{name}_spread"] = max(own) / min(own) - 1
  return found


def _over(seconds: dict[str, list[float]], name: str, other: str) -> float:
  """How many times as fast one run is as another one: of turns, the median."""
  pairs_of = zip(seconds[name], seconds[other], strict=True)
  return statistics.median(slow / fast for fast, slow in pairs_of)


def _beside_floors(configs, rates: ceilings.Ceilings, found: dict) -> dict:
  """Time over floor, and what guidance costs over what it must cost."""
  least = lambda num_candidates: floors.step_seconds(
    configs,
    rates,
    rows=_BATCH.value,
    num_candidates=num_candidates,
    context=_PROMPT.value + _NEW.value / 2,
  )
  floor = least(_CANDIDATES.value) | {"lazy": least(_SCORED.value)["guided"]}
  speed = {name: _BATCH.value / seconds for name, seconds in floor.items()}
  over = {
    name: speed[name] / found[f"{name}_tokens_per_second"] for name in floor
  }
  return (
    {f"{name}_floor_tokens_per_second": x for name, x in speed.items()}
    | {f"{name}_over_floor": x for name, x in over.items()}
    | {"cost_of_guidance_over_floors": over["guided"] / over["unguided"]}
  )


def _beside_torch(policy: generate.Policy, params, ours: dict) -> dict:
  """The same in PyTorch, with the same weights and prompts, taking turns."""
  import torch

  from benchmarks.peers import torch_guided

  reference, value = _torch_models(policy, params)
  tokens, _ = steps.prompts(_BATCH.value, _PROMPT.value)
  prompts = torch.tensor(tokens, dtype=torch.long, device=reference.device)
  versions = functools.partial(
    torch_guided.versions,
    reference,
    value,
    prompts,
    eta=steps.ETA,
    num_candidates=_CANDIDATES.value,
  )
  for run in versions(num_new_tokens=_FEW).values():
    run()
  mine = {name: ours[name] for name in ("unguided", "guided", "lazy")}
  eager = measure.in_turns(
    versions(num_new_tokens=_NEW.value) | mine, _TORCH_REPEATS.value
  )
  # Eager first; the processes that compile for PyTorch would slow the others.
  static = measure.in_turns(
    _static_versions(reference, value, prompts) | mine, _TORCH_REPEATS.value
  )
  peers = {
    name: seconds
    for name, seconds in (eager | static).items()
    if name.startswith("torch")
  }
  found = _speeds(peers)
  for name in ("guided", "lazy"):
    two = _over(eager, name, "torch_two_pass")
    generated = min(two, _over(eager, name, "torch_one_pass"))
    best = min(generated, _over(static, name, "torch_static_one_pass"))
    found[f"{name}_over_torch_two_pass"] = two
    found[f"{name}_over_torch_generate"] = generated
    found[f"{name}_over_torch_best"] = best
  found["unguided_over_torch"] = min(
    _over(eager, "unguided", "torch_unguided"),
    _over(static, "unguided", "torch_static_unguided"),
  )
  return found


def _static_versions(reference, value, prompts) -> dict:
  """Static caches and a compiled step, by name, ready to call."""
  from benchmarks.peers import torch_static

  on_gpu = reference.device.type == "cuda"
  found = {}
  for name, is_guided in _STATIC.items():
    decoder = torch_static.StaticDecoder(
      reference,
      value if is_guided else None,
      batch=_BATCH.value,
      max_length=_PROMPT.value + _NEW.value,
      eta=steps.ETA,
      num_candidates=_CANDIDATES.value,
      compile_mode="reduce-overhead" if on_gpu else "default",
    )
    decoder(prompts, num_new_tokens=min(_FEW, _NEW.value))
    found[name] = functools.partial(decoder, prompts, num_new_tokens=_NEW.value)
  return found


def _torch_models(policy: generate.Policy, params):
  """The same two models as transformers loads them."""
  import torch
  import transformers

  device = "cuda" if jax.default_backend() == "gpu" else "cpu"
  with tempfile.TemporaryDirectory() as folder:
    saving.save_language_model(
      f"{folder}/r", policy.reference.config, params["reference"], "llama"
    )
    saving.save_value_model(
      f"{folder}/v",
      policy.value.config,
      policy.value.head,
      params["value"],
      "llama",
    )
    load = lambda kind, name: (
      kind.from_pretrained(
        f"{folder}/{name}", dtype=getattr(torch, _DTYPE.value)
      )
      .to(device)
      .eval()
    )
    return (
      load(transformers.AutoModelForCausalLM, "r"),
      load(transformers.AutoModelForSequenceClassification, "v"),
    )


if __name__ == "__main__":
  app.run(main)

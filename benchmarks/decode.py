r"""How fast is decoding, guided and not, beside its floor and beside PyTorch?

  python -m benchmarks.decode --pair=129m_40m --batch=8

Prompt 64 tokens, 128 new tokens, 20 candidates, random weights, the same in
both frameworks; every time is that of the whole call, prefill included. The
floor (benchmarks/floors.py) is that of the new tokens alone. Prints a table and
one line of JSON.
"""

import functools
import tempfile

import jax
from absl import app, flags

from benchmarks import ceilings, floors, measure, pairs, steps
from qsharp_jax import generate
from qsharp_jax.checkpoint import huggingface

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Model pair.")
_BATCH = flags.DEFINE_integer("batch", 8, "Prompts decoded together.")
_PROMPT = flags.DEFINE_integer("prompt", 64, "Prompt length in tokens.")
_NEW = flags.DEFINE_integer("new", 128, "New tokens of each prompt.")
_CANDIDATES = flags.DEFINE_integer("candidates", 20, "Tokens that get values.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs; medians are shown.")
_TORCH = flags.DEFINE_bool("torch", True, "Also run the PyTorch versions.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)
# Eager first; the processes that compile for PyTorch would slow the others.
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
    "dtype": _DTYPE.value,
    "repeats": _REPEATS.value,
    "bytes_per_second": rates.bytes_per_second,
    "flops_per_second": rates.flops_per_second,
  }
  result |= _ours(policy, params)
  result |= _beside_floors(configs, rates, result)
  if _TORCH.value:
    result |= _peers(policy, params, result)
  measure.show(result)


def _ours(policy: generate.Policy, params) -> dict:
  """Tokens a second of this project."""
  plain = generate.Policy(policy.reference, policy.eos_ids)
  found = {}
  for name, who in (("unguided", plain), ("guided", policy)):
    found |= _speed(name, functools.partial(_decode, who, params))
  return found


def _decode(policy: generate.Policy, params) -> None:
  tokens, _ = steps.prompts(_BATCH.value, _PROMPT.value)
  requests = [
    generate.Request(prompt.tolist(), [i], steps.ETA)
    for i, prompt in enumerate(tokens)
  ]
  sampling = generate.Sampling(
    max_new_tokens=_NEW.value, batch_size=_BATCH.value, prompt_bucket=64
  )
  list(generate.generate(policy, params, requests, sampling))


def _speed(name: str, run) -> dict:
  """New tokens a second of `run`, and their spread."""
  seconds, spread = measure.median_seconds(run, _REPEATS.value)
  return {
    f"{name}_tokens_per_second": _BATCH.value * _NEW.value / seconds,
    f"{name}_spread": spread,
  }


def _beside_floors(configs, rates: ceilings.Ceilings, ours: dict) -> dict:
  """Time over floor, and what guidance costs over what it must cost."""
  least = floors.step_seconds(
    configs,
    rates,
    rows=_BATCH.value,
    num_candidates=_CANDIDATES.value,
    context=_PROMPT.value + _NEW.value / 2,
  )
  over = {
    name: _BATCH.value / ours[f"{name}_tokens_per_second"] / least[name]
    for name in ("unguided", "guided")
  }
  return {
    "unguided_floor_tokens_per_second": _BATCH.value / least["unguided"],
    "guided_floor_tokens_per_second": _BATCH.value / least["guided"],
    "unguided_over_floor": over["unguided"],
    "guided_over_floor": over["guided"],
    "cost_of_guidance_over_floors": over["guided"] / over["unguided"],
  }


def _peers(policy: generate.Policy, params, ours: dict) -> dict:
  """The same in PyTorch, with the same weights and prompts."""
  import torch

  from benchmarks.peers import torch_guided

  reference, value = _torch_models(policy, params)
  tokens, _ = steps.prompts(_BATCH.value, _PROMPT.value)
  prompts = torch.tensor(tokens, dtype=torch.long, device=reference.device)
  runs = torch_guided.versions(
    reference,
    value,
    prompts,
    eta=steps.ETA,
    num_candidates=_CANDIDATES.value,
    num_new_tokens=_NEW.value,
  )
  found = {}
  for name, run in runs.items():
    found |= _speed(name, run)
  found |= _static_peers(reference, value, prompts)
  speed = lambda name: found[f"{name}_tokens_per_second"]
  guided = ours["guided_tokens_per_second"]
  public = max(speed("torch_one_pass"), speed("torch_two_pass"))
  best = max(public, speed("torch_static_one_pass"))
  return found | {
    "guided_over_torch_two_pass": guided / speed("torch_two_pass"),
    "guided_over_torch_generate": guided / public,
    "guided_over_torch_best": guided / best,
    "unguided_over_torch": ours["unguided_tokens_per_second"]
    / max(speed("torch_unguided"), speed("torch_static_unguided")),
  }


def _static_peers(reference, value, prompts) -> dict:
  """Static caches and a compiled step."""
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
    run = functools.partial(decoder, prompts, num_new_tokens=_NEW.value)
    found |= _speed(name, run)
  return found


def _torch_models(policy: generate.Policy, params):
  """The same two models as transformers loads them."""
  import torch
  import transformers

  device = "cuda" if jax.default_backend() == "gpu" else "cpu"
  with tempfile.TemporaryDirectory() as folder:
    huggingface.save_language_model(
      f"{folder}/r", policy.reference.config, params["reference"], "llama"
    )
    huggingface.save_value_model(
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

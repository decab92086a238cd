r"""How fast is decoding, guided and not, beside its floor and beside PyTorch?

  python -m benchmarks.decode --pair=129m_40m --batch=8

Prompt 64 tokens, 128 new tokens, 20 candidates, random weights, the same in
both frameworks. The floor of a step is, for each of the two models, the longer
of reading its weights once and of multiplying its tokens, at rates measured in
the same run. Prints a table and one line of JSON.
"""

import functools
import json
import platform
import statistics
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from flax import linen as nn

from benchmarks import ceilings as ceilings_lib
from benchmarks import pairs
from qsharp_jax import generate, models
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.generate import batching
from qsharp_jax.ops import guidance

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
_ETA = 0.1
_NO_END = 1 << 30  # an end token that never comes: all rows run to the limit


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  reference, value = _models()
  params = {
    "reference": _weights(reference, 0),
    "value": _weights(value, 1),
  }
  rates = ceilings_lib.measure(_DTYPE.value)
  result = {
    "device": jax.devices()[0].device_kind,
    "versions": {"jax": jax.__version__, "python": platform.python_version()},
    "pair": _PAIR.value,
    "batch": _BATCH.value,
    "dtype": _DTYPE.value,
  }
  result |= _ours(reference, value, params)
  if _TORCH.value:
    result |= _peers(reference, value, params, result)
  result |= _floors(reference.config, value.config, rates, result)
  for name, number in result.items():
    print(f"{name:40} {number}")
  print(json.dumps(result))


def _models() -> tuple[models.LanguageModel, models.ValueModel]:
  reference, value = pairs.PAIRS[_PAIR.value]
  cast = lambda c: pairs.with_dtype(c, _DTYPE.value)
  return models.LanguageModel(cast(reference)), models.ValueModel(
    cast(value), models.HeadConfig("v", 1)
  )


def _weights(model: nn.Module, seed: int):
  """Random weights, made on the device."""
  one = jnp.zeros((1, 1), jnp.int32)
  init = lambda key: nn.unbox(model.init(key, one, one))
  return jax.jit(init)(jax.random.key(seed))


def _prompts() -> np.ndarray:
  shape = (_BATCH.value, _PROMPT.value)
  return np.random.default_rng(0).integers(3, 500, shape)


def _ours(reference, value, params) -> dict:
  """Tokens a second of this project."""
  weigh = lambda logits, eta: guidance.qsharp_bernoulli(logits[..., 0], eta=eta)
  plain = generate.Policy(reference, (_NO_END,))
  guided = generate.Policy(
    reference, (_NO_END,), value, weigh, _CANDIDATES.value
  )
  found = {}
  for name, policy in (("unguided", plain), ("guided", guided)):
    speeds = _speeds(functools.partial(_decode, policy, params))
    found[f"{name}_tokens_per_second"] = statistics.median(speeds)
    found[f"{name}_spread"] = max(speeds) / min(speeds) - 1
  return found


def _decode(policy: generate.Policy, params) -> None:
  requests = [
    generate.Request(prompt.tolist(), [i], _ETA)
    for i, prompt in enumerate(_prompts())
  ]
  sampling = generate.Sampling(
    max_new_tokens=_NEW.value, batch_size=_BATCH.value, prompt_bucket=64
  )
  list(batching.generate(policy, params, requests, sampling))


def _speeds(run) -> list[float]:
  """New tokens a second of `run`, after one run to compile."""
  run()
  speeds = []
  for _ in range(_REPEATS.value):
    started = time.perf_counter()
    run()
    seconds = time.perf_counter() - started
    speeds.append(_BATCH.value * _NEW.value / seconds)
  return speeds


def _peers(reference, value, params, ours: dict) -> dict:
  """The same in PyTorch, with the same weights and prompts."""
  import torch
  import transformers

  from benchmarks.peers import torch_guided

  with tempfile.TemporaryDirectory() as folder:
    huggingface.save_language_model(
      f"{folder}/r", reference.config, params["reference"], "llama"
    )
    huggingface.save_value_model(
      f"{folder}/v", value.config, value.head, params["value"], "llama"
    )
    dtype = getattr(torch, _DTYPE.value)
    load = lambda kind, name: kind.from_pretrained(
      f"{folder}/{name}", dtype=dtype
    ).eval()
    torch_reference = load(transformers.AutoModelForCausalLM, "r")
    torch_value = load(transformers.AutoModelForSequenceClassification, "v")
  guides = {
    "unguided": None,
    "two_pass": torch_guided.TwoPassGuide,
    "one_pass": torch_guided.OnePassGuide,
  }
  found = {}
  for name, guide in guides.items():
    make = guide and functools.partial(
      guide, torch_value, eta=_ETA, num_candidates=_CANDIDATES.value
    )
    run = functools.partial(
      torch_guided.decode,
      torch_reference,
      torch.tensor(_prompts()),
      num_new_tokens=_NEW.value,
      make_guide=make,
    )
    found[f"torch_{name}"] = statistics.median(_speeds(run))
  best = max(found["torch_two_pass"], found["torch_one_pass"])
  guided = ours["guided_tokens_per_second"]
  return found | {
    "guided_over_torch_two_pass": guided / found["torch_two_pass"],
    "guided_over_torch_best": guided / best,
  }


def _floors(reference, value, rates: ceilings_lib.Ceilings, ours: dict) -> dict:
  """Least seconds of the new tokens, and how near we come."""
  rows = _BATCH.value
  base = _seconds(
    pairs.num_parameters(reference, with_output=True), rows, rates
  )
  extra = _seconds(
    pairs.num_parameters(value, with_output=False),
    rows * (1 + _CANDIDATES.value),
    rates,
  )
  guided, unguided = rows / (base + extra), rows / base
  return {
    "bytes_per_second": rates.bytes_per_second,
    "flops_per_second": rates.flops_per_second,
    "unguided_over_floor": unguided / ours["unguided_tokens_per_second"],
    "guided_over_floor": guided / ours["guided_tokens_per_second"],
  }


def _seconds(num_params: int, tokens: int, rates) -> float:
  """Floor of one forward pass: weights read once, every token multiplied."""
  size = jnp.dtype(_DTYPE.value).itemsize
  return max(
    num_params * size / rates.bytes_per_second,
    2 * num_params * tokens / rates.flops_per_second,
  )


if __name__ == "__main__":
  app.run(main)

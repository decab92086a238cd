r"""How fast does PyTorch decode, guided and not? In a process of its own.

  python -m benchmarks.torch_decode --pair=8b_1b --dtype=bfloat16 --batch=8

What `benchmarks.decode` shows beside this project, for models of which the
device has no room for two copies. Random weights, made on the device; prefill
included. One line of JSON after each version: `generate` of transformers
unguided, with the candidates in a second pass, in the same pass; and, with
--static, static caches and a compiled step.
"""

import functools
import importlib.metadata
import json
import statistics
import time

import torch
import transformers
from absl import app, flags

from benchmarks import pairs
from benchmarks.peers import torch_guided
from qsharp_jax.checkpoint import families

_PAIR = flags.DEFINE_enum("pair", "tiny", list(pairs.PAIRS), "Model pair.")
_BATCH = flags.DEFINE_integer("batch", 8, "Prompts decoded together.")
_PROMPT = flags.DEFINE_integer("prompt", 64, "Prompt length in tokens.")
_NEW = flags.DEFINE_integer("new", 128, "New tokens of each prompt.")
_CANDIDATES = flags.DEFINE_integer("candidates", 20, "Tokens that get values.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Timed runs; medians are shown.")
_STATIC = flags.DEFINE_bool("static", True, "Also the compiled step.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of weights and activations."
)
_ETA = 0.1


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  reference, value = _models()
  prompts = torch.randint(3, 500, (_BATCH.value, _PROMPT.value))
  prompts = prompts.to(reference.device)
  runs = torch_guided.versions(
    reference,
    value,
    prompts,
    eta=_ETA,
    num_candidates=_CANDIDATES.value,
    num_new_tokens=_NEW.value,
  )
  for name, run in runs.items():
    _show(name, run)
  if _STATIC.value:
    _show("torch_static_one_pass", _static(reference, value, prompts))


def _models():
  """A language model and a sequence classifier of one label."""
  device = "cuda" if torch.cuda.is_available() else "cpu"
  reference, value = (
    transformers.LlamaConfig(**families.to_hf(config, "llama"), num_labels=1)
    for config in pairs.PAIRS[_PAIR.value]
  )
  make = lambda kind, config: kind.from_config(
    config, dtype=getattr(torch, _DTYPE.value)
  ).eval()
  with torch.device(device):
    return (
      make(transformers.AutoModelForCausalLM, reference),
      make(transformers.AutoModelForSequenceClassification, value),
    )


def _static(reference, value, prompts):
  from benchmarks.peers import torch_static

  on_gpu = reference.device.type == "cuda"
  decoder = torch_static.StaticDecoder(
    reference,
    value,
    batch=_BATCH.value,
    max_length=_PROMPT.value + _NEW.value,
    eta=_ETA,
    num_candidates=_CANDIDATES.value,
    compile_mode="reduce-overhead" if on_gpu else "default",
  )
  return functools.partial(decoder, prompts, num_new_tokens=_NEW.value)


def _show(name: str, run) -> None:
  """Prints new tokens a second of `run`, called once more before."""
  seconds = []
  for _ in range(_REPEATS.value + 1):
    started = time.perf_counter()
    run().cpu()  # waits for the device
    seconds.append(time.perf_counter() - started)
  median = statistics.median(seconds[1:])
  print(
    json.dumps(
      {
        "what": name,
        "batch": _BATCH.value,
        "candidates": _CANDIDATES.value,
        "tokens_per_second": _BATCH.value * _NEW.value / median,
        "spread": max(seconds[1:]) / min(seconds[1:]) - 1,
        "torch": torch.__version__,
        "transformers": importlib.metadata.version("transformers"),
      }
    ),
    flush=True,
  )


if __name__ == "__main__":
  app.run(main)

r"""Does lazy decoding draw the tokens of full decoding, whatever the model?

  python -m benchmarks.lazy

Random tiny models: every family, a window too, V-type values, every guidance
with a bound, 1, 2 or 4 candidates a turn, rows of eta from 0.02 to 10 and of
none, temperatures, top-p, switches, rows refilled. Each model decodes the same
requests scoring all candidates and lazily, with the same noise. --devices=8
cuts rows and weights over as many (fake) devices. Prints a line for each kind
of model, what differed, and one line of JSON.
"""

import dataclasses

import jax
import numpy as np
from absl import app, flags
from flax import linen as nn

from benchmarks import measure
from qsharp_jax import generate, models, sharding
from qsharp_jax.checkpoint import families
from qsharp_jax.generate import guided
from qsharp_jax.sharding import mesh as mesh_lib

_MODELS = flags.DEFINE_integer("models", 10, "Random models of each kind.")
_KINDS = flags.DEFINE_integer("kinds", 22, "Kinds of models.")
_DEVICES = flags.DEFINE_integer("devices", 1, "Fake devices of the CPU.")
_VOCAB, _NEW, _CONTEXT = 40, 12, 32
_SMALL = {
  "vocab_size": _VOCAB,
  "hidden_size": 32,
  "intermediate_size": 48,
  "num_hidden_layers": 1,
  "num_attention_heads": 4,
  "num_key_value_heads": 2,
  "max_position_embeddings": _CONTEXT,
}
_GPT2 = {
  "vocab_size": _VOCAB,
  "n_embd": 32,
  "n_layer": 1,
  "n_head": 4,
  "n_positions": _CONTEXT,
}
_NEOX = {k: v for k, v in _SMALL.items() if k != "num_key_value_heads"}
_GEMMA = {"head_dim": 8, "sliding_window": 6, "query_pre_attn_scalar": 8}
_FAMILIES = {
  "llama": ("llama", _SMALL),
  "gpt2": ("gpt2", _GPT2),
  "mistral": ("mistral", _SMALL | {"sliding_window": 6}),
  "qwen2": ("qwen2", _SMALL),
  "qwen3": ("qwen3", _SMALL | {"head_dim": 8}),
  "gpt_neox": ("gpt_neox", _NEOX),
  "gemma": ("gemma", _SMALL | {"head_dim": 8}),
  "gemma2": ("gemma2", _SMALL | _GEMMA),
  "gemma3": ("gemma3_text", _SMALL | _GEMMA),
  "olmo2": ("olmo2", _SMALL),
  "phi3": ("phi3", _SMALL | {"pad_token_id": 0}),
}
_ATOMS = (-0.5, 0.25, 1.0)
_SUCCESS = generate.Guidance("qsharp")
_GUIDANCE = {
  "qsharp": _SUCCESS,
  "qsharp_categorical": generate.Guidance("qsharp", "categorical", _ATOMS),
  "cd": generate.Guidance("cd"),
  "fudge": generate.Guidance("fudge"),
  "mixture": guided.mixture((_SUCCESS,) * 2, (0.5, 2.0)),
  "args": generate.Guidance("args", "categorical", _ATOMS),
}
_SCORED = (1, 2, 4)
_ROWS = 16  # of so many, one may wait for another turn


def main(argv: list[str]) -> None:
  """Compares and prints."""
  del argv
  found = measure.describe("flax") | {"devices": jax.device_count()}
  counts = {"models": 0, "answers": 0, "tokens": 0, "scored": 0, "turns": 0}
  differing = []
  for family, name, m in _kinds(_KINDS.value):
    policy = make_policy(family, name)
    for seed in range(_MODELS.value):
      one, wrong = compare(policy, m, seed)
      counts = {key: counts[key] + one[key] for key in counts}
      differing += [(family, name, m, seed, *each) for each in wrong]
    print(family, name, m, counts, f"{len(differing)} differ", flush=True)
  for each in differing:
    print("differs:", *each)
  found |= counts
  found["scored_per_token"] = found.pop("scored") / counts["tokens"]
  found["turns_per_token"] = found.pop("turns") / counts["tokens"]
  measure.show(found | {"differing": len(differing)})


def _kinds(num: int) -> list[tuple[str, str, int]]:
  """Families, guidances and numbers of leaves, each as often as the others."""
  names, guidances = list(_FAMILIES), list(_GUIDANCE)
  turn = lambda i: i + i // len(guidances)  # so that guidances meet every m
  return [
    (
      names[i % len(names)],
      guidances[i % len(guidances)],
      _SCORED[turn(i) % len(_SCORED)],
    )
    for i in range(num)
  ]


def make_policy(family: str, name: str) -> generate.Policy:
  """A small policy that scores all."""
  model_type, keys = _FAMILIES[family]
  config = families.from_hf({"model_type": model_type, **keys}, dtype="float32")
  how = _GUIDANCE[name]
  value = models.ValueModel(config, models.HeadConfig("v", how.num_logits))
  if name == "mixture":
    value = models.Several(((config, models.HeadConfig("v", 1)),) * 2)
  return generate.Policy(
    models.LanguageModel(config), (3, 17), value, how, num_candidates=8
  )


def compare(
  policy: generate.Policy, m: int, seed: int
) -> tuple[dict[str, int], list[tuple[int, int]]]:
  """Decodes both ways.

  Args:
    policy: that scores all.
    m: candidates that the other scores in a turn.
    seed: of the weights, the prompts and how they are sampled.

  Returns:
    Counts, and which answers differ: their number and the first token.
  """
  rng = np.random.default_rng(seed)
  params = _params(policy, seed)
  requests = _requests(rng)
  sampling = generate.Sampling(
    temperature=float(rng.choice([1.0, 0.7, 1.4])),
    top_p=float(rng.choice([1.0, 0.95, 0.7])),
    max_new_tokens=_NEW,
    batch_size=_ROWS,
    prompts_per_refill=_ROWS if _DEVICES.value > 1 else 2,
    prompt_bucket=8,
  )
  lazy = dataclasses.replace(policy, num_scored=m)
  full, found = (_run(x, params, requests, sampling) for x in (policy, lazy))
  wrong = [
    (i, int(np.argmin(a.tokens[:n] == b.tokens[:n])))
    for i, (a, b) in enumerate(zip(full, found, strict=True))
    if not np.array_equal(a.tokens, b.tokens)
    for n in [min(len(a.tokens), len(b.tokens))]
  ]
  num_models = sum(map(len, policy.decoders.values()))
  return {
    "models": 1,
    "answers": len(found),
    "tokens": sum(len(c.tokens) for c in found),
    "scored": sum(c.num_scored for c in found),
    "turns": sum(c.num_forwards // num_models - 1 for c in found),
  }, wrong


def _run(policy, params, requests, sampling) -> list[generate.Completion]:
  if _DEVICES.value == 1:
    groups = generate.generate(policy, params, requests, sampling)
    return [completion for (completion,) in groups]
  shape = (2, 2, _DEVICES.value // 4)
  layout = sharding.Layout(mesh_lib.make_mesh(shape))
  policy = dataclasses.replace(
    policy,
    reference=layout.sampling(policy.reference),
    value=_sampling(layout, policy.value),
  )
  with layout.context():
    places = {name: _places(layout, getattr(policy, name)) for name in params}
    placed = jax.device_put(params, places)
    groups = generate.generate(
      policy, placed, requests, sampling, place=layout.place
    )
    return [completion for (completion,) in groups]


def _sampling(layout: sharding.Layout, value):
  """The values as they sample on the devices."""
  if not isinstance(value, models.Several):
    return layout.sampling(value)
  members = [layout.sampling(models.ValueModel(*x)) for x in value.configs]
  return models.Several(tuple((x.config, x.head) for x in members))


def _places(layout: sharding.Layout, model):
  """Where its weights lie."""
  if not isinstance(model, models.Several):
    return layout.for_decoding(model)
  members = [layout.for_decoding(models.ValueModel(*x)) for x in model.configs]
  own = {f"members_{i}": x["params"] for i, x in enumerate(members)}
  return {"params": own}


def _requests(rng: np.random.Generator) -> list[generate.Request]:
  """Two for each row, of mixed lengths, etas and switches."""
  etas = [0.02, 10.0, np.inf, *10 ** rng.uniform(-1.7, 1, 2 * _ROWS - 3)]
  return [
    generate.Request(
      rng.integers(0, _VOCAB, rng.integers(1, 9)).tolist(),
      [int(rng.integers(2**31))],
      float(eta),
      guided_steps=[int(rng.integers(0, 2 * _NEW))],
    )
    for eta in etas
  ]


def _params(policy: generate.Policy, seed: int):
  """Random weights, for logits of order 3 in both models."""
  one = np.zeros((1, 1), np.int32)
  rng = np.random.default_rng(seed)

  def draw(path, x):
    name = path[-1].key
    noise = rng.normal(size=x.shape)
    if name == "scale":
      return (1 + 0.3 * noise).astype(x.dtype)
    size = {"unembedding": 0.6, "embedding": 0.5, "head": 0.5}.get(name, 0.2)
    return (size * noise).astype(x.dtype)

  def of(model):
    make = lambda: model.init(jax.random.key(0), one, one, method="prefill")
    shapes = nn.unbox(jax.eval_shape(make))
    return jax.tree_util.tree_map_with_path(draw, shapes)

  return {"reference": of(policy.reference), "value": of(policy.value)}


def _start(argv: list[str]) -> None:
  jax.config.update("jax_num_cpu_devices", _DEVICES.value)
  main(argv)


if __name__ == "__main__":
  app.run(_start)

"""Tiny random models that guide one another, and how they sample in tests.

All tests sample in the same sizes, so that they share compiled programs.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from oracles import decoders

from qsharp_jax import generate, models
from qsharp_jax.generate import reading
from qsharp_jax.generate import state as state_lib

VOCAB, CANDIDATES, EOS = 32, 5, (3, 17)
ATOMS = np.array([-0.5, 0.25, 1.0], np.float32)
CONFIG = models.DecoderConfig(
  vocab_size=VOCAB,
  width=24,
  num_layers=2,
  num_heads=4,
  num_kv_heads=2,
  head_width=4,
  mlp_width=32,
  max_length=40,
)
SAMPLING = generate.Sampling(
  temperature=0.7, top_p=0.8, max_new_tokens=10, batch_size=8, prompt_bucket=8
)


def sampling(**changes) -> generate.Sampling:
  return dataclasses.replace(SAMPLING, **changes)


def guidance(num_atoms: int = 1) -> generate.Guidance:
  """Q# by success, or by a distribution on `ATOMS`."""
  if num_atoms == 1:
    return generate.Guidance("qsharp")
  return generate.Guidance("qsharp", "categorical", tuple(ATOMS.tolist()))


def policy(kind: str | None, num_atoms: int = 1) -> generate.Policy:
  """Guided by values of the given head; with None the reference alone."""
  reference = models.LanguageModel(CONFIG)
  if kind is None:
    return generate.Policy(reference, EOS, top_p_of="guided")
  return generate.Policy(
    reference,
    EOS,
    models.ValueModel(CONFIG, models.HeadConfig(kind, num_atoms)),
    guidance(num_atoms),
    CANDIDATES,
    top_p_of="guided",  # what the oracle cuts
  )


@functools.cache
def params(kind: str | None, num_atoms: int = 1):
  """Parameters for logits of order 3 in both models."""
  players = policy(kind, num_atoms)
  trees = {"reference": decoders.params(players.reference, 2)}
  if players.value is not None:
    trees["value"] = decoders.params(players.value, 3)

  def louder(path, x):
    return (4 if path[-1].key in ("unembedding", "head") else 1) * x

  return jax.tree_util.tree_map_with_path(louder, jax.device_get(trees))


def prompts(lengths, seed: int = 0) -> list[list[int]]:
  rng = np.random.default_rng(seed)
  return [rng.integers(0, VOCAB, n).tolist() for n in lengths]


def requests(lengths=(5, 1, 8, 3), *, eta=0.2) -> list[generate.Request]:
  """Two samples of a prompt of each length."""
  return [
    generate.Request(prompt, [100 + i, 200 + i], eta)
    for i, prompt in enumerate(prompts(lengths))
  ]


def started(changed=lambda x: x, how=None, **sampling):
  """Two prompts, each sampled twice, read by a guided policy."""
  how = how or policy("q")
  wanted = requests((5, 3))
  tokens, positions = reading.right_align([r.prompt for r in wanted], bucket=8)
  controls = reading.make_controls(wanted, 2, 0, SAMPLING).replace(
    **{k: jnp.asarray(v) for k, v in sampling.items()}
  )
  return state_lib.prefill(
    how,
    params(how.value.head.kind),
    changed(tokens),
    positions,
    controls,
    num_slots=16,
    num_new_tokens=6,
  )


def run(kind, wanted, num_atoms: int = 1, place=jax.device_put, **changes):
  """The completions of all requests, row by row."""
  groups = generate.generate(
    policy(kind, num_atoms),
    params(kind, num_atoms),
    wanted,
    sampling(**changes),
    place=place,
  )
  return [completion for group in groups for completion in group]


def tokens(completions) -> list[list[int]]:
  return [completion.tokens.tolist() for completion in completions]

"""One decode step of a whole batch, timed over and over without a prefill."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from benchmarks import measure
from qsharp_jax import generate, models
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import state as state_lib

ETA = 0.1
_SPREAD = 1.0
_NO_END = 1 << 30  # an end token that never comes


def make_policy(
  configs: tuple[models.DecoderConfig, models.DecoderConfig],
  num_candidates: int,
  num_scored: int = 0,
) -> generate.Policy:
  """A reference guided by a V-type value model."""
  reference, value = configs
  return generate.Policy(
    models.LanguageModel(reference),
    (_NO_END,),
    models.ValueModel(value, models.HeadConfig("v", 1)),
    generate.Guidance("qsharp"),
    num_candidates,
    num_scored=num_scored,
  )


def weights(policy: generate.Policy) -> PyTree:
  """Random weights of both models, made on the device."""
  one = jnp.zeros((1, 1), jnp.int32)
  make = lambda model, seed: jax.jit(
    lambda key: nn.unbox(model.init(key, one, one))
  )(jax.random.key(seed))
  return {
    "reference": make(policy.reference, 0),
    "value": make(policy.value, 1),
  }


def valued(
  policy: generate.Policy, params: PyTree, mean_success: float
) -> PyTree:
  """The weights with values around a mean success, instead of all at 1/2.

  Log-odds of the candidates have a standard deviation of `_SPREAD`.
  """
  tokens, positions = prompts(8, 64)
  value = params["value"]["params"]
  # A feature that is the same for all tokens, for the mean to hang on.
  backbone = dict(value["backbone"])
  backbone["embedding"] = backbone["embedding"].at[:, 0].set(1.0)
  head = jax.random.normal(jax.random.key(2), value["head"].shape)
  direction = head.at[..., 0].set(0.0).astype(value["head"].dtype)
  constant = jnp.zeros_like(direction).at[..., 0].set(1.0)
  read = jax.jit(policy.value.apply)
  with_head = lambda head: {"params": {"backbone": backbone, "head": head}}
  own, level = (
    read(with_head(head), tokens, positions) for head in (direction, constant)
  )
  steep = _SPREAD / own.std()
  odds = math.log(mean_success / (1 - mean_success))
  lift = (odds - steep * own.mean()) / level.mean()
  head = (steep * direction + lift * constant).astype(direction.dtype)
  return params | {"value": with_head(head)}


def sharpened(params: PyTree, sharpness: float) -> PyTree:
  """The weights of a reference that multiplies its logits by a number."""
  tree = params["reference"]["params"]
  louder = sharpness * tree["unembedding"]
  return params | {"reference": {"params": tree | {"unembedding": louder}}}


def prompts(batch: int, length: int) -> tuple[np.ndarray, np.ndarray]:
  """Random tokens and their positions, [B, P] int32."""
  tokens = np.random.default_rng(0).integers(3, 500, (batch, length))
  positions = np.broadcast_to(np.arange(length), (batch, length))
  return tokens.astype(np.int32), positions.astype(np.int32)


def controls(etas: Sequence[float], num_steps: int) -> generate.Controls:
  """Of rows that are guided to their last step, unfiltered."""
  rows = len(etas)
  never = np.iinfo(np.int32).max
  return generate.Controls(
    seeds=jnp.arange(rows, dtype=jnp.uint32),
    eta=jnp.asarray(etas, jnp.float32),
    guided_steps=jnp.full(rows, never, jnp.int32),
    max_new_tokens=jnp.full(rows, num_steps, jnp.int32),
    temperature=jnp.ones(rows),
    top_p=jnp.ones(rows),
  )


def seconds_per_step(
  run: Callable[[state_lib.DecodeState], state_lib.DecodeState],
  state: state_lib.DecodeState,
  num_steps: int,
  repeats: int,
) -> tuple[float, float]:
  """Median and spread of the seconds of one step of `run`.

  Args:
    run: the loop; it gives up the state, and ends after `num_steps`.
    state: after a prefill. Given up.
    num_steps: steps of one run.
    repeats: timed runs.
  """
  states = [state]

  def again() -> state_lib.DecodeState:
    # The ring of the cache has no end: the rows only forget that they ended.
    race = states[0].race
    begun = state.replace(
      caches=states[0].caches,
      controls=states[0].controls,
      # No row has begun to race for its first token.
      race=race and race.replace(num_scored=jnp.zeros_like(race.num_scored)),
      **{name: jnp.asarray(x) for name, x in fresh.items()},
    )
    states[0] = run(begun)
    return states[0]

  fresh = {
    name: np.asarray(getattr(state, name))
    for name in (
      "newest position finished ended lengths tokens "
      "log_probs ref_log_probs kl kl_filtered turns scored holes"
    ).split()
  }
  median, spread = measure.median_seconds(again, repeats)
  return median / num_steps, spread

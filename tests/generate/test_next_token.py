"""The guided distribution: temperature, guidance and top-p, row by row."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from oracles import guided_decoding as oracle
from oracles import kl as policy_oracle

from qsharp_jax.generate import next_token
from qsharp_jax.generate import policy as policy_lib

ROWS, VOCAB = 2, 5


def controls(temperature, top_p):
  rows = len(temperature)
  return policy_lib.Controls(
    seeds=jnp.zeros(rows, jnp.uint32),
    eta=jnp.ones(rows),
    guided_steps=jnp.zeros(rows, jnp.int32),
    max_new_tokens=jnp.zeros(rows, jnp.int32),
    temperature=jnp.asarray(temperature, jnp.float32),
    top_p=jnp.asarray(top_p, jnp.float32),
  )


@pytest.mark.parametrize("is_tempered", [False, True])
def test_rows_of_many_temperatures_and_top_ps(is_tempered, staged):
  rng = np.random.default_rng(0)
  temperature, top_p = [1.0, 0.3, 2.5, 0.8], [0.9, 1.0, 0.5, 0.01]
  logits = (3 * rng.normal(size=(4, 12))).astype(np.float32)
  candidates = np.stack([rng.permutation(12)[:3] for _ in range(4)])
  weights = rng.uniform(0, 4, (4, 3)).astype(np.float32)
  next_distribution = lambda *arguments: next_token.next_distribution(
    *arguments, is_guidance_tempered=is_tempered
  )
  got = staged(next_distribution)(
    logits, candidates, weights, controls(temperature, top_p)
  )
  for i in range(4):
    reference, guided, sampled = oracle.distributions(
      logits[i],
      dict(zip(candidates[i].tolist(), weights[i].tolist(), strict=True)),
      temperature=temperature[i],
      top_p=top_p[i],
      is_tempered=is_tempered,
    )
    np.testing.assert_allclose(np.exp(got.reference[i]), reference, atol=1e-6)
    np.testing.assert_allclose(np.exp(got.sampled[i]), sampled, atol=1e-6)
    kl = policy_oracle.kl_divergence
    np.testing.assert_allclose(got.kl[i], kl(guided, reference), rtol=1e-4)
    np.testing.assert_allclose(
      got.kl_filtered[i], kl(sampled, reference), rtol=1e-4
    )


def test_by_hand():
  # pi_ref = (1/2, 1/4, 1/4); e^w = 4 on the last: pi = (2, 1, 4) / 7.
  logits = jnp.log(jnp.array([[2.0, 1.0, 1.0]]))
  distribution = next_token.next_distribution(
    logits, jnp.array([[2]]), jnp.log(jnp.array([[4.0]])), controls([1], [0.8])
  )
  kl = (2 * math.log(4 / 7) + math.log(4 / 7) + 4 * math.log(16 / 7)) / 7
  np.testing.assert_allclose(distribution.kl, [kl], rtol=1e-5)
  # Top-p 0.8 of the guided distribution drops the 1/7: pi = (1/3, 0, 2/3).
  np.testing.assert_allclose(
    jnp.exp(distribution.sampled), [[1 / 3, 0, 2 / 3]], 1e-5
  )
  kl = (math.log(2 / 3) + 2 * math.log(8 / 3)) / 3
  np.testing.assert_allclose(distribution.kl_filtered, [kl], rtol=1e-5)


@pytest.mark.parametrize("is_tempered, best", [(False, 0), (True, 2)])
def test_temperature_0_is_the_argmax(is_tempered, best):
  # Guided at temperature, the argmax of the reference cannot be moved; guided
  # before the temperature, the argmax of the sum is taken.
  distribution = next_token.next_distribution(
    jnp.array([[2.0, 1.0, 1.5]]),
    jnp.array([[2, 1]]),
    jnp.array([[1.0, 0.0]]),
    controls([0], [0.9]),
    is_guidance_tempered=is_tempered,
  )
  wanted = np.where(np.arange(3) == best, 0, -np.inf)[None]
  np.testing.assert_array_equal(distribution.sampled, wanted)
  assert distribution.kl == (np.inf if is_tempered else 0)


def test_release_convention_is_stronger_guidance():
  # At temperature T, weights before it count 1 / T times.
  rng = np.random.default_rng(1)
  logits = jnp.asarray(rng.normal(size=(1, 6)), jnp.float32)
  candidates, weights = jnp.array([[4, 1]]), jnp.array([[1.0, 0.4]])
  at = controls([0.8], [1.0])
  released = next_token.next_distribution(
    logits, candidates, weights, at, is_guidance_tempered=True
  )
  ours = next_token.next_distribution(logits, candidates, weights / 0.8, at)
  np.testing.assert_allclose(released.sampled, ours.sampled, rtol=1e-5)
  assert (
    ours.kl > next_token.next_distribution(logits, candidates, weights, at).kl
  )


def arguments(**changed):
  found = {
    "ref_logits": jnp.zeros((ROWS, VOCAB)),
    "candidates": jnp.array([[0, 1], [3, 2]]),
    "log_weights": jnp.array([[1.0, 0.0], [0.5, 2.0]]),
    "controls": controls([1] * ROWS, [1] * ROWS),
  }
  return found | changed


def test_every_distribution_is_normalised():
  distribution = next_token.next_distribution(**arguments())
  for log_probs in (distribution.sampled, distribution.reference):
    np.testing.assert_allclose(jnp.exp(log_probs).sum(-1), 1, rtol=1e-6)
  assert (distribution.kl > 0).all()


def test_an_actor_equal_to_the_reference_changes_nothing():
  plain = next_token.next_distribution(**arguments())
  acted = next_token.next_distribution(
    **arguments(), actor_logits=arguments()["ref_logits"]
  )
  np.testing.assert_allclose(acted.sampled, plain.sampled, atol=1e-6)
  np.testing.assert_allclose(acted.kl, plain.kl, atol=1e-6)


@pytest.mark.parametrize(
  "changed",
  [
    {"ref_logits": jnp.zeros((ROWS, VOCAB), jnp.int32)},
    {"ref_logits": jnp.zeros(VOCAB)},
    {"ref_logits": jnp.zeros((ROWS + 1, VOCAB))},
    {"candidates": jnp.zeros((ROWS, 2))},
    {"candidates": jnp.zeros(2, jnp.int32)},
    {"log_weights": jnp.zeros((ROWS, 2), jnp.int32)},
    {"log_weights": jnp.zeros((ROWS, 3))},
    {"actor_logits": jnp.zeros((ROWS, VOCAB), jnp.int32)},
    {"actor_logits": jnp.zeros((ROWS, VOCAB + 1))},
  ],
)
def test_refuses_other_types_ranks_and_shapes(changed):
  with pytest.raises(AssertionError, match="Chex"):
    next_token.next_distribution(**arguments(**changed))

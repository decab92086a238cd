"""Guidance by name: the weights of each kind, and equality by content."""

import dataclasses
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax import generate
from qsharp_jax.generate import guided
from qsharp_jax.ops import guidance

KINDS = typing.get_args(guided.Kind)
ATOMS = (-0.5, 0.25, 1.0)
ETA = np.array([[0.2], [0.7]], np.float32)
LOGITS = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
SUCCESS = 1 / (1 + np.exp(-LOGITS[..., 0]))
MEANS = {
  "bernoulli": SUCCESS,
  "squared_error": LOGITS[..., 0],
  "categorical": PROBS @ np.array(ATOMS),
}


def make(kind, loss="bernoulli"):
  member = generate.Guidance("qsharp", loss, ATOMS)
  if kind == "mixture":
    return guided.mixture((member,), (1.0,))
  return dataclasses.replace(member, kind=kind)


def weights(how, logits=LOGITS, eta=ETA):
  return np.asarray(jax.jit(how)(logits, eta))


def floored(x):
  return x - x.min(axis=-1, keepdims=True)


def above(loss):
  """What the means add to the least reward, or to the worst candidate's."""
  least = {"bernoulli": 0.0, "categorical": min(ATOMS)}.get(loss)
  return floored(MEANS[loss]) if least is None else MEANS[loss] - least


@pytest.mark.parametrize("loss", MEANS)
def test_weights_of_every_kind_by_hand(loss):
  means = MEANS[loss]
  moments = np.exp((np.array(ATOMS) - min(ATOMS)) / ETA[..., None])
  share = {
    "bernoulli": SUCCESS,
    # Means beyond (0, 1) are clipped.
    "squared_error": np.clip(means, 1e-6, 1 - 1e-6),
    "categorical": above("categorical") / (max(ATOMS) - min(ATOMS)),
  }[loss]
  expected = {
    "cd": above(loss) / ETA,
    "args": above(loss) / ETA,
    "vas": (means - means.mean(axis=1, keepdims=True)) / ETA,
    "qsharp": {
      "bernoulli": np.log(1 - SUCCESS + SUCCESS * np.exp(1 / ETA)),
      "squared_error": above(loss) / ETA,
      "categorical": np.log((PROBS * moments).sum(-1)),
    }[loss],
    "fudge": floored(np.log(share) / ETA),
    "log_ratio": LOGITS[..., 0] / ETA,
  }
  expected["mixture"] = expected["qsharp"]
  assert expected.keys() == set(KINDS)
  for kind, found in expected.items():
    how = make(kind, loss)
    np.testing.assert_allclose(
      weights(how), found, rtol=2e-4, atol=2e-5, err_msg=kind
    )


@pytest.mark.parametrize("kind", ["qsharp", "cd", "args", "fudge", "mixture"])
@pytest.mark.parametrize("loss", MEANS)
def test_values_never_push_mass_to_tokens_that_were_not_scored(kind, loss):
  # Rewards of -1 and 0: every mean is below the weight of other tokens.
  member = generate.Guidance("qsharp", loss, (-1.0, -0.5, 0.0))
  how = dataclasses.replace(member, kind=kind)
  if kind == "mixture":
    how = guided.mixture((member,), (1.0,))
  below = LOGITS - 3 if loss == "squared_error" else LOGITS
  found = np.float64(weights(how, below))
  assert found.min() >= 0
  ref = np.full((2, 4), 0.9 / 4)
  kept = (ref * np.exp(found)).sum(-1)
  assert (kept / (kept + 0.1) >= 0.9).all()


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "log_ratio"])
def test_two_atoms_at_the_ends_are_the_probability_of_success(kind):
  binary = make(kind)
  atoms = generate.Guidance("qsharp", "categorical", (0.0, 1.0))
  two = dataclasses.replace(atoms, kind=kind)
  if kind == "mixture":
    two = guided.mixture((atoms,), (1.0,))
  odds = LOGITS[..., :1]
  both = np.concatenate([np.zeros_like(odds), odds], axis=-1)
  np.testing.assert_allclose(
    weights(two, both), weights(binary, odds), rtol=1e-4, atol=1e-5
  )


def test_strength_scales_the_log_ratio():
  how = generate.Guidance("log_ratio", strength=0.3)
  np.testing.assert_allclose(
    weights(how), 0.3 * LOGITS[..., 0] / ETA, rtol=1e-5
  )


@pytest.mark.parametrize("kind", KINDS)
def test_an_infinite_eta_leaves_the_reference_alone(kind):
  eta = np.full((2, 1), np.inf, np.float32)
  assert not weights(make(kind, "categorical"), eta=eta).any()


def test_a_mixture_reads_the_logits_of_its_members_side_by_side():
  member = generate.Guidance("qsharp", "categorical", ATOMS)
  how = guided.mixture((member,) * 2, (0.5, 2.0))
  assert (member.num_logits, how.num_logits) == (3, 6)
  other = LOGITS[::-1]
  found = weights(how, np.concatenate([LOGITS, other], axis=-1))
  expected = guidance.mixed(
    [member(LOGITS, ETA / 0.5), member(other, ETA / 2.0)]
  )
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_guidances_share_one_compiled_program(kind):
  traced = []

  def program(how, logits, eta):
    traced.append(how)
    return how(logits, eta)

  compiled = jax.jit(program, static_argnums=0)
  for eta in (0.1, 0.5):
    compiled(make(kind), LOGITS, np.full((2, 1), eta, np.float32))
  assert len(traced) == 1
  compiled(make(kind, "categorical"), LOGITS, ETA)
  assert len(traced) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", MEANS)
def test_scores_stay_below_the_bound_where_there_is_one(kind, loss):
  how = make(kind, loss)
  expected = kind == "fudge" or (
    kind in ("qsharp", "cd", "args", "mixture") and loss != "squared_error"
  )
  assert how.has_bound == expected
  rng = np.random.default_rng(0)
  logits = rng.normal(scale=20, size=(50, 8, 3)).astype(np.float32)
  eta = np.float32(10.0) ** rng.uniform(-2, 1, (50, 1)).astype(np.float32)
  scores = jax.jit(how.scores)(logits, eta)
  other = np.asarray(how.other(scores))
  np.testing.assert_array_equal(weights(how, logits, eta), scores - other)
  if expected:
    assert (scores <= how.bound(eta)).all()
    # Other tokens gain nothing on any candidate, and less on fewer.
    assert (other <= scores).all()
    raised = scores.at[:, 0].set(how.bound(eta)[:, 0])
    assert (how.other(raised) >= other).all()


@pytest.mark.parametrize(
  "member",
  [
    generate.Guidance("qsharp"),
    generate.Guidance("cd", "squared_error"),
    generate.Guidance("qsharp", "categorical", (-0.5, 0.25, 1.0)),
  ],
)
def test_weights_of_rows_are_those_of_the_guidance(member):
  """KL weights divided beforehand, one column for each reward."""
  num = member.num_logits
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.normal(size=(2, 4, 2 * num)), jnp.float32)
  eta = jnp.array([[0.1], [0.5]])
  rows = guided.mixture((member, member))
  for pair in ((0.5, 2.0), (1.0, 3.0)):
    shared = guided.mixture((member, member), pair)
    found = rows.scores(logits, eta / jnp.array([pair, pair]))
    np.testing.assert_allclose(found, shared.scores(logits, eta), rtol=1e-5)
  # A weight of 0 leaves the other reward alone, each row for itself.
  alone = rows.scores(logits, eta / jnp.array([[1.0, 0.0], [0.0, 1.0]]))
  one = member.scores(logits[..., :num], eta)
  other = member.scores(logits[..., num:], eta)
  np.testing.assert_allclose(alone[0], one[0], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(alone[1], other[1], rtol=1e-5, atol=1e-6)

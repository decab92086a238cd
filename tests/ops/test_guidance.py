import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import differences
from oracles import kl as oracle

from qsharp_jax.ops import distributions, guidance, kl

ETAS = [0.02, 0.1, 1.0, 50.0]


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def logit(p):
  return jnp.log(p) - jnp.log1p(-p)


def bernoulli_log_probs(logits):
  """The Bernoulli distribution written on the atoms {0, 1}."""
  return jnp.stack(
    [jax.nn.log_sigmoid(-logits), jax.nn.log_sigmoid(logits)], axis=-1
  )


# Each method as a function of log-odds [..., A] and eta, for what all share.
METHODS = {
  "qsharp_bernoulli": guidance.qsharp_bernoulli,
  "qsharp_categorical": lambda logits, eta: guidance.qsharp_categorical(
    bernoulli_log_probs(logits), jnp.arange(2.0), eta=eta
  ),
  "cd": lambda logits, eta: guidance.cd(jax.nn.sigmoid(logits), eta=eta),
  "vas": lambda logits, eta: guidance.vas(jax.nn.sigmoid(logits), eta=eta),
  "fudge": lambda logits, eta: guidance.fudge(logits, strength=1 / eta),
}
every_method = pytest.mark.parametrize(
  "method", [jax.jit(m) for m in METHODS.values()], ids=METHODS.keys()
)


@every_method
def test_an_infinite_eta_switches_guidance_off_exactly(method):
  weights = method(10 * normal(3, 20), eta=jnp.inf)
  np.testing.assert_array_equal(weights, np.zeros((3, 20)))


@every_method
def test_one_eta_per_row_equals_one_eta_at_a_time(method):
  logits, etas = normal(3, 4), np.array([0.1, 1.0, np.inf], np.float32)
  together = method(logits, eta=etas[:, None])
  for row, eta in enumerate(etas):
    alone = method(logits[row], eta=eta)
    np.testing.assert_allclose(together[row], alone, rtol=1e-5, atol=1e-6)


@every_method
def test_eta_must_not_spread_along_the_candidates(method):
  with pytest.raises(ValueError):
    method(normal(3, 3), eta=np.ones(3))


@every_method
def test_strong_guidance_of_extreme_values_is_finite(method):
  def total(logits):
    weights = method(logits, eta=1e-3)
    return weights.sum(), weights

  slopes, weights = jax.jit(jax.grad(total, has_aux=True))(
    jnp.array([[-90.0, -5.0, 0.0, 5.0, 90.0]])
  )
  assert np.isfinite(weights).all() and np.isfinite(slopes).all()


@every_method
def test_better_candidates_weigh_more(method):
  weights = method(np.linspace(-8, 8, 9, dtype=np.float32), eta=0.1)
  assert (np.diff(weights) > 0).all()


@pytest.mark.parametrize("eta", ETAS)
def test_qsharp_bernoulli_matches_the_oracle(eta, staged):
  logits = 3 * normal(4, 5)
  weights = staged(lambda x: guidance.qsharp_bernoulli(x, eta=eta))(logits)
  probs = 1 / (1 + np.exp(-logits.astype(np.float64)))
  expected = [[oracle.qsharp_bernoulli(p, eta) for p in row] for row in probs]
  np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=2e-6)
  assert (weights >= 0).all() and (weights <= 1 / eta * (1 + 1e-6)).all()


def test_qsharp_bernoulli_by_hand():
  # p = 1/2 and exp(1 / eta) = 3: ln(1/2 + 3/2) = ln 2.
  weight = guidance.qsharp_bernoulli(jnp.array([0.0]), eta=1 / np.log(3))
  np.testing.assert_allclose(weight, np.log([2.0]), rtol=1e-6)


def test_qsharp_bernoulli_at_a_thousandth():
  probs = jnp.array([1.0 - 1e-6, 0.5, 1e-6])
  weights = jax.jit(lambda x: guidance.qsharp_bernoulli(x, eta=1e-3))(
    logit(probs)
  )
  np.testing.assert_allclose(weights, 1000 + np.log(probs), rtol=1e-6)


@pytest.mark.parametrize("eta", [1e-3, *ETAS])
def test_categorical_on_two_atoms_is_bernoulli(eta):
  logits = 3 * normal(6, 7)
  np.testing.assert_allclose(
    jax.jit(METHODS["qsharp_categorical"])(logits, eta=eta),
    jax.jit(METHODS["qsharp_bernoulli"])(logits, eta=eta),
    rtol=1e-5,
    atol=1e-5,
  )


def test_categorical_of_a_point_law_is_cd():
  @jax.jit
  def both(values):
    atoms = distributions.support(-1.0, 1.0, 5)
    log_probs = jnp.log(distributions.two_hot(values, atoms))
    qsharp = guidance.qsharp_categorical(log_probs, atoms, eta=0.1)
    return qsharp, guidance.cd(values, eta=0.1)

  qsharp, cd = both(jnp.array([[-1.0, -0.5, 1.0]]))
  np.testing.assert_allclose(qsharp, cd, rtol=1e-6)


def test_gradient_of_qsharp_bernoulli():
  logits = np.linspace(-3, 3, 5)

  def exact(logits):
    probs = 1 / (1 + np.exp(-logits))
    return sum(oracle.qsharp_bernoulli(p, 0.2) for p in probs)

  slopes = jax.jit(
    jax.grad(lambda x: guidance.qsharp_bernoulli(x, eta=0.2).sum())
  )(jnp.array(logits))
  expected = differences.gradient(exact, logits)
  np.testing.assert_allclose(slopes, expected, atol=1e-5)


def test_rare_success_is_told_from_rarer():
  # At eta = 0.1, p = 1e-3 against 1e-4: Q# tells them apart, CD does not.
  probs = jnp.array([1e-3, 1e-4])
  qsharp = guidance.qsharp_bernoulli(logit(probs), eta=0.1)
  cd = guidance.cd(probs, eta=0.1)
  assert round(float(jnp.exp(qsharp[0] - qsharp[1])), 1) == 7.2
  assert round(float(jnp.exp(cd[0] - cd[1])), 3) == 1.009


def test_weak_qsharp_is_cd_to_first_order():
  logits = jnp.array(normal(50))
  probs = np.array(jax.nn.sigmoid(logits), np.float64)
  for eta in [10.0, 30.0]:
    gap = guidance.qsharp_bernoulli(logits, eta=eta) - guidance.cd(
      jnp.array(probs), eta=eta
    )
    # What is left is the second cumulant: half the variance over eta squared.
    second = probs * (1 - probs) / (2 * eta**2)
    np.testing.assert_allclose(gap, second, rtol=0.1, atol=5e-7)


def random_laws(*shape, seed=5):
  probs = np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1])
  return jnp.log(jnp.array(probs)), jnp.linspace(-0.5, 1.0, shape[-1])


@pytest.mark.parametrize("eta", [1e-3, *ETAS])
def test_qsharp_of_a_law_lies_between_its_mean_and_its_ends(eta):
  log_probs, atoms = random_laws(20, 4)
  weights = guidance.qsharp_categorical(log_probs, atoms, eta=eta)
  slack = 1e-5 * (1 + 1 / eta)
  # Jensen: never below CD.
  cd = guidance.cd(distributions.mean(log_probs, atoms), eta=eta)
  assert (weights >= cd - slack).all()
  assert (weights >= atoms[0] / eta - slack).all()
  assert (weights <= atoms[-1] / eta + slack).all()


def test_weak_qsharp_of_a_law_is_cd_plus_half_the_variance():
  log_probs, atoms = random_laws(20, 4)
  for eta in [10.0, 30.0]:
    weights = guidance.qsharp_categorical(log_probs, atoms, eta=eta)
    cd = guidance.cd(distributions.mean(log_probs, atoms), eta=eta)
    second = distributions.variance(log_probs, atoms) / (2 * eta**2)
    np.testing.assert_allclose(weights - cd, second, rtol=0.1, atol=1e-6)


def test_strong_qsharp_of_a_law_sees_its_best_atom_only():
  log_probs, atoms = random_laws(20, 4)
  log_probs = log_probs.at[:10, -1].set(-jnp.inf)  # best: the last but one
  weights = guidance.qsharp_categorical(log_probs, atoms, eta=1e-3)
  best = np.where(np.arange(20) < 10, atoms[-2], atoms[-1])
  np.testing.assert_allclose(1e-3 * weights, best, atol=5e-3)
  # CD at any strength sees the mean.
  means = distributions.mean(jax.nn.log_softmax(log_probs), atoms)
  for eta in [1e-3, 1.0]:
    np.testing.assert_allclose(
      eta * guidance.cd(means, eta=eta), means, rtol=1e-5
    )


def test_strong_qsharp_is_fudge_but_for_a_constant():
  logits = jnp.array(normal(30))
  weights = guidance.qsharp_bernoulli(logits, eta=1e-2) - 1 / 1e-2
  fudge = guidance.fudge(logits, strength=1.0)
  np.testing.assert_allclose(weights, fudge, atol=2e-5)


def test_strong_qsharp_conditions_on_success_and_cd_does_not():
  ref = np.array([0.7, 0.2, 0.09, 0.01])
  success = np.array([0.02, 0.1, 0.3, 0.5])
  overall = ref @ success
  tilt = lambda weights: kl.tilted_log_probs(jnp.log(ref), weights)
  log_ref = jnp.log(ref)

  qsharp = tilt(guidance.qsharp_bernoulli(logit(success), eta=1e-3))
  np.testing.assert_allclose(np.exp(qsharp), ref * success / overall, rtol=1e-4)
  fudge = tilt(guidance.fudge(logit(success), strength=1.0))
  np.testing.assert_allclose(qsharp, fudge, atol=1e-4)
  assert kl.kl_divergence(qsharp, log_ref) <= np.log(1 / overall)

  cd = tilt(guidance.cd(jnp.array(success), eta=1e-3))
  np.testing.assert_allclose(np.exp(cd), [0, 0, 0, 1], atol=1e-6)
  assert kl.kl_divergence(cd, log_ref) > np.log(1 / overall)


def test_vas_is_cd_inside_a_softmax_over_the_candidates():
  values, ref_logits = (
    jax.nn.sigmoid(normal(3, 5)),
    jnp.array(normal(3, 5, seed=1)),
  )
  weights = guidance.vas(values, eta=0.1)
  np.testing.assert_allclose(weights.mean(-1), np.zeros(3), atol=1e-5)
  np.testing.assert_allclose(
    kl.tilted_log_probs(ref_logits, weights),
    kl.tilted_log_probs(ref_logits, guidance.cd(values, eta=0.1)),
    atol=1e-5,
  )


def test_vas_demotes_a_candidate_below_average_and_cd_does_not():
  values, candidates = jnp.array([[0.9, 0.1]]), jnp.array([[0, 1]])
  ref_logits = jnp.zeros((1, 3))  # the third token is no candidate

  def share_of_the_worse(weights):
    placed = kl.at_tokens(weights, candidates, 3)
    log_probs = kl.tilted_log_probs(ref_logits, placed)[0]
    return float(log_probs[1] - log_probs[2])

  assert share_of_the_worse(guidance.vas(values, eta=0.1)) < 0
  assert share_of_the_worse(guidance.cd(values, eta=0.1)) > 0


def test_fudge_by_hand():
  weights = guidance.fudge(jnp.array([0.0, -200.0]), strength=2.0)
  np.testing.assert_allclose(weights, [-2 * np.log(2), -400], rtol=1e-6)


def test_args_by_hand():
  weights = guidance.args(jnp.array([0.5, -2.0]), strength=3.0)
  np.testing.assert_allclose(weights, [1.5, -6.0])
  off = guidance.args(jnp.array([0.5, -2.0]), strength=0.0)
  np.testing.assert_array_equal(off, [0, 0])


def test_log_ratio_turns_the_untuned_model_into_the_tuned_one():
  untuned, tuned = (jax.nn.log_softmax(normal(3, 6, seed=s)) for s in (1, 2))
  at = lambda strength: kl.tilted_log_probs(
    untuned, guidance.log_ratio(tuned - untuned, strength=strength)
  )
  np.testing.assert_allclose(at(1.0), tuned, atol=1e-6)
  np.testing.assert_allclose(at(0.0), untuned, atol=1e-6)


def test_log_ratio_of_an_optimal_policy_is_its_value():
  # Tuned to the optimum at KL weight beta: strength beta / eta retargets it.
  ref, q_values = jax.nn.log_softmax(normal(6)), jnp.array(normal(6, seed=1))
  tuned = kl.optimal_log_probs(ref, q_values, eta=0.5)
  weights = guidance.log_ratio(tuned - ref, strength=0.5 / 0.1)
  np.testing.assert_allclose(
    kl.tilted_log_probs(ref, weights),
    kl.optimal_log_probs(ref, q_values, eta=0.1),
    atol=1e-4,
  )


def test_transfer_direct_is_cd_of_the_mean_of_roll_outs():
  rewards = jnp.array([[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
  weights = guidance.transfer_direct(rewards, eta=0.1)
  np.testing.assert_allclose(weights, [5.0, 7.5], rtol=1e-6)


def test_transfer_indirect_matches_a_loop_and_has_its_limits():
  rewards, baseline = normal(5, 4), normal(5, 4, seed=1)
  at = lambda beta: guidance.transfer_indirect(
    jnp.array(rewards), jnp.array(baseline), eta=0.2, beta=beta
  )
  masses = np.exp(np.float64(rewards - baseline) / 0.7)
  expected = (masses * rewards).sum(-1) / masses.sum(-1) / 0.2
  np.testing.assert_allclose(at(0.7), expected, rtol=1e-5, atol=1e-5)
  # A baseline hardly aligned at all needs no correction, and so does one that
  # was aligned to the same reward.
  direct = guidance.transfer_direct(jnp.array(rewards), eta=0.2)
  np.testing.assert_allclose(at(1e6), direct, atol=1e-4)
  same = guidance.transfer_indirect(
    jnp.array(rewards), jnp.array(rewards), eta=0.2, beta=0.7
  )
  np.testing.assert_allclose(same, direct, rtol=1e-5, atol=1e-5)
  # A strongly aligned one: the roll-out whose reward was most overlooked.
  best = rewards[np.arange(5), (rewards - baseline).argmax(-1)]
  np.testing.assert_allclose(at(1e-3), best / 0.2, rtol=1e-4)


def test_mixed_is_exact_for_independent_rewards():
  # Distribution of 2 z_1 + 3 z_2, all pairs of atoms listed, against the sum.
  first, atoms = random_laws(3, 4)
  second, _ = random_laws(3, 4, seed=6)
  pairs = (first[:, :, None] + second[:, None, :]).reshape(3, 16)
  totals = (2 * atoms[:, None] + 3 * atoms[None, :]).reshape(16)
  whole = guidance.qsharp_categorical(pairs, totals, eta=0.5)
  parts = [
    guidance.qsharp_categorical(distribution, atoms, eta=0.5 / weight)
    for distribution, weight in ((first, 2.0), (second, 3.0))
  ]
  np.testing.assert_allclose(guidance.mixed(parts), whole, rtol=1e-5)


def test_zero_floor_by_hand(staged):
  weights = jnp.array([[-3.0, -1.0, -2.0], [0.0, 5.0, 4.0]])
  floored = staged(guidance.zero_floor)(weights)
  np.testing.assert_array_equal(floored, [[0, 2, 1], [0, 5, 4]])


BOUNDS = {
  "qsharp_bernoulli": lambda eta: guidance.reward_bound(1.0, eta=eta),
  "qsharp_categorical": lambda eta: guidance.reward_bound(1.0, eta=eta),
  "cd": lambda eta: guidance.reward_bound(1.0, eta=eta),
  "fudge": lambda eta: guidance.fudge_bound(strength=1 / eta),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_no_weight_exceeds_its_bound_and_some_come_near(name):
  rng = np.random.default_rng(1)
  eta = np.float32(10.0) ** rng.uniform(-2, 1.5, (400, 1)).astype(np.float32)
  scale = np.float32(10.0) ** rng.uniform(-1, 2.5, (400, 1)).astype(np.float32)
  logits = scale * normal(400, 20, seed=2)
  weights = np.asarray(jax.jit(METHODS[name])(logits, eta=eta))
  bound = np.asarray(BOUNDS[name](eta))
  assert bound.shape == (400, 1) and (weights <= bound).all()
  surest = jax.jit(METHODS[name])(np.full((400, 1), 90, np.float32), eta=eta)
  np.testing.assert_allclose(surest, bound, rtol=1e-5, atol=2e-5)


def test_bounds_vanish_with_guidance():
  assert guidance.reward_bound(3.0, eta=jnp.inf) == 0
  assert guidance.fudge_bound(strength=jnp.zeros(2)).tolist() == [0, 0]


def test_the_bound_of_a_sum_of_rewards_is_the_sum_of_theirs():
  eta, parts = 0.2, [10 * normal(50, 20, seed=i) for i in range(2)]
  weights = [
    guidance.qsharp_bernoulli(x, eta=eta / w)
    for x, w in zip(parts, (0.5, 2.0), strict=True)
  ]
  bounds = [guidance.reward_bound(1.0, eta=eta / w) for w in (0.5, 2.0)]
  assert (guidance.mixed(weights) <= guidance.mixed(bounds)).all()

"""What value logits stand for: means by hand, losses by their minimum."""

import jax
import numpy as np
import pytest

from qsharp_jax.ops import readout

ATOMS = (0.0, 0.25, 1.0)


@pytest.mark.parametrize(
  ("loss", "logits", "mean"),
  [
    ("bernoulli", [0.0], 0.5),
    ("squared_error", [0.7], 0.7),
    ("categorical", np.log([0.5, 0.4, 0.1]), 0.4 * 0.25 + 0.1),
  ],
)
def test_mean_of_value_logits_by_hand(loss, logits, mean):
  logits = np.array([logits], np.float32)
  got = readout.mean(logits, loss=loss, atoms=ATOMS)
  np.testing.assert_allclose(got, [mean], rtol=1e-6)


@pytest.mark.parametrize("loss", ["bernoulli", "squared_error", "categorical"])
def test_a_label_pulls_the_mean_towards_itself(loss):
  logits = np.float32([0.3, -0.2, 0.1][: 3 if loss == "categorical" else 1])
  how = {"loss": loss, "atoms": ATOMS}
  mean = lambda x: readout.mean(x, **how)
  pull = jax.grad(lambda x, label: readout.token_loss(x, label, **how))
  for label in np.float32([0.0, 1.0]):
    moved = logits - 0.1 * pull(logits, label)
    assert abs(mean(moved) - label) < abs(mean(logits) - label)


@pytest.mark.parametrize("loss", ["bernoulli", "squared_error", "categorical"])
def test_means_lie_within_the_bounds_and_reach_them(loss):
  how = {"loss": loss, "atoms": (-2.0, 0.25, 1.0)}
  least, most = readout.bounds(**how)
  logits = 60 * np.float32([[1, 0, -1], [-1, 0, 1]])
  if loss != "categorical":
    logits = logits[:, -1:]
  found = np.asarray(readout.mean(logits, **how))
  if loss == "squared_error":
    assert (least, most) == (-np.inf, np.inf)
  else:
    np.testing.assert_allclose(found, [least, most], atol=1e-6)


def test_the_distribution_has_the_mean_and_the_loss():
  logits = np.float32([[0.4, -1.0, 0.2]])
  for loss, own in (("bernoulli", logits[:, :1]), ("categorical", logits)):
    how = {"loss": loss, "atoms": ATOMS}
    log_probs, atoms = readout.distribution(own, **how)
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=-1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(
      np.exp(log_probs) @ np.asarray(atoms),
      readout.mean(own, **how),
      rtol=1e-6,
    )
    certain = np.full(1, atoms[-1])
    np.testing.assert_allclose(
      -log_probs[:, -1], readout.token_loss(own, certain, **how), rtol=1e-6
    )

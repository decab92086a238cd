"""Small policies: sequences to score, samples to credit, settings to train."""

import dataclasses

import jax
import numpy as np
from oracles import decoders
from oracles import losses as losses_oracle

from qsharp_jax import data, generate, models, rollout, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.finetuning import base, methods
from qsharp_jax.finetuning import experience as experience_lib

MODEL = models.LanguageModel(decoders.SMALLEST)
CRITIC = models.ValueModel(decoders.SMALLEST, models.HeadConfig("v", 1))
LENGTHS = (5, 2, 7, 3)
PROMPTS = (2, 1, 4, 3)  # the last sequence has no tokens of its own
FIT = training.Fit(
  learning_rate=0.01,
  weight_decay=0.0,
  batch_size=4,
  num_epochs=1,
  max_length=16,
  checkpoint_every=1,
)
SIZES = {"num_iterations": 2, "prompts_per_iteration": 4, "num_samples": 2}


def sequences(num_columns=None, seed=0):
  """Random sequences with random labels, one number or a row a token."""
  rng = np.random.default_rng(seed)
  shape = () if num_columns is None else (num_columns,)
  return [
    data.Sequence(
      rng.integers(0, 11, length).astype(np.int32),
      np.arange(length) >= prompt,
      rng.normal(size=(length, *shape)).astype(np.float32),
    )
    for length, prompt in zip(LENGTHS, PROMPTS, strict=True)
  ]


def batch(rows):
  return {k: v for k, v in rows._asdict().items() if k != "sequence_ids"}


def packed(found):
  """A batch of fewer rows than sequences."""
  rows = data.packing.pack(found, length=10)
  assert len(rows.tokens) < len(found)
  return batch(rows)


def log_probs(params, found):
  """Of each sequence alone: a float64 array of its own length."""
  tokens, positions = decoders.right_padded([s.tokens for s in found], time=8)
  logits = jax.device_get(jax.jit(MODEL.apply)(params, tokens, positions)[0])
  softmax = lambda x: losses_oracle.softmax(np.float64(x))
  return [
    np.array(
      [0.0]
      + [np.log(softmax(logits[i, t - 1])[s.tokens[t]])
         for t in range(1, len(s.tokens))]
    )
    for i, s in enumerate(found)
  ]  # fmt: skip


def state_values(params, found):
  """Of each sequence alone: the value before each of its tokens."""
  tokens, positions = decoders.right_padded([s.tokens for s in found], time=8)
  values = jax.device_get(jax.jit(CRITIC.apply)(params, tokens, positions))
  return [
    [0.0, *values[i, : len(s.tokens) - 1, 0].tolist()]
    for i, s in enumerate(found)
  ]


def experience():
  """Two samples of two prompts; the reward of the last one failed."""
  rng = np.random.default_rng(0)

  def completion(length):
    negative = lambda: -rng.random(length).astype(np.float32)
    return generate.Completion(
      tokens=rng.integers(0, 11, length).astype(np.int32),
      log_probs=negative(),
      ref_log_probs=negative(),
      kl=np.full(length, 0.1, np.float32),
      kl_filtered=np.zeros(length),
      ended=True,
      num_forwards=length,
    )

  return experience_lib.Experience(
    [rollout.Problem(f"q{i}", [1, 2, 3], "") for i in range(2)],
    [[completion(n) for n in row] for row in ((2, 3), (1, 4))],
    rewards=np.array([[1.0, 0.0], [0.5, 0.0]], np.float32),
    is_graded=np.array([[True, True], [True, False]]),
  )


def penalised(found, eta):
  """Rewards less the KL penalty, sample by sample."""
  return [
    [
      reward - eta * float((c.log_probs - c.ref_log_probs).sum())
      for c, reward in zip(group, rewards, strict=True)
    ]
    for group, rewards in zip(
      found.completions, found.rewards.tolist(), strict=True
    )
  ]


def small(name, **changes):
  """The defaults of a method, in tiny sizes."""
  settings = methods.DEFAULTS[name]
  changes = {"fit": FIT} | changes
  if hasattr(settings, "num_iterations"):
    changes = SIZES | changes
  if name == "rto":
    changes = {"dpo": small("dpo")} | changes
  return dataclasses.replace(settings, **changes)


def train(run, name, settings, shared=None):
  with run.layout.context():
    return base.train(run, name, settings, shared=shared)


def weights(path):
  return jax.device_get(huggingface.load_language_model(path)[1])


def distance(one, other):
  both = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
  return max(float(np.abs(a - b).max()) for a, b in both)


def no_loss_from_padding(objective, params, width=()):
  """Asserts that rows of padding have loss, weight and gradient 0."""
  empty = batch(data.packing.padding(2, 6, width))
  gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))
  (total, weight), grads = gradient(params, empty)
  assert (float(total), float(weight)) == (0.0, 0.0)
  assert all(not np.any(g) for g in jax.tree.leaves(jax.device_get(grads)))


def no_labels_outside_the_mask(objective, params, rows):
  """Asserts that labels outside the mask change neither loss nor gradient."""
  mask = rows.mask.reshape(*rows.mask.shape, *[1] * (rows.labels.ndim - 2))
  dirty = rows._replace(labels=np.where(mask, rows.labels, np.nan))
  gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))
  jax.tree.map(
    np.testing.assert_array_equal,
    gradient(params, batch(rows)),
    gradient(params, batch(dirty)),
  )

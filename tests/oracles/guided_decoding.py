"""Guided decoding by full forward passes, one prefix at a time, in float64."""

import math

import jax
import numpy as np
from oracles import decoders, filtering, kl


def softmax(logits):
  masses = np.exp(np.float64(logits) - np.max(logits))
  return masses / masses.sum()


def uniform(seed, step, has_switched):
  key = jax.random.fold_in(jax.random.key(seed), step)
  return float(jax.random.uniform(jax.random.fold_in(key, int(has_switched))))


def reference_logits(model, params, sequences):
  """Logits after every token of every sequence: full passes, no cache."""
  width = max(map(len, sequences))
  rows = decoders.right_padded(sequences, width)
  return np.asarray(jax.jit(model.apply)(params, *rows)[0])


def value_logits(model, params, sequences, width):
  """Value logits at the last token of each sequence: full passes."""
  rows = decoders.right_padded(sequences, width)
  values = np.asarray(jax.jit(model.apply)(params, *rows))
  return values[np.arange(len(sequences)), [len(s) - 1 for s in sequences]]


def log_weight(logits, eta, atoms):
  """ln E[exp((z - least) / eta)] for one candidate."""
  if math.isinf(eta):
    return 0.0
  if len(logits) == 1:
    return kl.qsharp_bernoulli(1 / (1 + math.exp(-logits[0])), eta)
  probs = softmax(logits)
  gains = [z - min(atoms) for z in atoms]
  return math.log(sum(p * math.exp(z / eta) for p, z in zip(probs, gains)))  # noqa: B905


def distributions(
  ref_logits, weights, *, temperature, top_p, is_tempered=False
):
  """Reference, guided and sampled probabilities; weights by token."""
  reference = softmax(ref_logits / temperature)
  by_token = [weights.get(token, 0.0) for token in range(len(ref_logits))]
  if is_tempered:
    by_token = [w / temperature for w in by_token]
  guided = np.array(kl.tilt(reference, by_token))
  sampled = guided if top_p >= 1 else filtering.top_p(guided, top_p)
  return reference, guided, sampled


def completion(ref_logits, values, *, seed, eta, switch, atoms, how):
  """What one row should have written, given its prefixes' logits.

  Args:
    ref_logits: at every prefix. Shape [n, V].
    values: by prefix, a dictionary from candidates to value logits [K].
    seed: of the row.
    eta: KL weight.
    switch: guided steps.
    atoms: support of a categorical distribution.
    how: the settings of sampling.

  Returns:
    Rows of (token, log_prob, ref_log_prob, kl, kl_filtered).
  """
  rows = []
  for step, (logits, found) in enumerate(zip(ref_logits, values, strict=True)):
    own_eta = eta if step < switch else math.inf
    weights = {c: log_weight(v, own_eta, atoms) for c, v in found.items()}
    reference, guided, sampled = distributions(
      logits, weights, temperature=how.temperature, top_p=how.top_p
    )
    token = filtering.sample(sampled, uniform(seed, step, step >= switch))
    rows.append(
      (
        token,
        math.log(sampled[token]),
        math.log(reference[token]),
        kl.kl_divergence(guided, reference),
        kl.kl_divergence(sampled, reference),
      )
    )
  return rows

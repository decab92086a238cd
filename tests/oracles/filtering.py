"""Filters and sampling by sorting and walking, one row at a time."""

import numpy as np


def keep(probs, kept):
  return np.where(kept, probs, 0) / probs[kept].sum()


def top_k(probs, k):
  order = sorted(range(len(probs)), key=lambda i: (-probs[i], i))
  return keep(probs, np.isin(np.arange(len(probs)), order[:k]))


def top_p(probs, top_p):
  order = np.argsort(-probs, kind="stable")
  mass, last = 0.0, 0.0
  for token in order:
    mass, last = mass + probs[token], probs[token]
    if mass >= top_p:
      break
  return keep(probs, probs >= last)


def sample(probs, uniform):
  remaining = uniform * probs.sum()
  for token, prob in enumerate(probs):
    remaining -= prob
    if prob > 0 and remaining < 0:
      return token
  return int(np.flatnonzero(probs)[-1])

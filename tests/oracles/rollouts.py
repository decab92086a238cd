"""Rollouts by hand."""

from qsharp_jax.rollout import store


def rollout(question_id="q", sample=0, **fields):
  """A rollout with the given fields; the rest is of no interest."""
  defaults = {
    "seed": 1,
    "eta": None,
    "prompt": [5, 6, 7],
    "tokens": [8, 9],
    "first_label": 0,
    "ended": True,
    "text": "8 9",
    "extracted": "9",
    "label": 0.0,
    "error": None,
    "kl": 0.0,
    "kl_filtered": 0.0,
    "forwards": 6,
    "seconds": 0.5,
  }
  fields = defaults | fields
  fields.setdefault("correct", fields["label"] > 0.5)
  return store.Rollout(question_id=question_id, sample=sample, **fields)

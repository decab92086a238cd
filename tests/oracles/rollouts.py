"""Rollouts by hand."""

import dataclasses

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
    "answer": "9",
    "split": "train",
    "value": None,
  }
  fields = defaults | fields
  fields.setdefault("correct", fields["label"] > 0.5)
  return store.Rollout(question_id=question_id, sample=sample, **fields)


def plain(row):
  """A row that compares: its tokens are a list, whatever they were."""
  tokens = {name: list(map(int, getattr(row, name))) for name in TOKENS}
  return dataclasses.asdict(dataclasses.replace(row, **tokens))


def columns(*rows):
  """Rows as columns."""
  return store.Rollouts.of(rows)


TOKENS = ("prompt", "tokens")

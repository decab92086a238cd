"""Losses by their definitions, in float64, one token at a time."""

import collections
import math

import numpy as np


def bernoulli(logit, target):
  p = 1 / (1 + math.exp(-logit))
  return -target * math.log(p) - (1 - target) * math.log(1 - p)


def softmax(logits):
  odds = [math.exp(logit) for logit in logits]
  return [odd / sum(odds) for odd in odds]


def categorical(logits, target):
  return -sum(
    t * math.log(p) for t, p in zip(target, softmax(logits), strict=True)
  )


def sequence_weights(mask, segments):
  weights = np.zeros(mask.shape)
  for row in range(len(mask)):
    tokens_of = collections.defaultdict(list)
    for position, segment in enumerate(segments[row]):
      if segment and mask[row, position]:
        tokens_of[segment].append(position)
    for positions in tokens_of.values():
      for position in positions:
        weights[row, position] = 1 / len(positions)
  return weights

"""Policies as lists of probabilities, in linear space and float64."""

import math


def tilt(probs, log_weights):
  masses = [p * math.exp(w) for p, w in zip(probs, log_weights, strict=True)]
  return [mass / sum(masses) for mass in masses]


def kl_divergence(p, q):
  total = 0.0
  for a, b in zip(p, q, strict=True):
    if a > 0 and b == 0:
      return math.inf
    if a > 0:
      total += a * math.log(a / b)
  return total


def qsharp_bernoulli(p, eta):
  return math.log(1 - p + p * math.exp(1 / eta))

"""Distributions on atoms, as dictionaries and float64 sums, one at a time."""

import math

import numpy as np


def two_hot(value, atoms):
  value = min(max(value, atoms[0]), atoms[-1])
  distribution = dict.fromkeys(range(len(atoms)), 0.0)
  for i in range(len(atoms) - 1):
    left, right = atoms[i], atoms[i + 1]
    if left <= value < right or (i == len(atoms) - 2 and value == right):
      distribution[i] = (right - value) / (right - left)
      distribution[i + 1] = (value - left) / (right - left)
  return np.array(list(distribution.values()))


def log_mean_exp(probs, atoms, eta):
  # In linear space: only for eta at which float64 does not overflow.
  return math.log(
    sum(p * math.exp(z / eta) for p, z in zip(probs, atoms, strict=True))
  )


def moments(probs, atoms):
  first = sum(p * z for p, z in zip(probs, atoms, strict=True))
  second = sum(p * z * z for p, z in zip(probs, atoms, strict=True))
  return first, second - first**2


def crps(probs, atoms, value):
  """By Gneiting and Raftery's Eq. (21): E|Z - y| - E|Z - Z'| / 2."""
  pairs = list(zip(probs, atoms, strict=True))
  error = sum(p * abs(z - value) for p, z in pairs)
  spread = sum(p * q * abs(z - y) for p, z in pairs for q, y in pairs)
  return error - spread / 2


def pit(probs, atoms, value):
  """Both bounds, by counting the atoms below the value and up to it."""
  pairs = list(zip(probs, atoms, strict=True))
  at_most = sum(p for p, z in pairs if z <= value)
  return sum(p for p, z in pairs if z < value), at_most

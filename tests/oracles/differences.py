"""Gradients by central differences, in float64."""

import numpy as np


def gradient(function, point, step=1e-5):
  """Gradient of a numpy function of one array to a number."""
  point = np.array(point, np.float64)
  slopes = np.zeros_like(point)
  for index in np.ndindex(point.shape):
    ahead, behind = point.copy(), point.copy()
    ahead[index] += step
    behind[index] -= step
    slopes[index] = (function(ahead) - function(behind)) / (2 * step)
  return slopes

"""Advantages and policy losses by their definitions, one number at a time."""

import math
import statistics


def leave_one_out(rewards, mask):
  """Of one prompt's samples: lists of floats and bools."""
  found = []
  for i, reward in enumerate(rewards):
    others = [
      r
      for j, (r, m) in enumerate(zip(rewards, mask, strict=True))
      if m and j != i
    ]
    is_used = mask[i] and others
    found.append(reward - sum(others) / len(others) if is_used else 0.0)
  return found


def group_relative(rewards, mask, is_scaled):
  """Of one prompt's samples: lists of floats and bools."""
  kept = [r for r, m in zip(rewards, mask, strict=True) if m]
  deviation = statistics.stdev(kept) if len(kept) > 1 else 0.0
  scale = deviation if is_scaled and deviation else 1.0
  return [
    (r - statistics.fmean(kept)) / scale if m else 0.0
    for r, m in zip(rewards, mask, strict=True)
  ]


def k3(log_prob, ref):
  ratio = math.exp(ref) / math.exp(log_prob)
  return ratio - 1 - math.log(ratio)


def grpo(samples, eta, clip, is_dr):
  """Sum over samples of their loss.

  Args:
    samples: for each, its advantage and for each token the log-probabilities
      under the policy, the one that sampled and the reference.
  """
  total = 0.0
  for advantage, tokens in samples:
    of_tokens = [
      ppo(new, old, advantage, clip) + eta * k3(new, ref)
      for new, old, ref in tokens
    ]
    total += sum(of_tokens) if is_dr else statistics.fmean(of_tokens)
  return total


def gae(rewards, values, discount, decay):
  """Of one sequence: the sum of later errors, each discounted."""
  length = len(rewards)
  following = [*values[1:], 0.0]
  errors = [
    rewards[t] + discount * following[t] - values[t] for t in range(length)
  ]
  return [
    sum((discount * decay) ** (s - t) * errors[s] for s in range(t, length))
    for t in range(length)
  ]


def ppo(log_prob, old, advantage, clip):
  ratio = math.exp(log_prob) / math.exp(old)
  if advantage >= 0:
    return -advantage * min(ratio, 1 + clip)
  return -advantage * max(ratio, 1 - clip)


def clipped_value(value, old, target, clip):
  near = min(max(value, old - clip), old + clip)
  return max((value - target) ** 2, (near - target) ** 2) / 2


def soft_value(rewards, eta):
  weights = [math.exp(r / eta) for r in rewards]
  return eta * math.log(sum(weights) / len(weights))

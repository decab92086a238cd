"""Small MDPs by listing every trajectory, in linear space and float64."""

import math
from collections.abc import Iterator


def trajectories(mdp, state=0) -> Iterator[tuple[list, float]]:
  """Yields ([(state, action), ...], reward) of every path to the end."""
  end = len(mdp.rewards) - 1
  if state == end:
    yield [], 0.0
    return
  for action in range(len(mdp.rewards[state])):
    if mdp.ref_log_probs[state][action] == -math.inf:
      continue
    paid = float(mdp.rewards[state][action])
    for path, rest in trajectories(mdp, int(mdp.next_states[state][action])):
      yield [(state, action), *path], paid + rest


def probability(path, log_probs) -> float:
  return math.prod(math.exp(log_probs[s][a]) for s, a in path)


def soft_value(mdp, state, eta) -> float:
  """eta ln E_ref[exp(R / eta)] from a state on."""
  return eta * math.log(
    sum(
      probability(path, mdp.ref_log_probs) * math.exp(reward / eta)
      for path, reward in trajectories(mdp, state)
    )
  )


def soft_q_value(mdp, state, action, eta) -> float:
  after = soft_value(mdp, int(mdp.next_states[state][action]), eta)
  return float(mdp.rewards[state][action]) + after


def outcome(mdp, log_probs, eta) -> tuple[float, float, float]:
  """Reward, KL of whole trajectories and objective of a policy."""
  reward = kl = 0.0
  for path, paid in trajectories(mdp):
    p = probability(path, log_probs)
    if p > 0:
      reward += p * paid
      kl += p * math.log(p / probability(path, mdp.ref_log_probs))
  return reward, kl, reward - eta * kl


def distribution(mdp, state, action) -> dict[float, float]:
  """Distribution of the reward-to-go under the reference, after a choice."""
  found = {}
  for path, reward in trajectories(mdp, int(mdp.next_states[state][action])):
    total = round(float(mdp.rewards[state][action]) + reward, 6)
    p = probability(path, mdp.ref_log_probs)
    found[total] = found.get(total, 0.0) + p
  return found

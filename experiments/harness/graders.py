"""The rewards of a run at work: worker processes, or reward models."""

import contextlib

import ml_collections

from experiments.harness import beforehand, questions
from qsharp_jax import reward_models, rewards, sharding


class Graders:
  """Starts each reward once, by its name, and tries it; a context manager."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    splits: questions.Splits,
    layout: sharding.Layout,
  ):
    """Starts nothing yet.

    Args:
      config: the experiment's.
      splits: questions to try rewards on.
      layout: of the devices.
    """
    self._config, self._splits, self._layout = config, splits, layout
    self._started: dict[str, rewards.Grader] = {}
    self._stack = contextlib.ExitStack()

  def __enter__(self) -> "Graders":
    return self

  def __exit__(self, *exc_info) -> None:
    self._stack.close()

  def start(self, name: str) -> rewards.Grader:
    """What grades by a reward.

    Raises:
      InputError: a reward that does not load, or that grades nothing.
    """
    if name not in self._started:
      found = self._stack.enter_context(self._grader(name))
      beforehand.check_reward(name, found, self._splits)
      self._started[name] = found
    return self._started[name]

  def device_bytes(self, length: int) -> int:
    """Bytes of each device that all of them keep; see `rewards.Grader`."""
    return sum(found.device_bytes(length) for found in self._started.values())

  def _grader(
    self, name: str
  ) -> contextlib.AbstractContextManager[rewards.Grader]:
    config = self._config
    share = config.reward_max_failed_share
    if reward_models.names.is_model(name):
      return contextlib.nullcontext(
        reward_models.ModelGrader(
          name, self._layout, dtype=config.dtype, max_failed_share=share
        )
      )
    return rewards.GradingPool(
      name, config.reward_workers, max_failed_share=share
    )

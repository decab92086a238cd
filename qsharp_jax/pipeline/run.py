"""One run: everything that its stages share."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from absl import logging

from qsharp_jax import generate, rewards, rollout, sharding, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import places
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.pipeline import on_device
from qsharp_jax.pipeline import paths as paths_lib
from qsharp_jax.pipeline import workdir as workdir_lib
from qsharp_jax.sharding import processes

_MOST_HELD = 2  # an earlier round's values guide, the last one's judge


@dataclasses.dataclass(frozen=True)
class Task:
  """Problems with their prompts, and how a completion is graded."""

  train: Sequence[rollout.Problem]
  validation: Sequence[rollout.Problem]
  test: Sequence[rollout.Problem]
  decode: Callable[[list[int]], str]
  grade: rewards.GradeFn
  reward: str = ""  # its name, and the digest of its source
  is_standardised: bool = False  # by the rewards of round 1
  # That grading keeps on each device, a reward model's.
  grading_bytes: int = 0
  # What methods on pairs learn from; without any, from graded samples.
  preferences: Sequence[rollout.Preference] = ()
  # Least and greatest reward, where the reward says so.
  bounds: tuple[float, float] | None = None
  # Which answers are one in a majority vote; None: equal spellings.
  same_as: rewards.classes.SameAs | None = None


@dataclasses.dataclass(frozen=True)
class Players:
  """The frozen reference and the value model that guides it."""

  policy: generate.Policy  # with the value model and the roll-in's guidance
  reference_params: PyTree  # placed for decoding
  critic: training.Critic
  start: str  # directory or hub id that the value model starts from
  family: str  # of the value model, for export
  q_head: str  # where a Q-type head starts: `lm_head` or `zeros`
  reference: str  # directory or hub id of the reference


@dataclasses.dataclass(frozen=True)
class Rounds:
  """How rounds are made; the defaults are the paper's."""

  num_rounds: int = 2
  num_samples: int = 16
  eta: float = 0.1  # of the guided roll-in, KL weight in reward units
  rule: rollout.switch.Rule = "response"
  is_warm: bool = False  # go on from the last round instead of starting anew
  seed: int = 0


@dataclasses.dataclass(frozen=True)
class Run:
  """One run: everything that its stages share."""

  task: Task
  players: Players
  rounds: Rounds
  sampling: generate.Sampling
  fit: training.Fit
  layout: sharding.Layout
  workdir: workdir_lib.Workdir
  # Values that guide and judge in an evaluation, by their round.
  held: dict[int, PyTree] = dataclasses.field(default_factory=dict, repr=False)
  # Where the devices collect on their own: the reward that they know, and what
  # they have collected. Needs the rule `algorithm1` after round 1.
  reward: rollout.on_device.Reward | None = None
  aggregate: on_device.Aggregate = dataclasses.field(
    default_factory=on_device.Aggregate, repr=False
  )

  @property
  def paths(self) -> paths_lib.RunPaths:
    """Where the run keeps what it makes."""
    return paths_lib.RunPaths(self.workdir.path)

  def load(self, directory: places.Path) -> PyTree:
    """A value model of this run's shape, placed for decoding."""
    model = self.players.critic.model
    _, _, params = huggingface.load_value_model(
      directory,
      dtype=model.config.dtype,
      param_dtype=model.config.dtype,
      shardings=self.layout.for_decoding(model),
    )
    return params

  def values(self, round_index: int) -> PyTree:
    """The value model of a finished round; the newest two are read once.

    They stay on the devices: training holds what it loads itself.
    """
    if round_index not in self.held:
      while len(self.held) >= _MOST_HELD:
        del self.held[next(iter(self.held))]
      self.held[round_index] = self.load(self.paths.value(round_index))
    return self.held[round_index]

  def follow_reward(self, stores: Iterable[places.Path]) -> None:
    """Grades stored samples again, without sampling, where the reward changed.

    It is another one when its name or, of a function by path, its source is: a
    reward that failed can be mended, and the same command goes on.
    """
    for store in stores:
      count = rollout.grading.grade_again(
        store, self.task.grade, self.task.reward
      )
      if count:
        logging.warning("%s: %d shards were graded again", store, count)
    processes.barrier("grading again")

  def is_lazy(self, policy: generate.Policy) -> bool:
    """Whether a policy may leave candidates unscored as this run samples."""
    return policy.at(self.sampling.top_p).is_lazy

  def unguided(self, **changes) -> generate.Policy:
    """The policy without its values."""
    changes = {"value": None, "guidance": None} | changes
    return dataclasses.replace(self.players.policy, **changes)

  def sampler(self, value_params: PyTree | None) -> rollout.Sampler:
    """Samples with the given values, or with the reference alone.

    Candidates may be left unscored: the KL of such samples is NaN.
    """
    return self._sampler(*self._guided(value_params), self.sampling)

  def device_sampler(
    self, value_params: PyTree | None, buffer: rollout.buffer.Buffer
  ) -> rollout.on_device.Sampler:
    """As `sampler`, on the devices, into a buffer, by the reward of the run."""
    policy, params = self._guided(value_params)
    return rollout.on_device.Sampler(
      policy,
      {"reference": self.players.reference_params} | params,
      self.sampling,
      self.reward,
      buffer,
      decode=self.task.decode,
      place=self.layout.place,
    )

  def _guided(
    self, value_params: PyTree | None
  ) -> tuple[generate.Policy, dict[str, PyTree]]:
    """The policy with the given values, or without any."""
    if value_params is None:
      return self.unguided(), {}
    return self.players.policy, {"value": value_params}

  def sampler_of(
    self,
    policy: generate.Policy,
    params: PyTree,
    sampling: generate.Sampling | None = None,
  ) -> rollout.Sampler:
    """Samples with any policy, all candidates scored: the KL is exact.

    Where the policy may leave candidates unscored, so do those samples of which
    no KL is asked (`rollout.Plan.kl_every`).

    Args:
      policy: who samples.
      params: those beside the reference's.
      sampling: if not the run's own.
    """
    sampling = sampling or self.sampling
    whole = dataclasses.replace(policy, num_scored=0)
    sampler = self._sampler(whole, params, sampling)
    if not self.is_lazy(policy):
      return sampler

    def complete_part(
      requests: Sequence[generate.Request], part: rollout.partly.Part
    ) -> Iterator[list[generate.Completion]]:
      wide = dataclasses.replace(
        sampling,
        batch_size=sampling.batch_size * part.widen,
        prompts_per_refill=sampling.prompts_per_refill * part.widen,
      )
      own = whole if part.is_whole else policy
      return self._sampler(own, params, wide).complete(requests)

    return dataclasses.replace(sampler, complete_part=complete_part)

  def _sampler(
    self,
    policy: generate.Policy,
    params: PyTree,
    sampling: generate.Sampling,
  ) -> rollout.Sampler:
    params = {"reference": self.players.reference_params} | params
    return self.searcher(
      lambda requests: generate.generate(
        policy, params, requests, sampling, place=self.layout.place
      )
    )

  def searcher(self, complete: generate.requests.Complete) -> rollout.Sampler:
    """Samples with anything that turns requests into completions."""
    return rollout.Sampler(
      complete=complete,
      batch_size=self.sampling.batch_size,
      decode=self.task.decode,
      grade=self.task.grade,
      reward=self.task.reward,
    )

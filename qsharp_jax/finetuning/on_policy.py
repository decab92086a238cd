"""Batches that the policy in training samples itself."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from qsharp_jax import data, generate, models, rollout
from qsharp_jax.core import files
from qsharp_jax.core import seeds as seeds_lib
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base
from qsharp_jax.finetuning import experience as experience_lib
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import divergence
from qsharp_jax.training import fit as fit_lib


@dataclasses.dataclass(frozen=True)
class Plan(base.Settings):
  """How much is sampled and trained on; what all on-policy methods share.

  An iteration samples, then passes over its samples `fit.num_epochs` times in
  batches of at most `fit.batch_size` rows. Its samples are packed first, so how
  many batches they fill depends on their lengths: steps are counted for the
  longest ones, and those that are not needed are skipped. Optimizer and
  learning rate see the others alone; under the schedule `cosine`, which is
  planned for all steps, the rate does not reach its end.
  """

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=1e-6, num_epochs=1)
  eta: float = 0.05  # KL weight in reward units
  num_iterations: int = 200
  prompts_per_iteration: int = 128
  num_samples: int = 4  # of each prompt

  def __post_init__(self) -> None:
    """Refuses what means nothing."""
    sizes = (self.num_iterations, self.prompts_per_iteration, self.num_samples)
    if not (self.eta > 0 and min(sizes) > 0):
      raise InputError(
        f"eta is {self.eta}, num_iterations, prompts_per_iteration and "
        f"num_samples are {sizes}; expected all > 0"
      )


class Collector:
  """Samples at the start of each iteration; see `fit_lib.Batches`.

  Sampling is at temperature 1 without top-p: a policy that only sees its own
  most likely tokens explores nothing, and the log-probabilities are its own.
  Seeds come from the iteration, so that a resumed run samples what one never
  interrupted would have sampled.

  Attributes:
    num_steps: of all iterations.
    block: steps of one iteration.
  """

  def __init__(
    self,
    job: base.Job,
    problems: Sequence[rollout.Problem],
    plan: Plan,
    credit: experience_lib.Credit,
  ):
    """Makes the batches.

    Args:
      job: the policy, and the run that grades; `metrics.json` in its directory
        gets the means of every iteration.
      problems: what to sample, in random order.
      plan: sizes.
      credit: from samples to labels.

    Raises:
      InputError: a prompt with its longest completion exceeds a row.
    """
    run, model = job.run, job.model
    self._job, self._problems, self._plan = job, problems, plan
    self._credit, self._file = credit, job.directory / "metrics.json"
    self._metrics: dict[int, dict[str, float]] = {}  # by iteration
    longest_prompt = max(len(problem.prompt) for problem in problems)
    longest = longest_prompt + run.sampling.max_new_tokens
    if longest > plan.fit.max_length:
      raise InputError(
        f"a prompt of {longest_prompt} tokens with max_new_tokens "
        f"{run.sampling.max_new_tokens} exceeds the rows of fit.max_length "
        f"{plan.fit.max_length}; expected at least {longest}"
      )
    self._policy = run.unguided(actor=model)
    self._sampling = _sampling(run.sampling, plan, longest_prompt)
    self._for_decoding = _for_decoding(model, run)
    num_rows = data.packing.most_rows(
      plan.prompts_per_iteration * plan.num_samples,
      longest=longest,
      length=plan.fit.max_length,
    )
    self.block = plan.fit.num_epochs * -(-num_rows // plan.fit.batch_size)
    self.num_steps = plan.num_iterations * self.block

  def __call__(
    self, step: int, params: PyTree
  ) -> Mapping[str, np.ndarray] | None:
    """The batch at a step; the first of an iteration samples for all.

    None once the iteration's samples have been passed over.
    """
    iteration, offset = divmod(step, self.block)
    fit = self._plan.fit
    if offset == 0:
      self._loader = None
      if step:  # before time is spent on what such a policy would say
        divergence.check_weights(step, params)
      rows = self._collect(iteration, params)
      if len(rows.tokens):
        self._loader = data.Loader(
          rows,
          batch_size=fit.batch_size,
          seed=seeds_lib.stable_seed(fit.seed, "order", iteration),
          is_even=True,
        )
    if self._loader is None:
      return None
    is_over = offset >= fit.num_epochs * self._loader.steps_per_epoch
    return None if is_over else self._loader.batch(offset)

  def metrics(self, step: int) -> Mapping[str, float]:
    """Means of the samples, at the first step of an iteration."""
    iteration, offset = divmod(step, self.block)
    return self._metrics[iteration] if offset == 0 else {}

  def _collect(self, iteration: int, params: PyTree) -> data.Packed:
    experience = self._sample(iteration, params)
    self._write(iteration, experience_lib.summary(experience))
    rows = data.packing.pack(
      list(
        experience_lib.sequences(
          experience, self._credit.of_samples(experience)
        )
      ),
      length=self._plan.fit.max_length,
    )
    if not len(rows.tokens):  # every reward failed
      return rows
    return rows._replace(labels=self._credit.of_rows(params, rows))

  def _sample(
    self, iteration: int, params: PyTree
  ) -> experience_lib.Experience:
    plan = self._plan
    first = iteration * plan.prompts_per_iteration
    places = range(first, first + plan.prompts_per_iteration)
    problems = self._chosen(places)
    requests = [
      generate.Request(
        problem.prompt,
        [
          seeds_lib.stable_seed(plan.fit.seed, "on_policy", place, i)
          for i in range(plan.num_samples)
        ],
      )
      for place, problem in zip(places, problems, strict=True)
    ]
    actor = self._for_decoding(plan.policy(params))
    sampler = self._job.run.sampler_of(
      self._policy, {"actor": actor}, self._sampling
    )
    completions = list(sampler.complete(requests))
    rewards, is_graded = self._job.grade(
      f"grades of iteration {iteration}",
      [p for p in problems for _ in range(plan.num_samples)],
      [c.tokens.tolist() for group in completions for c in group],
    )

    def column(values, dtype):
      return np.array(values, dtype).reshape(len(problems), plan.num_samples)

    return experience_lib.Experience(
      problems,
      completions,
      rewards=column(rewards, np.float32),
      is_graded=column(is_graded, bool),
    )

  def _chosen(self, places: Sequence[int]) -> list[rollout.Problem]:
    """The problems at places of an endless stream: epoch after epoch."""
    num = len(self._problems)

    def order(epoch):
      return np.random.default_rng([self._plan.fit.seed, epoch]).permutation(
        num
      )

    orders = {epoch: order(epoch) for epoch in {p // num for p in places}}
    return [self._problems[orders[p // num][p % num]] for p in places]

  def _write(self, iteration: int, found: dict[str, float]) -> None:
    """Keeps the means; what an interrupted attempt wrote later goes."""
    self._metrics[iteration] = found
    if not processes.is_main():
      return
    rows = []
    if self._file.exists():
      rows = json.loads(self._file.read_text())["iterations"]
    rows = [row for row in rows if row["iteration"] < iteration]
    rows.append({"iteration": iteration} | found)
    files.replace(self._file, json.dumps({"iterations": rows}, indent=2))


def _sampling(
  sampling: generate.Sampling, plan: Plan, longest_prompt: int
) -> generate.Sampling:
  """Sizes that are the same in every iteration: one program for all."""
  batch_size = min(sampling.batch_size, plan.prompts_per_iteration)
  bucket = sampling.prompt_bucket
  return dataclasses.replace(
    sampling,
    temperature=1.0,
    top_p=1.0,
    batch_size=batch_size,
    prompts_per_refill=min(sampling.prompts_per_refill, batch_size),
    prompt_bucket=-(-longest_prompt // bucket) * bucket,
  )


def _for_decoding(
  model: models.LanguageModel, run: run_lib.Run
) -> Callable[[PyTree], PyTree]:
  """Copies parameters in training to where and how decoding wants them."""

  def cast(params):
    return jax.tree.map(lambda x: x.astype(model.config.dtype), params)

  return jax.jit(cast, out_shardings=run.layout.for_decoding(model))

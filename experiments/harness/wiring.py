"""From a config to the pieces of a run; its models come from `casting`."""

import dataclasses

import jax
import ml_collections

from experiments.harness import (
  beforehand,
  casting,
  checks,
  graders,
  lengths,
  memory_checks,
  methods,
  preferring,
  prompting,
  questions,
)
from qsharp_jax import (
  data,
  generate,
  pipeline,
  rewards,
  rollout,
  sharding,
  training,
)
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import seeds
from qsharp_jax.sharding import mesh as mesh_lib


def layout(config: ml_collections.ConfigDict) -> sharding.Layout:
  """A mesh over all devices; a 0 in the shape stands for all that is left."""
  shape = list(config.mesh)
  if 0 in shape:
    rest = max(1, shape[0] or 1) * max(1, shape[1]) * max(1, shape[2])
    shape[shape.index(0)] = max(1, jax.device_count() // rest)
  mesh = mesh_lib.make_mesh(tuple(shape))
  checks.check_rows(config, mesh.shape["data"] * mesh.shape["fsdp"])
  return sharding.Layout(mesh)


def task(
  config: ml_collections.ConfigDict,
  splits: questions.Splits,
  tokenizer: data.Tokenizer,
  grader: rewards.Grader,
) -> pipeline.Task:
  """Prompts and gold answers of the three splits, and what grades them."""
  stops = casting.stops_of(config)
  is_standardised = config.get("reward_is_standardised", False)
  return pipeline.Task(
    **prompting.problems(config, splits, tokenizer),
    decode=lambda ids: data.stops.cut(tokenizer.decode(ids), stops),
    grade=grader.grade,
    reward=grader.identity,
    is_standardised=is_standardised,
    preferences=preferring.tokenised(config, tokenizer),
    bounds=None if is_standardised else grader.traits.bounds,
    same_as=rewards.classes.equivalence_of(config.reward, grader),
  )


def sampling(config: ml_collections.ConfigDict) -> generate.Sampling:
  """How to sample."""
  own = config.sampling
  return generate.Sampling(
    temperature=own.temperature,
    top_p=own.top_p,
    max_new_tokens=own.max_new_tokens,
    batch_size=own.batch_size,
    prompts_per_refill=own.prompts_per_refill,
    prompt_bucket=own.prompt_bucket,
  )


def run(
  config: ml_collections.ConfigDict,
  splits: questions.Splits,
  workdir: pipeline.Workdir,
  grader: rewards.Grader,
  where: sharding.Layout,
) -> pipeline.Run:
  """Everything of one run, models loaded: last, since that takes longest."""
  context = min(
    huggingface.families.from_hf(huggingface.read_config(path)).max_length
    for path in (config.reference, config.value.start or config.reference)
  )
  tokenizer = data.tokenizer.load(config.reference)
  found = task(config, splits, tokenizer, grader)
  problems = [*found.train, *found.validation, *found.test]
  lengths.check(config, problems, context)
  longest = max(len(problem.prompt) for problem in problems)
  found = dataclasses.replace(
    found,
    grading_bytes=grader.device_bytes(longest + config.sampling.max_new_tokens),
  )

  def check(policy):
    return memory_checks.collection(
      config, policy, where, longest, found.grading_bytes
    )

  cast = casting.players(config, tokenizer, where, check, found.bounds)
  how = training.Fit(**config.fit, seed=config.seed)
  num_microbatches = memory_checks.values(
    how,
    cast.policy,
    where.mesh,
    memory_checks.available(where),
    found.grading_bytes,
  )
  rounds = config.rounds.to_dict()
  rounds.pop("method")
  reward = None
  if rounds.pop("on_device"):
    reward = rollout.on_device.path(
      tokenizer, max_new_tokens=config.sampling.max_new_tokens
    )
  return pipeline.Run(
    task=found,
    players=cast,
    rounds=pipeline.Rounds(**rounds, seed=config.seed),
    sampling=sampling(config),
    fit=dataclasses.replace(how, num_microbatches=num_microbatches),
    layout=where,
    workdir=workdir,
    reward=reward,
  )


def bench(
  config: ml_collections.ConfigDict,
  run: pipeline.Run,
  started: graders.Graders,
) -> methods.Bench:
  """What methods are made from; they may start other rewards."""
  gold = None
  if config.rounds.num_samples == 1:
    # One sample makes no pair: the gold answer is the other half.
    tokenizer = data.tokenizer.load(config.reference)

    def gold(problem):
      return data.prompts.completion(problem.answer, tokenizer)

  def reward(name: str) -> rollout.grading.Reward:
    if name == config.reward:  # in the units of the run
      return rollout.grading.Reward(run.task.grade, run.task.reward)
    found = started.start(name)
    return rollout.grading.Reward(found.grade, found.identity)

  return methods.Bench(config, run, reward, gold)


def evaluation(
  own: methods.Bench, columns: pipeline.jobs.ColumnsFn
) -> pipeline.Evaluation:
  """What to compare."""
  config = own.config
  return pipeline.Evaluation(
    methods.build(own),
    config.evaluation.num_samples,
    seeds.stable_seed("evaluation", config.seed),
    columns=columns,
    num_reference_samples=config.evaluation.num_reference_samples,
    objective_eta=config.evaluation.objective_eta,
    compare=judging(own),
    # Runs of earlier versions had none.
    kl_every=config.evaluation.get("kl_every", 1),
  )


def check_evaluation(
  own: methods.Bench, what: pipeline.Evaluation, started: graders.Graders
) -> None:
  """Refuses what would not fit once the values are there."""
  longest = memory_checks.longest(own.run) + own.run.sampling.max_new_tokens
  memory_checks.evaluation(own.run, what, started.device_bytes(longest))
  beforehand.check_disk(own.run, own.tuned.values())


def judging(bench: methods.Bench) -> pipeline.jobs.CompareFn | None:
  """What reports say of answers to chat; None without such a section."""
  if "alignment" not in bench.config:
    return None
  own, reward = bench.config.alignment, bench.reward
  measure = pipeline.judging.by_hidden_states(bench.run)
  if own.coherence:
    function = rewards.resolve(own.coherence)
    measure = pipeline.judging.by_function(own.coherence, function)
  others = {name: reward(path) for name, path in own.columns.items()}
  judge = reward(own.judge)
  return pipeline.judging.Judging(judge, own.margin, others, measure).columns


def pretraining_fit(config: ml_collections.ConfigDict) -> training.Fit:
  """How that reference is trained."""
  names = {field.name for field in dataclasses.fields(training.Fit)}
  own = {k: v for k, v in config.pretrain.items() if k in names}
  return training.Fit(schedule="cosine", seed=config.seed, **own)

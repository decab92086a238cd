"""From a config to the pieces of a run: the only reader of configs."""

import dataclasses
from collections.abc import Callable

import jax
import ml_collections

from experiments.harness import (
  beforehand,
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
  models,
  pipeline,
  rewards,
  rollout,
  sharding,
  training,
)
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import seeds
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided
from qsharp_jax.ops import distributions
from qsharp_jax.sharding import mesh as mesh_lib

_NUM_ATOMS = 51  # of a distribution, where the config does not say


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
  stops = stops_of(config)
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


def stops_of(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Strings that end an answer; runs of earlier versions had none."""
  return tuple(config.sampling.get("stop", ()))


def loss_of(config: ml_collections.ConfigDict) -> str:
  """The loss of the values: one for distributions, unless verdicts are all."""
  own = config.value
  if own.loss != "auto":
    return own.loss
  is_verdict = config.reward in rewards.registry.NAMED and own.num_atoms < 2
  return "bernoulli" if is_verdict else "categorical"


def num_atoms_of(config: ml_collections.ConfigDict) -> int:
  """Logits of a value: 0 in the config leaves it to the loss."""
  is_categorical = loss_of(config) == "categorical"
  return config.value.num_atoms or (_NUM_ATOMS if is_categorical else 1)


def critic(
  config: ml_collections.ConfigDict,
  start: str,
  bounds: tuple[float, float] | None = None,
) -> tuple[training.Critic, str]:
  """The value model's shape, and its family; no weights are read yet."""
  hf_config = huggingface.read_config(start)
  decoder = huggingface.families.from_hf(hf_config, dtype=config.dtype)
  return critic_of(config, decoder, bounds), hf_config["model_type"]


def critic_of(
  config: ml_collections.ConfigDict,
  decoder: models.DecoderConfig,
  bounds: tuple[float, float] | None = None,
) -> training.Critic:
  """A value model on this decoder, and what its logits mean.

  Args:
    config: the experiment's.
    decoder: of the value model.
    bounds: least and greatest reward, where the reward says so; the support is
      otherwise settled by the rewards of round 1, unless the config gives it.
  """
  own, loss, num_atoms = config.value, loss_of(config), num_atoms_of(config)
  if config.reward in rewards.registry.NAMED:
    bounds = (0.0, 1.0)
  if own.v_min is not None:
    bounds = (own.v_min, own.v_max)
  atoms = None
  if loss == "categorical" and bounds is not None:
    atoms = tuple(distributions.support(*bounds, num_atoms).tolist())
  head = models.HeadConfig(
    own.head, num_atoms, _predicting_layers(config, decoder)
  )
  # Runs of earlier versions do not know the field.
  is_remat = own.get("is_rematerialised", False)
  decoder = dataclasses.replace(decoder, remat=is_remat)
  return training.Critic(models.ValueModel(decoder, head), loss, atoms)


def _predicting_layers(
  config: ml_collections.ConfigDict, decoder: models.DecoderConfig
) -> int:
  """How many layers predict what the head reads; 0 where it reads none."""
  if not config.value.reads_log_probs:
    return 0
  if not decoder.tied_embeddings:
    raise InputError(
      "value.reads_log_probs is True, and the value model's start has an "
      "output table of its own; expected tied embeddings: take another start "
      "or leave it False"
    )
  return decoder.num_layers - config.value.num_new_layers


def players(
  config: ml_collections.ConfigDict,
  tokenizer: data.Tokenizer,
  where: sharding.Layout,
  check: Callable[[generate.Policy], None] = lambda policy: None,
  bounds: tuple[float, float] | None = None,
) -> pipeline.Players:
  """Shapes both models; loads the reference if `check` refuses nothing."""
  start = config.value.start or config.reference
  found, family = critic(config, start, bounds)
  policy = _policy(config, tokenizer, found, where)
  check(policy)
  if start != config.reference:
    data.tokenizer.check_same(tokenizer, data.tokenizer.load(start))
  _, params = huggingface.load_language_model(
    config.reference,
    dtype=config.dtype,
    param_dtype=config.dtype,
    shardings=where.for_decoding(policy.reference),
  )
  return pipeline.Players(
    policy,
    params,
    found,
    start,
    family,
    config.value.q_head,
    config.reference,
  )


def _policy(
  config: ml_collections.ConfigDict,
  tokenizer: data.Tokenizer,
  found: training.Critic,
  where: sharding.Layout,
) -> generate.Policy:
  """The policy that collects; no weights are read yet."""
  hf_config = huggingface.read_config(config.reference)
  decoder = huggingface.families.from_hf(hf_config, dtype=config.dtype)
  policy = policy_of(config, decoder, found, tokenizer.eos_ids, where)
  stops = data.stops.automaton(tokenizer, stops_of(config))
  return dataclasses.replace(policy, stops=stops)


def policy_of(
  config: ml_collections.ConfigDict,
  decoder: models.DecoderConfig,
  found: training.Critic,
  eos_ids: tuple[int, ...],
  where: sharding.Layout,
) -> generate.Policy:
  """The policy that collects, from the reference's decoder."""
  guided.check(config.rounds.method)
  return generate.Policy(
    reference=where.sampling(models.LanguageModel(decoder)),
    eos_ids=eos_ids,
    value=where.sampling(found.model),
    guidance=found.guidance(config.rounds.method),
    num_candidates=config.sampling.num_candidates,
    is_guidance_tempered=config.sampling.is_guidance_tempered,
    is_truncated=config.sampling.is_truncated,
    num_scored=config.sampling.num_scored,
    top_p_of=config.sampling.top_p_of,
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

  cast = players(config, tokenizer, where, check, found.bounds)
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


def own_reference(
  config: ml_collections.ConfigDict, tokenizer: data.Tokenizer
) -> models.DecoderConfig:
  """The reference that some variants train: few sizes, else as its family."""
  own = config.pretrain
  family = huggingface.families.FAMILIES[own.family]
  sizes = {
    "vocab_size": tokenizer.vocab_size,
    "width": own.width,
    "num_layers": own.num_layers,
    "num_heads": own.num_heads,
    # Three products of a gated layer are worth four plain widths in two.
    "mlp_width": own.width * (3 if family.fixed.get("gated_mlp", True) else 4),
    "max_length": own.context,
    "norm_eps": 1e-5,
    "tied_embeddings": own.tied_embeddings,
    "init_std": own.init_std,
  }
  # What families assume of heads belongs to their large models.
  if family.defaults.get("num_key_value_heads") is not None:
    sizes["num_kv_heads"] = own.num_heads
  if family.defaults.get("head_dim") is not None:
    sizes["head_width"] = own.width // own.num_heads
  if "query_scalar" in family.keys:
    sizes["query_scalar"] = own.width // own.num_heads
  raw = {family.keys[name]: size for name, size in sizes.items()}
  decoder = huggingface.families.from_hf(
    {"model_type": own.family, **raw}, dtype=config.dtype
  )
  return dataclasses.replace(decoder, embedding_std=own.embedding_std)


def pretraining_fit(config: ml_collections.ConfigDict) -> training.Fit:
  """How that reference is trained."""
  names = {field.name for field in dataclasses.fields(training.Fit)}
  own = {k: v for k, v in config.pretrain.items() if k in names}
  return training.Fit(schedule="cosine", seed=config.seed, **own)

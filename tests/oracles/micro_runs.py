"""A run of tiny random models on prompts of a few tokens, on one device."""

import dataclasses
import itertools
import shutil

import jax
from oracles import decoders, players
from oracles import rollouts as make

from qsharp_jax import (
  generate,
  models,
  pipeline,
  rewards,
  rollout,
  sharding,
  training,
)
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.rollout import store
from qsharp_jax.sharding import mesh as mesh_lib

CONFIG = dataclasses.replace(players.CONFIG, num_layers=1)
NEW_TOKENS = 4
FAVOURITE = 5


def decode(tokens) -> str:
  return " ".join(map(str, tokens))


def prefers_favourite(texts, answers, split="", *, prompts=None):
  """The share of the favourite token, the end token not counted."""
  del answers, split, prompts
  found = []
  for text in texts:
    words = text.split()
    share = words.count(str(FAVOURITE)) / NEW_TOKENS
    found.append(rewards.Grade(share > 0, None, share))
  return found


def has_favourite(texts, answers, split="", *, prompts=None):
  """Whether the favourite token is there: rewards of 0 and 1."""
  grades = prefers_favourite(texts, answers, split, prompts=prompts)
  return [rewards.Grade(g.correct, None, float(g.correct)) for g in grades]


def one_device() -> sharding.Layout:
  """A mesh of the first device: programs compile faster than for all."""
  return sharding.Layout(
    jax.make_mesh(
      (1, 1, 1),
      mesh_lib.AXES,
      axis_types=(jax.sharding.AxisType.Auto,) * 3,
      devices=jax.devices()[:1],
    )
  )


def reference(directory, seed: int = 2):
  """Saves a random model with a file that stands for its tokenizer."""
  saving.save_language_model(
    directory,
    CONFIG,
    decoders.params(models.LanguageModel(CONFIG), seed),
    "llama",
    token_ids={"eos_token_id": list(players.EOS)},
  )
  (directory / "tokenizer.json").write_text("{}")
  return str(directory)


def run(directory, grade=prefers_favourite) -> pipeline.Run:
  """A run whose round 1 is collected: two samples of each question."""
  shutil.rmtree(directory / "run", ignore_errors=True)
  problem = lambda i: rollout.Problem(
    f"q{i}", [7, 8 + i, 9][: 2 + i % 2], "", "train" if i < 4 else "validation"
  )
  problems = [problem(i) for i in range(5)]
  path = reference(directory / "reference")
  layout = one_device()
  model = models.LanguageModel(CONFIG)
  policy = generate.Policy(model, players.EOS)
  _, params = huggingface.load_language_model(
    path, shardings=layout.for_decoding(model)
  )
  found = pipeline.Run(
    task=pipeline.Task(
      problems[:4], problems[4:], [], decode=decode, grade=grade
    ),
    players=pipeline.Players(
      policy, params, None,
      path, "llama", "zeros", path,
    ),
    rounds=pipeline.Rounds(num_rounds=1, num_samples=2),
    sampling=generate.Sampling(
      temperature=0.5, top_p=0.5, max_new_tokens=NEW_TOKENS, batch_size=4,
      prompt_bucket=4,
    ),
    fit=training.Fit(max_length=8),
    layout=layout,
    workdir=pipeline.Workdir(directory / "run", {}),
  )  # fmt: skip
  store.write_shard(
    found.paths.rollouts(1),
    0,
    [
      make.rollout(
        problem.id,
        sample,
        prompt=problem.prompt,
        tokens=[FAVOURITE, 3] if sample else [11, 12, 3],
        label=float(sample),
        split=problem.split,
      )
      for problem, sample in itertools.product(problems, range(2))
    ],
  )
  return found


def learning(directory, **changes) -> pipeline.Run:
  """A run that has everything to learn, and whose rollouts are still to come.

  A second call for the same directory is the same command again: the weights
  are written only once. Groups of changes, each a dict of fields:

  Args:
    directory: for the reference and the run.
    **changes: `problems`, `rounds`, `sampling`, `fit`, `critic`, `policy`, and
      `task`, of what they are called here.
  """
  path = directory / "reference"
  if not path.exists():
    reference(path)
  layout = one_device()
  model = models.LanguageModel(CONFIG)
  value = models.ValueModel(CONFIG, models.HeadConfig("q", 1))
  critic = training.Critic(value, "bernoulli")
  policy = generate.Policy(
    model, players.EOS, value, generate.Guidance("qsharp"), num_candidates=4
  )
  _, params = huggingface.load_language_model(
    str(path), shardings=layout.for_decoding(model)
  )
  problems = changes.get("problems") or questions()
  of_split = lambda name: [p for p in problems if p.split == name]
  change = lambda name, old: dataclasses.replace(old, **changes.get(name, {}))
  return pipeline.Run(
    task=change(
      "task",
      pipeline.Task(
        *map(of_split, ("train", "validation", "test")),
        decode=decode,
        grade=has_favourite,
        reward="favourite",
      ),
    ),
    players=pipeline.Players(
      change("policy", policy),
      params,
      change("critic", critic),
      str(path),
      "llama",
      "zeros",
      str(path),
    ),
    rounds=change(
      "rounds",
      pipeline.Rounds(
        num_rounds=2, num_samples=4, eta=0.3, rule="algorithm1", seed=13
      ),
    ),
    sampling=change(
      "sampling",
      generate.Sampling(
        max_new_tokens=NEW_TOKENS, batch_size=4, prompt_bucket=4
      ),
    ),
    fit=change(
      "fit",
      training.Fit(
        learning_rate=0.01, batch_size=4, num_epochs=1, max_length=8, seed=10
      ),
    ),
    layout=layout,
    workdir=pipeline.Workdir(directory / "run", {}),
  )


def questions() -> list[rollout.Problem]:
  """Six to train on, two of validation, two to test."""
  splits = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
  return [
    rollout.Problem(f"q{i}", [7, 8 + i, 9][: 2 + i % 2], f"gold {i}", split)
    for i, split in enumerate(splits)
  ]


def evaluated(
  directory, num_rounds: int = 2, loss: str = "bernoulli", kind: str = "q"
):
  """A run with random values of every round, ready to be evaluated.

  Four validation and six test questions: a whole batch, and one and a half.
  """
  num_atoms = len(players.ATOMS) if loss == "categorical" else 1
  head = models.HeadConfig(kind, num_atoms)
  value = models.ValueModel(CONFIG, head)
  atoms = tuple(players.ATOMS.tolist()) if num_atoms > 1 else None
  policy = generate.Policy(
    models.LanguageModel(CONFIG),
    players.EOS,
    value,
    generate.Guidance("qsharp", loss, atoms),
    players.CANDIDATES,
  )
  found = run(directory)
  found = dataclasses.replace(
    found,
    task=dataclasses.replace(
      found.task,
      validation=_problems("validation", 4),
      test=_problems("test", 6),
    ),
    players=dataclasses.replace(
      found.players,
      policy=policy,
      critic=training.Critic(value, loss, atoms),
    ),
    rounds=pipeline.Rounds(num_rounds=num_rounds, eta=0.1),
    sampling=dataclasses.replace(found.sampling, temperature=1.0, top_p=1.0),
    fit=training.Fit(max_length=16, batch_size=4),
  )
  for i in range(1, num_rounds + 1):
    params = jax.tree.map(lambda x: 2 * x, decoders.params(value, 10 + i))
    saving.save_value_model(found.paths.value(i), CONFIG, head, params, "llama")
  return found


def _problems(split: str, num: int) -> list[rollout.Problem]:
  return [
    rollout.Problem(f"{split}-{i}", [7, 8 + i, 9][: 2 + i % 2], f"a{i}", split)
    for i in range(num)
  ]

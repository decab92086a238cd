r"""Configurations of `python -m experiments.abstention`.

--config=abstention:VARIANT, VARIANT being one of

stars  (default) G(2, 3) with 10 nodes: an answer begins with `?`, which
       declines and pays 0.6, or with `!`, and then the path. The reference
       declines 40% and is right in half of its attempts. 2 CPU cores.
words  The word problems of `gsm8k:tiny`, harder ones, where `#### ?` declines
       and pays 0.3: no sign commits, the first digit does. 2 CPU cores.
local  Any model directory and any questions with answers, a phrase that
       declines and what it pays:
       --config.reference=DIR --config.value.start=DIR
       --config.data.source=jsonl:DIR_WITH_TRAIN_AND_TEST
       --config.abstention.phrase="I do not know" --config.abstention.pays=0.3
       --config.reward=qsharp_jax.tasks.abstention:boxed

The reward is a grader of qsharp_jax/tasks/abstention.py, named by its path.

Why values are categorical: a law of 0, 0.6 and 1 is no coin. Eleven atoms have
all three among them.

Why stars: all of them are alike, so theory has every number. Their values are
those of experiments/configs/star_graph.py, new layers on the frozen reference,
and need as many steps: with half of the graphs they knew what to commit to, and
not yet which arm is right (docs/reproducing.md). The variant was not run as it
is.

Why `!`: were the first node the first token, it would be right or wrong by
itself, and the mean of a sure thing misleads nobody.
"""

import ml_collections

from experiments.configs import base, gsm8k, star_graph


def get_config(variant: str = "stars") -> ml_collections.ConfigDict:
  """The configuration of a variant."""
  variants = {"stars": _stars, "words": _words, "local": _local}
  return base.choose(variants, variant)


def _stars() -> ml_collections.ConfigDict:
  config = star_graph.get_config("tiny")
  _may_decline(config, "path", phrase="?", pays=0.6, commit="!", rate=0.4)
  config.rounds.on_device = False  # the reward is another one
  config.data.update(num_train=192_000, num_validation=500, num_test=1000)
  # One more token: the sign that commits.
  length = config.fit.max_length + 1
  config.sampling.max_new_tokens += 1
  config.graphs.num_pretrain = 256_000
  config.pretrain.max_length = config.fit.max_length = length
  config.pretrain.num_epochs = 3
  config.fit.num_epochs = 4
  config.evaluation.update(num_samples=4)
  config.baselines = ml_collections.ConfigDict()
  return config


def _words() -> ml_collections.ConfigDict:
  config = gsm8k.get_config("tiny")
  _may_decline(config, "strict", phrase="#### ?", pays=0.3, rate=0.3)
  config.pretrain.mistake_rate = 0.4
  return config


def _local() -> ml_collections.ConfigDict:
  config = gsm8k.get_config("local")
  _may_decline(
    config,
    "flexible",
    phrase="I do not know",
    pays=0.3,
    invitation='If you are not sure, answer "I do not know".',
  )
  return config


def _may_decline(
  config: ml_collections.ConfigDict,
  grader: str,
  *,
  phrase: str,
  pays: float,
  commit: str = "",
  rate: float = 0.0,
  invitation: str = "",
) -> None:
  """Lets a configuration's questions be declined."""
  config.reward = f"qsharp_jax.tasks.abstention:{grader}"
  config.abstention = ml_collections.ConfigDict(
    {
      "phrase": phrase,  # declines, wherever in an answer it stands
      "pays": pays,  # in reward units; a right answer earns 1
      "commit": commit,  # an attempt begins with it; "" where there is none
      "rate": rate,  # share of a small reference's corpus that declines
      "invitation": invitation,  # every question ends with it
    }
  )
  config.value.update(loss="categorical", num_atoms=11, v_min=0.0, v_max=1.0)
  config.evaluation.update(
    methods=("qsharp", "cd"), etas=(0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
  )

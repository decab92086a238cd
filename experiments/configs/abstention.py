r"""Configurations of `python -m experiments.abstention`.

--config=abstention:VARIANT, VARIANT being one of

stars  (default) G(2, 3) with 7 nodes: an answer begins with `?`, which
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

Why values are categorical: a reward of 0, 0.6 or 1 is no coin. Eleven atoms
have all three among them.

Why stars: all of them are alike, so theory has every number.

Why 7 nodes, and these rates: the values, new layers on the frozen reference as
in experiments/configs/star_graph.py, must find that an arm's end and the goal
are one node, which they do at once after a plateau. With 40,000 graphs they are
at chance after 2 epochs and exact after 8, 9,800 small steps that take a minute
and a half; with 10 nodes and a rate of 2e-3 they were at chance after 3,000 of
128.

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
  # All graphs are distinct, and there are 60,480 of this size.
  config.graphs.update(num_nodes=7, num_pretrain=18_000)
  config.data.update(num_train=40_000, num_validation=500, num_test=1000)
  # One more token: the sign that commits.
  length = config.fit.max_length + 1
  config.sampling.max_new_tokens += 1
  # What the reference never says has values that nothing was learnt for.
  config.sampling.top_p = 0.99
  config.pretrain.update(max_length=length, batch_size=32, num_epochs=10)
  config.fit.update(
    learning_rate=4e-3, b2=0.95, batch_size=32, num_epochs=10, max_length=length
  )
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

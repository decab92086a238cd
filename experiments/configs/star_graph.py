r"""Configurations of `python -m experiments.star_graph`.

--config=star_graph:VARIANT, VARIANT being one of

tiny   (default) G(2, 3) with 10 nodes, a Llama of 3 layers of width 64. 2 CPU
       cores.
g2_5   G(2, 5) with 50 nodes, GPT-2 small from scratch.
g5_5   G(5, 5) with 50 nodes, GPT-2 small from scratch.
g3_8   G(3, 8) with 50 nodes, GPT-2 medium from scratch.

The last three are the paper's settings (arXiv 2502.20548, section 4.1): 200,000
graphs to pre-train, another 200,000 to post-train, 20,000 to test, eta 0.1,
temperature 1, 10 candidates. The paper: the reference, REINFORCE and RPO stay
at 1/d (0.5, 0.2 and 0.33), DPO falls to 0 on g5_5 and g3_8, Q# and CD come near
1. They need one GPU or TPU. g2_5 was begun on one and its value model stayed at
a loss of ln 2 (docs/reproducing.md); the others were not run.

Graphs of your own: --config.data.path=DIR with pretrain.txt, train.txt and
test.txt, or --config.data.path=FILE, cut into the three in the proportions of
the config; --config.graphs.num_nodes must exceed every label.

Why the value model of `tiny` is the reference, kept as it is, with new layers
on top: an arm's first node is right if the arm's end, which the reference is
about to say there, is the goal. With tied embeddings what it is about to say
looks like the token itself, so one comparison serves for the first node and for
the last. Above the reference it sees both; where lower layers could learn, too,
the comparison settled there on some seeds, knew the last node only, and stayed
so. From random weights a V-type head found nothing about the first choice, a
Q-type head found it in parts.

Why `init_std`: with the usual 0.02 a width of 64 hardly passes on what it
reads. Why `embedding_std`: tokens that outweigh what the first layers add keep
their identity, and the reference finds sooner how to follow an arm.

What makes `tiny` small: 10 labels, and a corpus that goes down an arm at random
(graphs.mistake_rate 0.5), so that a reference at 1/d is built in. Of right
paths alone, a model of this size learns to copy the goal in place of the last
node, whichever arm it is on; its failures then differ from its successes in
nothing but the choice that is to be learnt, and a value model of this size
found nothing in 256,000 of them. The paper's variants learn right paths only.
"""

import ml_collections

from experiments.configs import base


def get_config(variant: str = "tiny") -> ml_collections.ConfigDict:
  """The configuration of a variant."""
  small = {"width": 768, "num_layers": 12, "num_heads": 12}
  medium = {"width": 1024, "num_layers": 24, "num_heads": 16}
  variants = {
    "tiny": _tiny,
    "g2_5": lambda: _paper(2, 5, small),
    "g5_5": lambda: _paper(5, 5, small),
    "g3_8": lambda: _paper(3, 8, medium),
  }
  return base.choose(variants, variant)


def _stars(degree: int, path_length: int) -> ml_collections.ConfigDict:
  """What all variants share; batches count graphs, one in each row."""
  # Two tokens an edge, then the start, the goal and `=`.
  prompt_length = 2 * degree * (path_length - 1) + 3
  length = prompt_length + path_length + 1
  config = base.paper()
  config.data.update(source="stars:", prompt="raw")
  config.data.path = ""  # a directory or a file of graphs; "" draws them
  config.reward = "path"
  config.reward_workers = 1
  config.sampling.update(
    temperature=1.0,
    top_p=1.0,
    max_new_tokens=path_length + 1,
    prompt_bucket=prompt_length,
    num_candidates=10,
    is_truncated=True,
  )
  config.rounds.update(
    num_rounds=1, num_samples=1, rule="algorithm1", on_device=True
  )
  config.fit.update(
    schedule="cosine",
    weight_decay=0.1,
    b2=0.95,
    batch_size=256,
    max_length=length,
  )
  config.evaluation.update(
    methods=("qsharp", "cd", "rloo", "ppo", "dpo", "rpo"),
    etas=(0.1,),
    num_samples=1,
  )
  config.graphs = ml_collections.ConfigDict(
    {
      "degree": degree,  # arms
      "path_length": path_length,  # nodes of an arm, the centre counted
      "num_nodes": 50,  # labels
      "num_pretrain": 200_000,
      "mistake_rate": 0.0,  # share of pre-training paths along a wrong arm
    }
  )
  config.pretrain = ml_collections.ConfigDict(
    {
      "family": "gpt2",
      "tied_embeddings": True,
      "init_std": 0.02,
      "embedding_std": 0.02,
      "context": 128,
      "learning_rate": 2.5e-4,
      "warmup_steps": 500,
      "weight_decay": 0.1,
      "b2": 0.95,
      "batch_size": 256,
      "num_epochs": 5,
      "max_length": length,
      "checkpoint_every": 500,
    }
  )
  return config


def _paper(
  degree: int, path_length: int, sizes: dict[str, int]
) -> ml_collections.ConfigDict:
  config = _stars(degree, path_length)
  config.data.update(num_train=200_000, num_validation=2000, num_test=20_000)
  config.sampling.update(batch_size=1024, prompts_per_refill=1024)
  config.fit.update(learning_rate=1e-4, warmup_steps=500, num_epochs=10)
  config.pretrain.update(sizes)
  # 200,000 graphs, four attempts at each, in 780 iterations.
  config.baselines = _baselines(
    config, on_policy=1e-5, pairs=1e-4, iterations=780, prompts=256
  )
  return config


def _tiny() -> ml_collections.ConfigDict:
  config = _stars(2, 3)
  config.dtype = "float32"
  config.graphs.update(num_nodes=10, num_pretrain=192_000, mistake_rate=0.5)
  config.data.update(num_train=192_000, num_validation=500, num_test=2000)
  config.sampling.update(batch_size=512, prompts_per_refill=512)
  sizes = {
    "width": 64,
    "num_layers": 3,
    "num_heads": 2,
    "init_std": 0.125,
    "embedding_std": 0.25,
  }
  fit = {
    "learning_rate": 2e-3,
    "warmup_steps": 50,
    "weight_decay": 0.01,
    "b2": 0.999,
    "batch_size": 128,
    "checkpoint_every": 500,
  }
  config.pretrain.update(sizes | fit | {"family": "llama", "num_epochs": 2})
  config.value.num_new_layers = 2
  kept = {"num_frozen_layers": sizes["num_layers"]}
  config.fit.update(fit | kept | {"num_epochs": 4})
  config.baselines = _baselines(
    config, on_policy=3e-4, pairs=3e-4, iterations=200, prompts=64
  )
  return config


def _baselines(
  config: ml_collections.ConfigDict,
  *,
  on_policy: float,
  pairs: float,
  iterations: int,
  prompts: int,
) -> ml_collections.ConfigDict:
  """The policies to compare with, at these learning rates.

  Each graph has one attempt of the reference, so a pair is the right path and
  a wrong attempt.
  """
  fit = {
    "schedule": "cosine",
    "weight_decay": 0.1,
    "b2": 0.95,
    "batch_size": 256,
    "max_length": config.fit.max_length,
  }
  plan = {
    "eta": config.rounds.eta,
    "num_iterations": iterations,
    "prompts_per_iteration": prompts,
    "num_samples": 4,
  }
  sampled = fit | {"learning_rate": on_policy, "schedule": "constant"}
  once = plan | {"fit": sampled | {"num_epochs": 1}}
  # A row holds both paths of a pair.
  paired = fit | {
    "learning_rate": pairs,
    "num_epochs": 1,
    "max_length": 2 * config.fit.max_length,
  }
  return ml_collections.ConfigDict(
    {
      "rloo": once,
      "reinforce": once,  # the former name of rloo
      "grpo": once,
      "dr_grpo": once,
      "ppo": plan | {"fit": sampled | {"num_epochs": 2}},
      "dpo": {"fit": paired, "eta": config.rounds.eta},
      "rpo": {"fit": paired, "eta": config.rounds.eta},
    }
  )

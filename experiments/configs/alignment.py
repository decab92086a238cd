r"""Configurations of `python -m experiments.alignment`.

--config=alignment:VARIANT, VARIANT being one of

tiny           (default) Nothing is downloaded: a small Llama that talks about
               animals (qsharp_jax/tasks/chat.py), two reward models trained on
               planted preferences that partly conflict, and a baseline aligned
               to the second. 2 CPU cores.
hh             HH-RLHF and Pythia 6.9B, Transfer Q*'s own setup.
ultrafeedback  UltraFeedback's instructions, Zephyr 7B over Mistral 7B.
nectar         Nectar, Starling 7B over OpenChat 3.5.
local          Any models and prompts:
               --config.reference=DIR --config.value.start=DIR
               --config.data.source=jsonl:DIR_WITH_TRAIN_AND_TEST
               --config.reward=model:DIR --config.alignment.judge=model:DIR
               and either --config.preferences.source=jsonl:FILE, from which the
               baseline is DPO-trained, or
               --config.search.transfer.baseline=DIR, an aligned model.

The judge, a second reward model, prefers answers by more than
`alignment.margin`; it is also what `transfer_indirect` takes for the reward of
its baseline. `alignment.columns` names further rewards to report.

hh, ultrafeedback and nectar need devices for models of 7B, and were not run
here; no expected numbers are recorded. Transfer Q* (arXiv 2405.20495) takes 300
prompts, 128 new tokens and 10 candidates, and reports mean reward, diversity,
coherence and wins over the reference's answers by a judge. Pythia's models come
as pytorch_model.bin, which is not read: convert them (docs/models.md) and name
the directories.
"""

import ml_collections

from experiments.configs import base

_NUM_PROMPTS = 300  # of a test, as in the paper
_NUM_ROLLOUTS = 4  # of one alone, all weights of indirect transfer are 1

METHODS = (
  *("qsharp", "cd", "args", "transfer", "transfer_indirect"),
  *("transfer_other", "dpo_q", "best_of_n", "blocks", "ppo", "grpo", "dpo"),
  "front",
)


def get_config(variant: str = "tiny") -> ml_collections.ConfigDict:
  """The configuration of a variant."""
  variants = {
    "tiny": _tiny,
    "hh": _hh,
    "ultrafeedback": _ultrafeedback,
    "nectar": _nectar,
    "local": _local,
  }
  return base.choose(variants, variant)


def _alignment() -> ml_collections.ConfigDict:
  """What all variants share."""
  config = base.paper()
  config.data.answer_key = ""
  config.reward = "model:"
  config.reward_is_standardised = True
  config.alignment = ml_collections.ConfigDict(
    {
      "judge": "model:",  # a reward: of win, tie and lose
      "margin": 0.1,  # by which an answer must be better, in its units
      # package.module:function, (questions, answers) to numbers; "": cosines of
      # the guide's mean hidden states.
      "coherence": "",
      "columns": {},  # more rewards by the names of their columns
    }
  )
  config.evaluation.update(
    methods=METHODS, etas=(0.05, 0.1, 0.2, 0.5), objective_eta=0.1
  )
  return config


def _local() -> ml_collections.ConfigDict:
  config = _alignment()
  config.dtype = "float32"
  config.data.source = "jsonl:"
  return config


def _hh() -> ml_collections.ConfigDict:
  config = base.guide(
    _alignment(), "lomahony/eleuther-pythia6.9b-hh-sft", "EleutherAI/pythia-1b"
  )
  config.data.update(
    source="hub:Dahoas/full-hh-rlhf",
    question_key="prompt",
    prompt="raw",
    num_test=_NUM_PROMPTS,
  )
  config.sampling.update(max_new_tokens=128, stop=("\n\nHuman:",))
  config.reward = "model:usvsnsp/pythia-6.9b-rm-full-hh-rlhf"
  config.alignment.judge = "model:Skywork/Skywork-Reward-V2-Qwen3-0.6B"
  _baseline(config, "lomahony/eleuther-pythia6.9b-hh-dpo")
  return config


def _ultrafeedback() -> ml_collections.ConfigDict:
  config = base.guide(_alignment(), "HuggingFaceH4/mistral-7b-sft-alpha", "")
  config.data.update(
    **_split_off("hub:openbmb/UltraFeedback"), question_key="instruction"
  )
  config.sampling.max_new_tokens = 128
  config.reward = "model:weqweasdas/RM-Mistral-7B"
  config.alignment.judge = "model:weqweasdas/RM-Gemma-2B"
  _baseline(config, "HuggingFaceH4/zephyr-7b-alpha")
  return config


def _nectar() -> ml_collections.ConfigDict:
  config = base.guide(_alignment(), "openchat/openchat_3.5", "")
  config.data.update(
    **_split_off("hub:berkeley-nest/Nectar"),
    question_key="prompt",
    prompt="chat",
  )
  config.sampling.update(max_new_tokens=128, stop=("\n\nHuman:",))
  config.reward = "model:weqweasdas/RM-Mistral-7B"
  config.alignment.judge = "model:weqweasdas/RM-Gemma-2B"
  _baseline(config, "berkeley-nest/Starling-LM-7B-alpha")
  return config


def _split_off(source: str) -> dict[str, str]:
  """Prompts for tests out of data that are one split, and the others."""
  return {
    "source": f"{source}::train[{_NUM_PROMPTS}:]",
    "test_source": f"{source}::train[:{_NUM_PROMPTS}]",
  }


def _baseline(config: ml_collections.ConfigDict, directory: str) -> None:
  """A given aligned model, and rewards of its transfer."""
  config.search.transfer.update(
    baseline=directory,
    other_baseline=directory,
    reward=config.reward,
    baseline_reward=config.alignment.judge,
    num_candidates=10,
    num_rollouts=_NUM_ROLLOUTS,
  )
  config.search.judge = config.reward
  config.search.front.reward = config.alignment.judge
  config.evaluation.methods = tuple(
    name for name in METHODS if name not in ("dpo_q", "dpo", "transfer_other")
  )


def _tiny() -> ml_collections.ConfigDict:
  config = _alignment()
  config.dtype = "float32"
  config.reward_workers = 1
  config.reward_is_standardised = False  # it is in planted units
  config.data.update(
    source="chat:", prompt="hh", num_train=384, num_validation=32, num_test=64
  )
  config.sampling.update(
    temperature=1.0,
    top_p=1.0,
    max_new_tokens=24,
    stop=("\n\nHuman:",),
    batch_size=64,
    prompts_per_refill=16,
    prompt_bucket=16,
    num_candidates=10,
  )
  config.value.num_atoms = 33
  config.rounds.update(num_samples=24, rule="algorithm1", is_warm=True)
  # Small batches: minutes hold more steps.
  fit = {"weight_decay": 0.0, "b2": 0.95, "batch_size": 16, "max_length": 64}
  config.fit.update(
    fit
    | {
      "learning_rate": 2e-3,
      "schedule": "cosine",
      "warmup_steps": 20,
      # With half as many, soft values of what went wrong are still too high.
      "num_epochs": 4,
    }
  )
  # So many of the reference's that best-of-n costs what Transfer Q* does.
  config.evaluation.update(num_samples=8, num_reference_samples=160)
  config.alignment.columns = {
    "helpful": "qsharp_jax.tasks.chat:helpful",
    "harmless": "qsharp_jax.tasks.chat:harmless",
  }
  # What is trained before the run: see experiments/harness/aligning.py.
  config.chat = ml_collections.ConfigDict(
    {
      "num_dialogues": 8000,  # of the reference's corpus
      "num_preferences": 6000,  # for each reward model
      "sharpness": 6.0,  # their log-odds by planted reward
      "baseline_eta": 0.2,  # KL weight at which baselines are aligned
      "reward_model": fit
      | {
        "learning_rate": 2e-3,
        "schedule": "cosine",
        "warmup_steps": 50,
        "num_epochs": 2,
        "max_length": 92,
      },
    }
  )
  config.pretrain = ml_collections.ConfigDict(
    {
      "vocab_size": 512,
      "family": "llama",
      "context": 128,
      "width": 64,
      "num_layers": 3,
      "num_heads": 4,
      "tied_embeddings": True,
      "init_std": 0.125,
      "embedding_std": 0.25,
      "learning_rate": 2e-3,
      "warmup_steps": 50,
      "b2": 0.95,
      "batch_size": 16,
      "num_epochs": 2,
      "max_length": 64,
      "checkpoint_every": 2000,
    }
  )
  config.search.best_of = 16
  config.search.blocks.update(num_samples=8, num_kept=2, block_length=8)
  config.search.transfer.update(
    beta=config.chat.baseline_eta,
    etas=(0.02, 0.1),
    num_candidates=5,
    num_rollouts=1,  # of an aligned baseline one is enough
    other_num_rollouts=_NUM_ROLLOUTS,
  )
  alone = fit | {"checkpoint_every": 100}
  pairs = alone | {"learning_rate": 5e-4, "max_length": 96}
  on_policy = {"eta": 0.1, "prompts_per_iteration": 32, "num_samples": 4}
  config.baselines = ml_collections.ConfigDict(
    {
      # Preferences of that sharpness align at the KL weight eta / sharpness.
      "dpo": {
        "fit": pairs | {"num_epochs": 1},
        "eta": config.chat.baseline_eta * config.chat.sharpness,
      },
      "grpo": on_policy
      | {"fit": alone | {"learning_rate": 5e-4}, "num_iterations": 30},
      "ppo": on_policy
      | {
        "fit": alone | {"learning_rate": 5e-4, "num_epochs": 2},
        "num_iterations": 20,
      },
    }
  )
  return config

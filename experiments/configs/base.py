"""What the configurations of all experiments have in common."""

from collections.abc import Callable, Mapping

import ml_collections
from ml_collections import config_dict

from qsharp_jax.core.errors import InputError

BOXED = "Reason step by step, and put the final answer inside \\boxed{}."


def choose(
  variants: Mapping[str, Callable[[], ml_collections.ConfigDict]], variant: str
) -> ml_collections.ConfigDict:
  """The configuration of one of the variants, its name written into it."""
  if variant not in variants:
    raise InputError(
      f"there is no variant {variant!r}; choose one of {', '.join(variants)}"
    )
  config = _apart(variants[variant]())
  config.variant = variant
  return config


def _apart(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """A copy in which no part occurs twice, so that a flag changes one field.

  What dictionaries shared would stay one part of a ConfigDict.
  """
  found = {}
  for name, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      value = _apart(value)
    elif value is None:  # or a flag could not tell what it stands for
      value = config_dict.placeholder(config.get_type(name))
    found[name] = value
  return ml_collections.ConfigDict(found)


def guide(
  config: ml_collections.ConfigDict,
  reference: str,
  value_start: str,
  *,
  num_parts: int = 0,
) -> ml_collections.ConfigDict:
  """A large reference and the small model that guides it, on a slice.

  Args:
    config: gets both models, and a mesh whose devices share every weight.
    reference: model directory or hub id.
    value_start: likewise, of the value model.
    num_parts: into which heads can be cut, where it is not any number; groups
      of so many devices then share the prompts.
  """
  config.reference, config.value.start = reference, value_start
  config.mesh = (1, 0, num_parts) if num_parts else (1, 1, 0)
  if num_parts:
    config.sampling.prompts_per_refill = 4  # for up to four groups
  return config


def llama(
  config: ml_collections.ConfigDict, reference: str, value_start: str
) -> ml_collections.ConfigDict:
  """Of meta-llama; their heads can be cut for 8 devices and more."""
  own = "meta-llama/{}-Instruct".format
  # Few rows each, so that scores stay on the chip (docs/aot.md).
  config.fit.num_microbatches = 8
  return guide(config, own(reference), own(value_start))


def qwen(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Qwen 2.5 7B, with 28 heads, guided by 1.5B, with 12."""
  config.fit.num_microbatches = 4
  return guide(
    config,
    "Qwen/Qwen2.5-7B-Instruct",
    "Qwen/Qwen2.5-1.5B-Instruct",
    num_parts=4,
  )


def maths() -> ml_collections.ConfigDict:
  """The paper's settings for questions whose answers stand in a box."""
  config = paper()
  config.data.instruction = BOXED
  return config


def paper() -> ml_collections.ConfigDict:
  """The paper's settings, models left open."""
  return ml_collections.ConfigDict(
    {
      "variant": "",
      "seed": 0,
      "reference": "",  # model directory or hub id; "" trains one (`pretrain`)
      "dtype": "bfloat16",  # float32 on CPU, which emulates bfloat16
      "mesh": (0, 1, 1),  # data, fsdp, tensor; 0 is all that is left
      "data": {
        # jsonl:PATH, hub:NAME[:CONFIG[:SPLIT]], tfds:DIR; math:, aime: or
        # quality: before it for rows of that kind; words: and stars: draw.
        "source": "hub:openai/gsm8k:main",
        "test_source": "",  # "" is the same
        "question_key": "question",
        "answer_key": "answer",  # "" where rewards need no gold answers
        "prompt": "chat",  # or plain, raw, hh
        # Of the prompts chat and hh: what a question ends with, and the system
        # message.
        "instruction": "",
        "system": "",
        "template_kwargs": {},  # of chat, such as {"enable_thinking": False}
        "num_train": 0,  # 0 is all
        "num_validation": 500,  # about; taken from the training questions
        "num_test": 0,
      },
      # Given pairs for dpo, rpo and cpl, which then need no graded samples.
      "preferences": {
        # jsonl:PATH, parquet:PATH, hub:NAME[:CONFIG[:SPLIT]]; see
        # data/preferences.py for the forms of rows.
        "source": "",
        # Of ranked answers: ends (best and worst), best (best and each other),
        # all.
        "pairs": "ends",
        # What one unit of their log-odds is in reward units: for dpo_q.
        "scale": 1.0,
      },
      # See rewards/registry.py, package.module:function, or reward models:
      # model:DIR, model:A+0.5*model:B.
      "reward": "boxed",
      # True: less the mean of round 1's rewards, over their deviation.
      "reward_is_standardised": False,
      "reward_workers": 4,
      # A run stops where more of a batch's samples cannot be graded.
      "reward_max_failed_share": 0.5,
      "sampling": {
        "temperature": 0.8,
        "top_p": 0.9,
        "max_new_tokens": 1024,
        # Strings that end an answer, wherever they stand in its text, such as
        # ("\n\nHuman:",).
        "stop": (),
        "batch_size": 16,  # prompts decoded at the same time
        "prompts_per_refill": 1,  # that enter once as many have left
        "prompt_bucket": 128,
        "num_candidates": 20,
        # Candidates that the roll-in scores at once; tokens that they do not
        # settle get as many more. 0: all. The tokens are the same.
        "num_scored": 4,
        # What top-p cuts: the reference, which is then guided, or guided.
        "top_p_of": "reference",
        # True divides the guidance by the temperature, too.
        "is_guidance_tempered": False,
        # True: where guidance acts, only candidates can be sampled.
        "is_truncated": False,
      },
      "value": {
        "start": "",  # a model directory or hub id; "" is the reference
        "num_new_layers": 0,  # on top of those that it starts from
        # True: a V-type head on new layers also reads the log-probability that
        # the layers below them give the token. Beyond the paper.
        "reads_log_probs": False,
        # Every layer runs again in the backward pass: less memory, more time.
        "is_rematerialised": False,
        "head": "v",
        # Where a Q-type head starts: lm_head or zeros.
        "q_head": "lm_head",
        # bernoulli, categorical, squared_error; auto is bernoulli where a
        # named grader says right or wrong, and else categorical.
        "loss": "auto",
        "num_atoms": 0,  # of a categorical distribution; 0 is 51
        # Its support, in reward units; None is what the reward declares, or
        # else the range of round 1's rewards, a little wider.
        "v_min": config_dict.placeholder(float),
        "v_max": config_dict.placeholder(float),
      },
      "rounds": {
        "num_rounds": 2,
        "num_samples": 16,
        "method": "qsharp",  # guides the roll-in
        "eta": 0.1,  # KL weight in reward units: small is strong
        "rule": "response",  # or algorithm1
        "is_warm": False,
        # True: rollouts, rewards, labels and what is trained on never leave
        # the devices, but for the store. Needs the reward `path`, a token for
        # each node and, after round 1, the rule algorithm1.
        "on_device": False,
      },
      "fit": {
        "learning_rate": 2e-5,
        "schedule": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.01,
        "b2": 0.999,
        # The embeddings and so many layers of the value model stay as they are.
        "num_frozen_layers": 0,
        "batch_size": 32,
        "num_microbatches": 1,  # more, where a device has no room for so few
        "num_epochs": 5,
        "max_length": 2048,
        "checkpoint_every": 500,
      },
      "evaluation": {
        "methods": ("qsharp", "cd"),
        "etas": (0.05, 0.1, 0.2, 0.5),
        "num_samples": 8,
        # Of the reference: what no policy exceeds is estimated from them.
        "num_reference_samples": 64,
        # 1: the KL of every sample is exact. More: of one sample of so many of
        # each question, by which it is estimated; the others are scored as
        # the roll-in is. The answers are the same.
        "kl_every": 1,
        # Of each method's etas, the one with the best objective at this eta is
        # chosen on validation; 0 chooses the best reward.
        "objective_eta": 0.0,
      },
      # What differs from the defaults of finetuning/methods.py, by name: sft,
      # rloo, grpo, dr_grpo, ppo, dpo, rpo, cpl, rto, a_star_po.
      "baselines": {},
      "search": {
        # Value models of other rewards, and the weights of all rewards, that of
        # the run's own first.
        "mixture": {"others": (), "weights": (1.0,)},
        # The run's reward and a second one at decode time: a row for each pair
        # of weights.
        "front": {
          "reward": "",  # the second, by name
          "eta": 0.1,  # in units of the weighted sum
          "weights": (
            (1.0, 0.0),
            (0.75, 0.25),
            (0.5, 0.5),
            (0.25, 0.75),
            (0.0, 1.0),
          ),
        },
        "num_beams": 8,  # of dpo_beam
        "best_of": 64,  # samples of best_of_n
        # What best_of_n and blocks choose by: value, or a reward by name.
        "judge": "value",
        "blocks": {"num_samples": 8, "num_kept": 2, "block_length": 256},
        "transfer": {  # Transfer Q*, direct and indirect
          # A tuned policy by name, or a model directory; "": the reference.
          "baseline": "dpo",
          # Of transfer_indirect, and of transfer_other, which is direct from
          # it; "" is the same one.
          "other_baseline": "",
          "reward": "value",  # the value model's, or a reward by name
          "baseline_reward": "",  # of transfer_indirect: what aligned it
          "beta": 0.1,  # and at which KL weight
          "etas": (0.1,),
          "num_candidates": 5,
          # From each candidate; of one alone, indirect transfer is direct.
          "num_rollouts": 4,
          "other_num_rollouts": 0,  # of the other baseline; 0: as many
        },
      },
    }
  )

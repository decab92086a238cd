r"""Configurations of `python -m experiments.competition_math`.

--config=competition_math:VARIANT, VARIANT being one of

llama31_8b      (default) Llama 3.1 8B Instruct guided by Llama 3.2 1B. Paper,
                MATH-500: pass@1 43.9 -> 46.7, maj1@8 57.0 -> 60.1, KL 8.69.
qwen25_7b       Qwen 2.5 7B Instruct guided by Qwen 2.5 1.5B. Paper: pass@1
                58.6 -> 61.9, maj1@8 72.8 -> 74.8, KL 6.46.
llama31_70b_1b  Llama 3.1 70B Instruct guided by Llama 3.2 1B. Paper: pass@1
                60.6 -> 63.1, maj1@8 69.0 -> 72.5, KL 4.98.
llama31_70b_3b  The same guided by Llama 3.2 3B. Paper: pass@1 64.1, maj1@8
                72.7, KL 4.99.
aime            The models of qwen25_7b, trained on MATH, tested on AIME 2024.
local           Any model directory and any files of problems:
                --config.reference=DIR --config.value.start=DIR
                --config.data.source=math:jsonl:DIR_WITH_TRAIN_AND_TEST

All but `local` train on the 12,000 problems of MATH that are not in MATH-500,
in the paper's settings (arXiv 2502.20548), cut over all devices, and were not
run here: the numbers are the paper's. The 8B and 7B ones fit 8 devices of 16 GB
(v5e:2x4), `aime` 16 (v5e:4x4), the 70B ones 16 of 95 GB (v5p:2x2x4). One device
of 80 GB: see gsm8k.py.

Files of problems: one JSON object a line, `problem` with `answer`, or with a
`solution` whose last box is the answer; other names by --config.data.*_key. A
problem with neither is refused by its line, and with aime: in the place of
math: so is an answer that is no whole number from 0 to 999.
"""

import ml_collections

from experiments.configs import base


def get_config(variant: str = "llama31_8b") -> ml_collections.ConfigDict:
  """The configuration of a variant."""
  variants = {
    "llama31_8b": lambda: base.llama(
      _problems(), "Llama-3.1-8B", "Llama-3.2-1B"
    ),
    "qwen25_7b": lambda: base.qwen(_problems()),
    "llama31_70b_1b": lambda: base.llama(
      _problems(), "Llama-3.1-70B", "Llama-3.2-1B"
    ),
    "llama31_70b_3b": lambda: base.llama(
      _problems(), "Llama-3.1-70B", "Llama-3.2-3B"
    ),
    "aime": _aime,
    "local": _local,
  }
  return base.choose(variants, variant)


def _problems() -> ml_collections.ConfigDict:
  config = base.maths()
  config.data.update(
    # 12,000 and 500 problems: the split that MATH-500 comes from.
    source="math:hub:nlile/hendrycks-MATH-benchmark",
    question_key="problem",
    answer_key="answer",
  )
  config.reward = "boxed"
  return config


def _aime() -> ml_collections.ConfigDict:
  config = base.qwen(_problems())
  # The Hub keeps its 30 problems in a split named train.
  config.data.test_source = "aime:hub:HuggingFaceH4/aime_2024::train"
  config.sampling.max_new_tokens = 2048
  config.fit.max_length = 4096
  config.evaluation.num_samples = 32
  return config


def _local() -> ml_collections.ConfigDict:
  config = _problems()
  config.dtype = "float32"
  config.data.source = "math:jsonl:"
  config.data.prompt = "plain"
  config.reward_workers = 1
  return config

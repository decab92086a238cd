r"""Configurations of `python -m experiments.quality`.

--config=quality:VARIANT, VARIANT being one of

llama31_8b  (default) Llama 3.1 8B Instruct guided by Llama 3.2 1B.
qwen25_7b   Qwen 2.5 7B Instruct guided by Qwen 2.5 1.5B.
local       Any model directory: --config.reference=DIR
            --config.value.start=DIR

All need --config.data.source=quality:jsonl:DIR, a folder with train.jsonl and
test.jsonl in the data set's own form (its development questions serve as
test.jsonl, since its test questions have no labels), or rows with `question`,
`options` and `gold_label` or `answer` each. Passages run to 8,000 tokens, so
rollouts take an accelerator with 80 GB. Not run here, and no expected numbers
are recorded.
"""

import ml_collections

from experiments.configs import base


def get_config(variant: str = "llama31_8b") -> ml_collections.ConfigDict:
  """The configuration of a variant."""
  variants = {
    "llama31_8b": lambda: _passages(
      "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.2-1B-Instruct"
    ),
    "qwen25_7b": lambda: _passages(
      "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct"
    ),
    "local": _local,
  }
  return base.choose(variants, variant)


def _passages(reference: str, guide: str) -> ml_collections.ConfigDict:
  config = base.paper()
  config.reference, config.value.start = reference, guide
  config.data.source = "quality:jsonl:"
  config.reward = "choice"
  config.sampling.update(batch_size=4, prompt_bucket=1024)
  config.fit.update(batch_size=8, num_microbatches=8, max_length=12_288)
  return config


def _local() -> ml_collections.ConfigDict:
  config = _passages("", "")
  config.dtype = "float32"
  config.data.prompt = "plain"
  config.reward_workers = 1
  return config

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
rollouts take 8 devices of 80 GB, which share every weight. Not run here, and no
expected numbers are recorded.
"""

import ml_collections

from experiments.configs import base


def get_config(variant: str = "llama31_8b") -> ml_collections.ConfigDict:
  """The configuration of a variant."""
  variants = {
    "llama31_8b": lambda: base.llama(
      _passages(), "Llama-3.1-8B", "Llama-3.2-1B"
    ),
    "qwen25_7b": lambda: base.qwen(_passages()),
    "local": _local,
  }
  return base.choose(variants, variant)


def _passages() -> ml_collections.ConfigDict:
  config = base.paper()
  config.data.source = "quality:jsonl:"
  config.reward = "choice"
  config.sampling.update(batch_size=4, prompt_bucket=1024)
  config.fit.update(batch_size=8, max_length=12_288)
  config.value.is_rematerialised = True
  return config


def _local() -> ml_collections.ConfigDict:
  config = _passages()
  config.dtype = "float32"
  config.data.prompt = "plain"
  config.reward_workers = 1
  return config

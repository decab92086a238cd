"""Questions in, token batches out; numpy only.

`gsm8k_tfds` is imported by itself: it needs the extra `tfds`.
"""

from qsharp_jax.data import (
  chat_template,
  conversations,
  end_ids,
  jsonl,
  loader,
  new_tokenizers,
  packing,
  pair_packing,
  parquet,
  preferences,
  prompts,
  ragged,
  records,
  sources,
  splitting,
  stops,
  tokenizer,
)
from qsharp_jax.data.loader import Loader
from qsharp_jax.data.packing import Packed, Sequence
from qsharp_jax.data.ragged import Ragged
from qsharp_jax.data.records import Question
from qsharp_jax.data.tokenizer import Tokenizer

__all__ = [
  "Loader",
  "Packed",
  "Question",
  "Ragged",
  "Sequence",
  "Tokenizer",
  "chat_template",
  "conversations",
  "end_ids",
  "jsonl",
  "loader",
  "new_tokenizers",
  "packing",
  "pair_packing",
  "parquet",
  "preferences",
  "prompts",
  "ragged",
  "records",
  "sources",
  "splitting",
  "stops",
  "tokenizer",
]

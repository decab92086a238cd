"""Small random models in Hugging Face directories, with a tokenizer."""

import pathlib

from oracles import decoders

from qsharp_jax import data, models
from qsharp_jax.checkpoint import families, saving

_TEXTS = (
  "Question: Ann has 12 pens and buys 3. How many?\nAnswer:\n12+3=15\n#### 15",
  "Question: Ben loses 7 of 40 coins. How many?\nAnswer:\n40-7=33\n#### 33",
)


def qwen2(
  directory: pathlib.Path, *, context: int = 128, texts=_TEXTS, seed: int = 0
) -> pathlib.Path:
  """Writes a Qwen2 of two layers; every id of the tokenizer has a row."""
  tokenizer = data.new_tokenizers.train_byte_level_bpe(
    texts, vocab_size=300, directory=directory
  )
  config = families.from_hf(
    {
      "model_type": "qwen2",
      "vocab_size": 304,
      "hidden_size": 16,
      "num_hidden_layers": 2,
      "num_attention_heads": 2,
      "num_key_value_heads": 1,
      "intermediate_size": 24,
      "max_position_embeddings": context,
      "tie_word_embeddings": True,
    }
  )
  weights = directory / "weights"
  saving.save_language_model(
    weights,
    config,
    decoders.params(models.LanguageModel(config), seed),
    "qwen2",
    token_ids={"eos_token_id": tokenizer.eos_ids[0]},
  )
  for file in weights.iterdir():
    file.rename(directory / file.name)
  weights.rmdir()
  return directory

"""Small random reward models in Hugging Face directories, with tokenizers."""

import json
import pathlib

from oracles import decoders, model_directories

from qsharp_jax import data, models
from qsharp_jax.checkpoint import families, huggingface, saving

CHATML = (
  "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
  "<|end|>\n{% endfor %}"
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save(
  directory: pathlib.Path,
  *,
  template: str | None = CHATML,
  num_labels: int = 1,
  context: int = 128,
  seed: int = 0,
  is_pad_eos: bool = False,
) -> pathlib.Path:
  """Writes a Qwen2 classifier of two layers with a tokenizer of its own.

  Args:
    directory: to write into.
    template: its chat template, None for none.
    num_labels: of its head.
    context: longest text, in tokens.
    seed: of its weights.
    is_pad_eos: the padding token is the end token.
  """
  model_directories.qwen2(directory / "language_model", context=context)
  raw = huggingface.read_config(directory / "language_model")
  config = families.from_hf(raw)
  head = models.HeadConfig("v", num_labels)
  ids = {"eos_token_id": 1, "pad_token_id": 1 if is_pad_eos else 0}
  params = decoders.params(models.ValueModel(config, head), seed)
  saving.save_value_model(
    directory / "model", config, head, params, "qwen2", ids
  )
  found = directory / "model"
  tokenizer = data.tokenizer.load(directory / "language_model").hf
  tokenizer.chat_template = template
  if is_pad_eos:
    tokenizer.pad_token = tokenizer.eos_token
  tokenizer.save_pretrained(str(found))
  raw = json.loads((found / "config.json").read_text())
  raw.pop("value_head", None)
  (found / "config.json").write_text(json.dumps(raw))
  return found

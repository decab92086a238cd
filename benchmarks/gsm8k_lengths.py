"""How long GSM8K's answers are in tokens, alone or with their questions."""

import json
import os
import pathlib
import re

import numpy as np

# One token for each word, punctuation mark and group of up to three digits: the
# pieces that the tokenizers of Llama 3 and Qwen start from, of which they cut
# few words of these texts further.
_PIECE = re.compile(r"\d{1,3}|[^\W\d_]+|[^\w\s]|_")

# The log-normal distributions nearest to the 7,473 lengths of the training set:
# mean and standard deviation of the logarithm, the shortest and the longest.
_FITTED = {
  ("question", "answer"): (4.965, 0.352, 53, 438),
  ("answer",): (4.521, 0.410, 24, 364),
}


def load(
  num_sequences: int,
  seed: int = 0,
  *,
  fields: tuple[str, ...] = ("question", "answer"),
) -> tuple[np.ndarray, str]:
  """Lengths of the fields together, and where they come from.

  They are those of random lines of gsm8k/train.jsonl in the folder that the
  environment's QSHARP_DATA_DIR names; else drawn from a distribution fitted to
  them.
  """
  rng = np.random.default_rng(seed)
  folder = os.environ.get("QSHARP_DATA_DIR")
  if folder is None:
    mean, std, shortest, longest = _FITTED[fields]
    drawn = rng.lognormal(mean, std, num_sequences).round()
    return drawn.clip(shortest, longest).astype(int), "log-normal"
  text = pathlib.Path(folder, "gsm8k", "train.jsonl").read_text("utf-8")
  lines = text.splitlines()
  chosen = rng.permutation(len(lines))[:num_sequences]
  return np.array([_length(lines[i], fields) for i in chosen]), "gsm8k"


def _length(line: str, fields: tuple[str, ...]) -> int:
  record = json.loads(line)
  return len(_PIECE.findall(" ".join(record[name] for name in fields)))

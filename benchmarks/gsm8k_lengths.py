"""How long GSM8K's questions with their worked answers are, in tokens."""

import json
import os
import pathlib
import re

import numpy as np

# One token for each word, punctuation mark and group of up to three digits: the
# pieces that the tokenizers of Llama 3 and Qwen start from, of which they cut
# few words of these texts further.
_PIECE = re.compile(r"\d{1,3}|[^\W\d_]+|[^\w\s]|_")

# The log-normal law nearest to the 7,473 lengths of the training set.
_LOG_MEAN, _LOG_STD, _SHORTEST, _LONGEST = 4.965, 0.352, 53, 438


def load(num_sequences: int, seed: int = 0) -> tuple[np.ndarray, str]:
  """Lengths of questions with answers, and where they come from.

  They are those of random lines of gsm8k/train.jsonl in the folder that the
  environment's QSHARP_DATA_DIR names; else drawn from a law fitted to them.
  """
  rng = np.random.default_rng(seed)
  folder = os.environ.get("QSHARP_DATA_DIR")
  if folder is None:
    drawn = rng.lognormal(_LOG_MEAN, _LOG_STD, num_sequences).round()
    return drawn.clip(_SHORTEST, _LONGEST).astype(int), "log-normal"
  text = pathlib.Path(folder, "gsm8k", "train.jsonl").read_text("utf-8")
  lines = text.splitlines()
  chosen = rng.permutation(len(lines))[:num_sequences]
  return np.array([_length(lines[i]) for i in chosen]), "gsm8k"


def _length(line: str) -> int:
  record = json.loads(line)
  return len(_PIECE.findall(f"{record['question']} {record['answer']}"))

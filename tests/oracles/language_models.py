"""Two random language models, and what they say by full forward passes."""

import functools

import jax
import numpy as np
from oracles import decoders, players

from qsharp_jax import models

MODEL = models.LanguageModel(players.CONFIG)
_WIDTH = 24  # of all passes, so that they share one program
_forward = jax.jit(MODEL.apply)


@functools.cache
def params(seed: int):
  """Parameters for logits of order 3; players' reference has the seed 2."""
  tree = jax.device_get(decoders.params(MODEL, seed))
  louder = lambda path, x: (4 if path[-1].key == "unembedding" else 1) * x
  return jax.tree_util.tree_map_with_path(louder, tree)


def log_probs(seed: int, prompt, tokens, temperature: float = 1.0):
  """Log-probabilities before each token after a prompt. Shape [n, V]."""
  sequence = [*prompt, *tokens]
  rows = decoders.right_padded([sequence], _WIDTH)
  logits = np.asarray(_forward(params(seed), *rows)[0][0])
  logits = np.float64(logits[len(prompt) - 1 : len(sequence) - 1]) / temperature
  logits -= logits.max(axis=1, keepdims=True)
  return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

"""Questions in, token batches out; numpy only."""

from qsharp_jax.data import prompts, sources, tokenizer, word_problems
from qsharp_jax.data.sources import Question
from qsharp_jax.data.tokenizer import Tokenizer
from qsharp_jax.data.word_problems import WordProblems

__all__ = [
  "Question",
  "Tokenizer",
  "WordProblems",
  "prompts",
  "sources",
  "tokenizer",
  "word_problems",
]

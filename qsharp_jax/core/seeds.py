"""Seeds that depend on what a sample is, not on where or when it is drawn.

Never add to a seed: round 2 of seed 0 would be round 1 of seed 1. Fold instead:
`stable_seed(seed, "what it is for", round_index)`.
"""

import hashlib
from collections.abc import Sequence


def stable_seed(*parts: str | int | float) -> int:
  """A 32-bit seed of the given parts, the same on every machine and run.

  Python's own `hash` of a string differs from process to process.
  """
  text = "\x1f".join(map(str, parts))
  digest = hashlib.blake2b(text.encode(), digest_size=4).digest()
  return int.from_bytes(digest, "little")


def of_samples(seed: int, prompt: Sequence[int], number: int) -> list[int]:
  """Seeds of a prompt's samples, at a seed that many prompts may share.

  Those of other prompts are others: with one draw for all, a whole evaluation
  would be as lucky as one answer.

  Args:
    seed: the user's.
    prompt: token ids.
    number: of samples; the first ones are those of a smaller number.
  """
  return [stable_seed("generate", seed, i, *prompt) for i in range(number)]

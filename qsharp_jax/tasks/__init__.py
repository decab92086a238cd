"""The tasks, one file each; what a task needs that others do not."""

from qsharp_jax.tasks import star_graph, word_problems
from qsharp_jax.tasks.star_graph import StarGraph
from qsharp_jax.tasks.word_problems import WordProblems

__all__ = ["StarGraph", "WordProblems", "star_graph", "word_problems"]

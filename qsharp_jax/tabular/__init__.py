"""The theory beside exact answers: small MDPs, solved and learnt."""

from qsharp_jax.tabular import learn, learners, mdp, solve

__all__ = ["learn", "learners", "mdp", "solve"]

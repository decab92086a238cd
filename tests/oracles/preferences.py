"""Preference losses as written in the papers: probabilities of a contest."""

import math


def _loss(win, lose):
  return -math.log(math.exp(win) / (math.exp(win) + math.exp(lose)))


def dpo(chosen, rejected, ref_chosen, ref_rejected, eta):
  return _loss(eta * (chosen - ref_chosen), eta * (rejected - ref_rejected))


def rpo(chosen, rejected, ref_chosen, ref_rejected, num, eta, alpha):
  own = dpo(chosen, rejected, ref_chosen, ref_rejected, eta)
  return own + alpha * -(chosen / num)


def cpl(chosen, rejected, eta, bias):
  return _loss(eta * chosen, eta * bias * rejected)


def bradley_terry(chosen, rejected, margin, centring):
  return _loss(chosen, rejected + margin) + centring * (chosen + rejected) ** 2

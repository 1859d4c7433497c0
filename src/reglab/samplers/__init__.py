"""Samplers of hyperparameter search; each module registers one."""

from reglab.samplers import quasi_random, tpe  # noqa: F401  # the order of names in messages
from reglab.samplers.base import Observation, Sampler, get_sampler, register, sampler_names

__all__ = ["Observation", "Sampler", "get_sampler", "register", "sampler_names"]

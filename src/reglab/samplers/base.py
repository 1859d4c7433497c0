"""The protocol of samplers, which propose the trials of a tuning, and their registry.

To add a sampler, write a module beside this one with a subclass of `Sampler` under `register`, and name the module in
`reglab/samplers/__init__.py`. Config checks, error messages and reports read what the class declares.

Config checks import this package at every start: import Optuna and the like inside `propose`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from reglab.schema.search_space import Dimension, Values


class Observation(NamedTuple):
    """A trial that has ended.

    Attributes:
        values: value of each key.
        score: mean of the selection metric over the tuning seeds; None where a run failed.
    """

    values: Values
    score: float | None


class Sampler(ABC):
    """Proposes the points of a search space, one for each trial of an arm (a strategy on a task).

    Attributes:
        name: value of `study.sampler`.
        sequential: a proposal depends on the scores of earlier trials, so that trials are trained one after another.
        no_pruning: reason why `study.pruning` is not possible, in the words of an error message; empty if it is.
        no_exchangeability: reason why trials are not exchangeable, so that no expected best of a smaller budget can be
            computed from them; empty if they are.
    """

    name: ClassVar[str]
    sequential: ClassVar[bool] = False
    no_pruning: ClassVar[str] = ""
    no_exchangeability: ClassVar[str] = ""

    @abstractmethod
    def propose(
        self, space: Sequence[Dimension], history: Sequence[Observation], *, seed: int, arm: str, minimize: bool
    ) -> Values:
        """Return the values of the next trial, by key: a pure function of the arguments.

        Args:
            space: the dimensions, at least one.
            history: the earlier trials of the arm, in their order; `score` is only valid if the sampler is sequential.
            seed: seed of the search.
            arm: name of the arm, for draws that differ between arms.
            minimize: whether low scores are good.
        """

    @abstractmethod
    def describe(self, seed: int) -> str:
        """Return a sentence for reports: the method, its seed, and what arms share."""


_SAMPLERS: dict[str, Sampler] = {}


def register(sampler: type[Sampler]) -> type[Sampler]:
    """Add a class to the registry, as a decorator.

    Raises:
        ValueError: the name is taken.
    """
    if sampler.name in _SAMPLERS:
        raise ValueError(f"a sampler {sampler.name} is registered already")
    _SAMPLERS[sampler.name] = sampler()
    return sampler


def sampler_names() -> tuple[str, ...]:
    """Return the names of all samplers."""
    return tuple(_SAMPLERS)


def get_sampler(name: str) -> Sampler:
    """Return the sampler of a name.

    Raises:
        KeyError: there is none.
    """
    return _SAMPLERS[name]

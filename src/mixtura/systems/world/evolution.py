"""CMA-ES that survives a crash: every generation's fitnesses are kept, and what they led to is replayed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixtura.errors import InputError
from mixtura.families.checks import finite, natural, positive_int
from mixtura.files import replacing
from mixtura.systems.world.environments import imported

_FORMAT = "mixtura evolution 1"


class Generation(NamedTuple):
    """What became of one generation.

    Attributes:
        number: the first is 1.
        mean: of its candidates' fitnesses.
        best: the largest of them.
        worst: the smallest.
        sigma: the step size after it.
        evaluation: what `evaluate` returned for the mean after it; None where it was not called.
    """

    number: int
    mean: float
    best: float
    worst: float
    sigma: float
    evaluation: float | None


@dataclass(frozen=True)
class Evolved:
    """What evolution led to.

    Attributes:
        mean: of the last generation's distribution, `(size,)`: its guess at the optimum.
        best: the mean that was evaluated best; without `evaluate`, the fittest candidate, whose fitness
            luck has its share in.
        best_fitness: the evaluation, or else the fitness, of `best`.
        generations: how many there were.
        history: of every generation.
    """

    mean: np.ndarray
    best: np.ndarray
    best_fitness: float
    generations: int
    history: tuple[Generation, ...]


def evolve(
    fitness: Callable[[np.ndarray, int], Any],
    size: int,
    *,
    path: Path,
    popsize: int = 64,
    sigma: float = 0.1,
    generations: int,
    seed: int,
    start: Any = None,
    diagonal: bool = False,
    evaluate: Callable[[np.ndarray, int], float] | None = None,
    every: int = 25,
    progress: Callable[[Generation], Any] | None = None,
) -> Evolved:
    r"""Maximise a function by CMA-ES (Hansen & Ostermeier 2001), as C is trained in Ha & Schmidhuber (2018).

    Generation g draws candidates $x \sim \mathcal N(m_g, \sigma_g^2 C_g)$; $m$, $\sigma$ and $C$ then move
    towards the better half of them. The optimiser is the package `cma`.

    Each generation's fitnesses are written to `path` before they count. A run that was killed is called
    again: what is recorded is replayed, not computed, and it goes on to the same numbers, bit for bit, if
    `fitness` and `evaluate` depend on their arguments alone. With more `generations` a finished run goes on;
    with fewer, it ends earlier. The random numbers are its own; NumPy's generator is left alone.

    Args:
        fitness: `fitness(candidates, generation) -> (popsize,)` finite numbers, larger is better, of
            candidates `(popsize, size)` in float64. The first generation is 1.
        size: how many parameters there are.
        path: where fitnesses are recorded, an npz file.
        popsize: candidates of a generation.
        sigma: the standard deviation of the first.
        generations: how many.
        seed: of the candidates.
        start: the mean of the first generation, `(size,)`; zeros by default.
        diagonal: whether C stays diagonal: time and memory then grow with `size`, not its square.
        evaluate: `evaluate(mean, generation) -> number`, larger is better, of the mean `(size,)` after a
            generation.
        every: it is called after so many generations, and after the last.
        progress: called with every `Generation`, also with those that are replayed.

    Raises:
        InputError: if `cma` is missing; if `path` is damaged, holds an evolution with other settings, or one
            whose candidates this machine does not draw again.
        ValueError: for counts, a step size or a start that are none, or fitnesses that are not finite.
    """
    size, popsize = positive_int("size", size), positive_int("popsize", popsize)
    generations, every = positive_int("generations", generations), positive_int("every", every)
    if popsize < 2:
        raise ValueError(f"popsize must be 2 or more; received {popsize}")
    if finite("sigma", sigma) <= 0:
        raise ValueError(f"sigma must be positive; received {sigma}")
    first = np.zeros(size) if start is None else np.asarray(start, np.float64)
    if first.shape != (size,) or not np.isfinite(first).all():
        raise ValueError(f"start must be {size} finite numbers; received an array of shape {first.shape}")
    settings = {
        "size": size,
        "popsize": popsize,
        "sigma": float(sigma),
        "seed": natural("seed", seed),
        "diagonal": bool(diagonal),
        "start": zlib.crc32(first.tobytes()),
    }
    record = _Record.read(path, settings)
    strategy = _Strategy(first, popsize, float(sigma), seed, bool(diagonal))
    history: list[Generation] = []
    fittest, evaluated = (-np.inf, first), (-np.inf, first)
    for number in range(1, generations + 1):
        candidates = strategy.ask()
        checksum = zlib.crc32(candidates.tobytes())
        if number > len(record.fitnesses):
            record.add(_checked(fitness(candidates.copy(), number), popsize, number), checksum)
        elif record.checksums[number - 1] != checksum:
            raise InputError(
                f"{path} was begun on another machine or with other versions of cma or NumPy: generation "
                f"{number} differs; go on where it was begun, or begin anew with another path."
            )
        values = record.fitnesses[number - 1]
        strategy.tell(values)
        if values.max() > fittest[0]:
            fittest = float(values.max()), candidates[values.argmax()]
        evaluation = None
        if evaluate is not None and (number % every == 0 or number == generations):
            if number not in record.evaluations:
                value = evaluate(strategy.mean, number)
                record.evaluate(number, finite(f"the evaluation after generation {number}", value))
            evaluation = record.evaluations[number]
            if evaluation > evaluated[0]:
                evaluated = evaluation, strategy.mean
        history.append(
            Generation(
                number,
                float(values.mean()),
                float(values.max()),
                float(values.min()),
                strategy.sigma,
                evaluation,
            )
        )
        if progress is not None:
            progress(history[-1])
    best_fitness, best = fittest if evaluate is None else evaluated
    return Evolved(strategy.mean, best, best_fitness, generations, tuple(history))


def _checked(values: Any, popsize: int, number: int) -> np.ndarray:
    """Return a generation's fitnesses, or raise a ValueError."""
    values = np.asarray(values, np.float64)
    if values.shape != (popsize,):
        raise ValueError(
            f"fitness must return {popsize} numbers, one for each candidate; received shape {values.shape}"
        )
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"fitnesses must be finite; candidate {place} of generation {number} has {values[place]}"
        )
    return values


class _Strategy:
    """The package's CMA-ES, maximising, on one thread.

    The decomposition of C rounds otherwise on two threads than on one, and what was recorded on one could not
    be replayed on the other.
    """

    def __init__(self, start: np.ndarray, popsize: int, sigma: float, seed: int, diagonal: bool) -> None:
        cma = imported("cma", "worlds")
        from threadpoolctl import ThreadpoolController

        self._threads = ThreadpoolController()
        # The package's own seed is NumPy's global one; nan leaves that alone.
        options = {
            "popsize": popsize,
            "seed": float("nan"),
            "randn": np.random.RandomState(np.random.MT19937(seed)).randn,
            "CMA_diagonal": diagonal,
            "verbose": -9,
        }
        self._strategy = cma.CMAEvolutionStrategy(start, sigma, options)
        self._asked: list[np.ndarray] = []

    def ask(self) -> np.ndarray:
        """Return the candidates of a generation, `(popsize, size)`."""
        with self._threads.limit(limits=1):
            self._asked = self._strategy.ask()
        return np.array(self._asked)

    def tell(self, fitnesses: np.ndarray) -> None:
        """Learn from the fitnesses of the candidates that were asked for, larger being better."""
        with self._threads.limit(limits=1):
            self._strategy.tell(self._asked, (-fitnesses).tolist())

    @property
    def mean(self) -> np.ndarray:
        """The mean of the next generation."""
        return np.array(self._strategy.mean)

    @property
    def sigma(self) -> float:
        """The step size of the next generation."""
        return float(self._strategy.sigma)


@dataclass
class _Record:
    """What was found out about the generations, in a file that is there whole or not at all.

    Attributes:
        path: the file.
        settings: what must be the same to go on.
        fitnesses: of each generation's candidates.
        checksums: CRC-32 of each generation's candidates.
        evaluations: by generation.
    """

    path: Path
    settings: dict[str, Any]
    fitnesses: list[np.ndarray] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    evaluations: dict[int, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, settings: dict[str, Any]) -> _Record:
        """Return what the file holds, or nothing yet if there is none.

        Raises:
            InputError: if it is damaged, something else, or of other settings.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            header = json.loads(arrays["header"].tobytes())
            if (found := header.pop("format")) != _FORMAT:
                raise ValueError(f"its format is {found!r}, not {_FORMAT!r}")
            evaluated = zip(arrays["evaluated"].tolist(), arrays["evaluations"].tolist(), strict=True)
            record = cls(path, header, [*arrays["fitnesses"]], arrays["checksums"].tolist(), dict(evaluated))
        except FileNotFoundError:
            return cls(path, settings)
        except Exception as error:  # damage shows in any way: a zip file's, NumPy's, JSON's
            raise InputError(
                f"{path} is damaged or no record of an evolution of Mixtura's ({error})."
            ) from error
        for name, value in settings.items():
            if header.get(name) != value:
                shown = "" if name == "start" else f": {header.get(name)}, received {value}"
                raise InputError(
                    f"{path} holds an evolution with another {name}{shown}; "
                    "give the same settings to go on, or another path."
                )
        return record

    def add(self, fitnesses: np.ndarray, checksum: int) -> None:
        """Record a generation."""
        self.fitnesses.append(fitnesses)
        self.checksums.append(checksum)
        self._write()

    def evaluate(self, number: int, value: float) -> None:
        """Record the evaluation after a generation."""
        self.evaluations[number] = value
        self._write()

    def _write(self) -> None:
        header = json.dumps({"format": _FORMAT, **self.settings})
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                header=np.frombuffer(header.encode(), np.uint8),
                fitnesses=np.array(self.fitnesses),
                checksums=np.array(self.checksums, np.uint32),
                evaluated=np.array([*self.evaluations], np.int64),
                evaluations=np.array([*self.evaluations.values()], np.float64),
            )

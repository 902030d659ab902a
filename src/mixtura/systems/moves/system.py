"""The system: data, networks, and what `mixtura train moves` reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from mixtura.data.sequences import Sequences, write_sequences
from mixtura.evaluation.sequences import score_sequences
from mixtura.generation import Generated
from mixtura.models import MDNRNN, SequenceModel
from mixtura.sampling import Sampler
from mixtura.systems.moves import comparison, networks, pictures, world
from mixtura.systems.moves.paths import moves_of, origin_of, positions_of, read_paths
from mixtura.systems.system import Corpus, Outcome, Preset, System

DRAWN = 100  # paths in a picture, at most
FORKS = {"two ways": "first", "three ways": "upper"}  # drawn, and their places


@dataclass(frozen=True)
class MovesPreset(Preset):
    """What `moves` is trained with.

    Attributes:
        paths: how many walks through the world to learn from; a quarter as many to stop by, and to score.
    """

    paths: int = 4096


class Moves(System):
    """A robot at forks.

    An event is (dx, dy, last): a move, and whether the path ends with it. Positions are the sums of moves
    from the origin, which is the world's door, or, of paths from a file, one of their starts.

    `report` trains a second network of the same body on the same data with squared error.
    """

    name = "moves"
    about = "a robot at forks: a mixture keeps every branch, squared error walks into the wall"
    presets: ClassVar[Mapping[str, Preset]] = {
        # Of the size of IMPSY's "l" (Martin & Torresen 2019); nothing was published on this world.
        "paper": MovesPreset({"units": (256, 256), "num_components": 5}, epochs=60, batch_size=64, buckets=1),
        "small": MovesPreset(
            {"units": (96,), "num_components": 6}, epochs=60, batch_size=64, buckets=1, learning_rate=4e-3
        ),
        "tiny": MovesPreset({"units": (8,), "num_components": 2}, epochs=2, buckets=1, paths=32),
    }

    # ------------------------------------------------------------------ data

    def corpus(self, data: Path | None, preset: Preset, seed: int) -> Corpus:
        """Return the paths of a file, split, or walks through the world."""
        if data is None:
            return self._world(preset, seed)
        split, origin = super().corpus(data, preset, seed), origin_of(read_paths(data))
        parts = split.training, split.validation, split.test
        return Corpus(*parts, split.step, _facts(split.training, origin, is_world=False))

    def _world(self, preset: Preset, seed: int) -> Corpus:
        rng, origin = np.random.default_rng(seed), np.zeros(2)
        paths = preset.paths if isinstance(preset, MovesPreset) else MovesPreset.paths
        training, validation, test = (
            moves_of(world.walk(count, rng), origin) for count in (paths, paths // 4, paths // 4)
        )
        facts = _facts(training, origin, is_world=True)
        return Corpus(training, validation, test, (0.0, 0.0, 0.0), facts)

    def read(self, path: Path, facts: Mapping[str, Any]) -> Sequences:
        """Return a file's paths as moves."""
        positions = read_paths(path)
        return moves_of(positions, np.array(facts["origin"]) if facts else origin_of(positions))

    def endings(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of pictures and of positions."""
        return ".png", ".svg", ".csv", ".npz"

    def write(self, path: Path, sequences: Sequences, facts: Mapping[str, Any]) -> None:
        """Write positions as .npz or .csv, or draw them as .png or .svg, on the map where there is one."""
        positions = positions_of(sequences, np.array(facts["origin"]))
        self.check_ending(path, facts)
        if path.suffix.lower() in (".png", ".svg"):
            pictures.paths({f"{len(positions)} paths": positions}, path, facts["world"])
        else:
            drawn = Sequences.of(positions)
            write_sequences(path, replace(drawn, facts={"columns": np.array(["x", "y"])}))

    # ------------------------------------------------------------------ the model

    def build(self, preset: Preset, corpus: Corpus, seed: int) -> MDNRNN:
        """Return the MDN-RNN."""
        return networks.mdn_rnn(corpus.training, **preset.network, seed=seed)

    def squared_error(self, preset: Preset, corpus: Corpus, seed: int) -> MDNRNN:
        """Train the second network: the same body, data, epochs and rates."""
        keras.utils.set_random_seed(seed)
        model = networks.squared_error(corpus.training, preset.network["units"], seed)
        self.fit(model, preset, corpus, seed, title="squared error")
        return networks.with_its_noise(model, corpus.training)

    # ------------------------------------------------------------------ afterwards

    def generate(
        self, model: SequenceModel, facts: Mapping[str, Any], count: int, steps: int | None, **settings: Any
    ) -> Generated:
        """Draw paths; each ends with the move whose flag says so, which a prompt's last move does not."""
        if settings.get("prompt") is not None:
            settings["prompt"] = _unended(settings["prompt"])
        return model.generate(steps or facts["steps"], batch_size=count, stop=comparison.STOP, **settings)

    def report(self, outcome: Outcome) -> dict[str, Any]:
        """Compare the MDN-RNN with squared error: scores, where paths lead, and what is seen at forks."""
        model, corpus, seed = outcome.model, outcome.corpus, outcome.seed
        assert corpus.test is not None  # this system's corpus has one
        facts, test, figures = corpus.facts, corpus.test, outcome.figures
        other = self.squared_error(outcome.preset, corpus, seed)
        origin = np.array(facts["origin"])
        settings = {"held_out": test, "origin": origin, "steps": facts["steps"], "seed": seed}
        still, noisy = ({"move": Sampler(scale=scale)} for scale in (0.0, 1.0))
        paths = {
            "held_out": positions_of(test, origin),
            "mdn_rnn": comparison.continued(model, **settings),
            "squared_error": comparison.continued(other, **settings, sampler=still),
            "squared_error_with_noise": comparison.continued(other, **settings, sampler=noisy),
        }
        titles = ("held-out paths", "MDN-RNN", "squared error: its means", "squared error: with its noise")
        panels = {title: several[:DRAWN] for title, several in zip(titles, paths.values(), strict=True)}
        pictures.paths(panels, figures / "paths.png", facts["world"])
        nll = {
            "mdn_rnn": outcome.scores.nll_per_step,
            "squared_error": score_sequences(other, test, corpus.step).nll_per_step,
        }
        if not facts["world"]:
            return {"nll_per_step": nll}
        self._draw_forks(model, other, seed, figures / "forks.png")
        return {
            "nll_per_step": {**nll, "lower_limit": comparison.lower_limit(paths["held_out"])},
            "true_routes": dict(zip(map(" - ".join, world.ROUTES), world.SHARES.tolist(), strict=True)),
            "paths": {name: comparison.judged(several) for name, several in paths.items()},
        }

    def _draw_forks(self, model: SequenceModel, other: SequenceModel, seed: int, picture: Path) -> None:
        """Draw where the next move may lead where the robot turns: truly, and as both networks have it."""
        walks = world.walk(100, np.random.default_rng((seed, 1)))  # none that was learnt from
        pasts = [comparison.before_fork(walks, place) for place in FORKS.values()]
        learnt, means = (comparison.next_moves(one, pasts) for one in (model, other))
        panels = []
        for name, past, p, q in zip(FORKS, pasts, learnt, means, strict=True):
            moves = pictures.around(past)
            for title, density in (
                ("the truth", world.next_density(past, moves)),
                ("MDN-RNN", np.exp(p.log_prob(moves))),
            ):
                panels.append(pictures.Fork(f"{name}: {title}", past, moves, density, q.mean()))
        pictures.forks(panels, picture)


def _unended(prompt: Any) -> Any:
    """Return a prompt, or several, none of whose moves is the last."""
    if isinstance(prompt, list):
        return [_unended(one) for one in prompt]
    return np.asarray(prompt) * np.array([1.0, 1.0, 0.0])


def _facts(training: Sequences, origin: np.ndarray, is_world: bool) -> dict[str, Any]:
    """Return what positions are made of again, and how many steps a drawn path has at most."""
    longest = int(training.lengths.max())
    return {"world": is_world, "origin": origin.tolist(), "steps": longest + longest // 2}

"""What a network has to beat: the last values once more, plus noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtura.data.sequences import Sequences
from mixtura.families import Joint, host
from mixtura.scores import dequantised_nll
from mixtura.systems.impsy.data import moves
from mixtura.systems.impsy.heads import Units, head, nearest, patterns, start

DT_BINS = 8
DT_COMPONENTS = 5


@dataclass(frozen=True)
class Repeats:
    """The last values once more, or moved: the same distribution whatever came before, or one of a few.

    Attributes:
        family: of an event.
        values: parameters of values as moves from the last event, a row for each pattern of which controls
            moved in the last event.
        dt: parameters of dt, a row for each bin of the last dt.
        known: those patterns.
        edges: of those bins.
    """

    family: Joint
    values: np.ndarray
    dt: np.ndarray
    known: np.ndarray
    edges: np.ndarray

    def nll(self, session: np.ndarray, step: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
        """Return the negative log-likelihoods, dequantised, of events after the first, `(n - 1,)` each."""
        last = np.diff(session[:-1, :-1], axis=0, prepend=session[:1, :-1])
        rows = self.values[nearest(last, self.known)], self.dt[np.digitize(session[:-1, -1], self.edges)]
        before = self.family._standardised(host, session[:-1])
        p = self.family(self.family._relocated(host, np.concatenate(rows, axis=1), before, ("values",)))
        parts = {"values": slice(0, -1), "dt": slice(-1, None)}
        return {
            name: dequantised_nll(p[name], session[1:, at], step[at].tolist(), seed=seed, average=False)
            for name, at in parts.items()
        }


def fit_repeats(sessions: Sequences, units: Units, order: int) -> Repeats:
    """Fit to training sessions.

    Args:
        sessions: what to fit to.
        units: of the events.
        order: 0: a control stays with the share of training, or moves by a Laplace distribution's draw; dt is
            a mixture of log-normals. 1: which controls move depends on which moved in the last event, and dt
            on the last dt, in bins of equally many.
    """
    moved, dt, last = moves(sessions)
    first = np.zeros(len(sessions.data), bool)
    first[sessions.offsets[:-1]] = True
    before = np.zeros((len(sessions.data), units.controls))
    before[~first] = moved
    known = patterns(moved, units.controls + 1 if order else 1)
    edges = np.unique(np.quantile(dt, np.linspace(0, 1, DT_BINS + 1)[1:-1])) if order else np.empty(0)
    family = head("tied" if order else "independent", units, len(known), DT_COMPONENTS, slab=0)
    assert isinstance(family, Joint)
    kinds, bins = nearest(before[last], known), np.digitize(sessions.data[last, -1], edges)
    cut = family["values"].params_size
    rows = [start(family, *_some(moved, dt, kinds == kind))[:cut] for kind in range(len(known))]
    dts = [family["dt"].fit(_some(dt, dt, bins == number)[0]) for number in range(len(edges) + 1)]
    return Repeats(family, np.stack(rows), np.stack(dts), known, edges)


def _some(moved: np.ndarray, dt: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are, or all if there are few."""
    return (moved[which], dt[which]) if which.sum() >= 20 else (moved, dt)

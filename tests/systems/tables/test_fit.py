import csv
import json

import keras
import numpy as np
import pytest

from mixtura.errors import InputError
from mixtura.systems.tables import fit, predict


def write(path, columns):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two branches: y is near +x or near -x, wider for the level "wide"; with columns that cannot help."""
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 3, 600)
    kind = rng.choice(["narrow", "wide"], 600)
    sign = rng.choice([-1, 1], 600)
    y = 1000 + 100 * (sign * x + rng.normal(size=600) * np.where(kind == "wide", 0.3, 0.1))
    columns = {"x": x, "kind": kind, "again": x, "same": np.ones(600), "y": y}
    return write(tmp_path_factory.mktemp("table") / "branches.csv", columns)


@pytest.fixture(scope="module")
def run(table):
    out = table.parent / "run"
    return out, fit(table, "y", out, epochs=60)


def test_scores_are_in_the_target_units_and_beat_one_normal(run):
    _, result = run
    # Two normals of scale 10 or 30, 200 to 600 apart: log 2 + log(scale sqrt(2 pi e)) is 4.41 or 5.51.
    assert 4.8 < result.scores["nll"] < 5.4
    assert result.baseline["nll"] > 6.5
    assert result.scores["coverage_90"] == pytest.approx(0.9, abs=0.08)
    assert result.scores["rmse"] == pytest.approx(
        result.baseline["rmse"], rel=0.1
    )  # the mean is no answer here
    assert result.left_out == {"again": "copy of 'x'", "same": "constant"}
    assert sum(result.rows.values()) == 600


def test_the_run_folder_is_complete_and_describes_itself(run):
    out, result = run
    names = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    figures = {"figures/loss.png", "figures/densities.png"}
    files = {"config.json", "report.json", "model.keras", "history.csv", "checkpoint.npz"}
    assert names == files | figures
    assert json.loads((out / "report.json").read_text())["scores"] == result.scores
    assert len((out / "history.csv").read_text().splitlines()) == result.epochs + 1
    family = keras.models.load_model(out / "model.keras").layers[-1].family
    assert family.shift[0] == pytest.approx(1000, abs=30)
    assert family.family.family.min_scale * family.scale[0] == pytest.approx(result.min_scale)


def test_the_same_seed_gives_the_same_scores(table, run, tmp_path):
    assert fit(table, "y", tmp_path / "again", epochs=60).scores == run[1].scores


def test_a_finished_run_resumes_to_the_same_scores(table, run):
    out, result = run
    again = fit(table, "y", out, epochs=60, resume=True)
    assert again.scores == result.scores
    assert again.epochs == result.epochs
    assert result.seconds_to_first_epoch > 0


def test_a_run_resumes_only_with_its_settings(table, run):
    with pytest.raises(InputError, match="begun with components = 5; received 4"):
        fit(table, "y", run[0], epochs=60, components=4, resume=True)


def test_losses_are_written_for_tensorboard(table, tmp_path):
    pytest.importorskip("tensorboardX")
    fit(table, "y", tmp_path / "run", epochs=2, tensorboard=True)
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"epoch/val_loss" in events.read_bytes()


def test_predictions_are_in_row_order_and_target_units(table, run, tmp_path):
    new = write(tmp_path / "new.csv", {"kind": ["narrow", "wide", "odd"], "ignored": "abc", "x": [2, 2, 1.5]})
    out = tmp_path / "p.csv"
    unseen = predict(run[0], new, out, quantiles=[0.1, 0.9], samples=200, seed=1)
    assert unseen == {"kind": ["odd"]}
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 3
    assert list(rows[0])[:4] == ["mean", "q0.1", "q0.9", "sample1"]
    assert float(rows[0]["q0.1"]) == pytest.approx(800, abs=40)
    assert float(rows[0]["q0.9"]) == pytest.approx(1200, abs=40)
    samples = np.array([float(rows[0][f"sample{i}"]) for i in range(1, 201)])
    assert min(np.abs(samples - 800).min(), np.abs(samples - 1200).min()) < 10
    assert (np.abs(samples - 1000) > 100).mean() > 0.95  # nothing between the branches
    again = tmp_path / "again.csv"
    predict(run[0], new, again, quantiles=[0.1, 0.9], samples=200, seed=1)
    assert again.read_text() == out.read_text()


def test_integer_targets_get_half_a_step_as_floor(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=100)
    data = write(tmp_path / "d.csv", {"x": x, "y": np.round(5 + x).astype(int)})
    result = fit(data, "y", tmp_path / "run", epochs=2)
    assert (result.recording_step, result.min_scale) == (1.0, 0.5)


def test_names_may_hold_any_character(tmp_path):
    rng = np.random.default_rng(0)
    name = "price [/red] in $^$ {0}"
    data = write(tmp_path / "d.csv", {"x[bold]": rng.normal(size=20), name: rng.normal(size=20)})
    assert fit(data, name, tmp_path / "run", epochs=1).target == name


def test_ten_rows_are_enough(tmp_path):
    data = write(tmp_path / "d.csv", {"x": range(10), "y": np.arange(10) ** 2 + 0.5})
    assert fit(data, "y", tmp_path / "run", epochs=2).rows["held_out"] == 2


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": range(9), "y": range(9)}, {}, "9 rows; expected at least 10"),
        ({"x": [1], "y": [1]}, {}, "one row"),
        ({"x": range(20), "y": [3] * 20}, {}, "must vary"),
        ({"x": range(20), "y": ["a"] * 20}, {}, "must be numeric"),
        ({"x": [*range(19), "nan"], "y": range(20)}, {}, "line 21, column 'x'"),
        ({"x": range(20), "y": [*range(19), "inf"]}, {}, "line 21, column 'y'"),
        ({"x": range(20), "z": range(20)}, {}, "no column 'y'"),
        ({"x": [1] * 20, "y": range(20)}, {}, "no column to use"),
        ({"x": range(20), "y": range(20)}, {"held_out": 1.5}, "held-out share"),
    ],
)
def test_mistakes_are_refused_before_training_with_nothing_written(tmp_path, columns, options, message):
    data = write(tmp_path / "d.csv", columns)
    with pytest.raises(InputError, match=message):
        fit(data, "y", tmp_path / "run", **options)
    assert [file.name for file in tmp_path.iterdir()] == ["d.csv"]


def test_prediction_refuses_mistakes_with_nothing_written(table, run, tmp_path):
    new = write(tmp_path / "new.csv", {"x": [1, 2]})
    out = tmp_path / "p.csv"
    cases = [
        (lambda: predict(run[0], new, out), "lacks 1 input column: 'kind'"),
        (lambda: predict(run[0], table, out, quantiles=[1.5]), "between 0 and 1; received 1.5"),
        (lambda: predict(tmp_path / "none", table, out), "is not a folder"),
        (lambda: predict(tmp_path, table, out), "is not a run"),
        (lambda: predict(run[0], table, new), "exists"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()
    assert [file.name for file in tmp_path.iterdir()] == ["new.csv"]

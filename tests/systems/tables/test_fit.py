import csv
import json

import keras
import numpy as np
import pytest

import mixtura
from mixtura.errors import InputError
from mixtura.evaluation import marginal
from mixtura.systems.tables import fit, predict

# Small networks train as fast and compile faster.
SMALL = {"ensemble": 2, "n_components": 3, "hidden_layer_sizes": (32,)}


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
    return out, fit(table, "y", out, **SMALL, max_iter=40)


def test_scores_are_in_the_target_units_and_beat_the_baselines(run):
    _, result = run
    found, (linear, marginal) = (
        result.report,
        (result.report.baselines[name] for name in ("linear", "marginal")),
    )
    # Two normals of scale 10 or 30, 200 to 600 apart: log 2 + log(scale sqrt(2 pi e)) is 4.41 or 5.51.
    assert 4.8 < found.scores["nll"] < 5.4
    assert linear["nll"] > 6.5
    assert 6 < marginal["nll"] < linear["nll"]
    assert found.scores["coverage"] == pytest.approx(0.9, abs=0.08)
    assert found.scores["rmse"] == pytest.approx(linear["rmse"], rel=0.1)  # the mean is no answer here
    assert result.left_out == {"again": "copy of 'x'", "same": "constant"}
    assert result.rows == {"training": 480, "held_out": 120}
    assert found.rows == 120
    assert found.outputs[0].label(0).startswith("line ")


def test_the_run_folder_is_complete_and_describes_itself(run):
    out, result = run
    names = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    figures = {"figures/loss.png", "figures/densities.png"}
    files = {"config.json", "report.json", "report.html", "model.keras", "history.csv", "checkpoint.npz"}
    assert names == files | figures
    told = json.loads((out / "report.json").read_text())
    assert told["outputs"][0]["scores"]["model"] == result.report.scores
    assert told["fit"]["left_out"] == result.left_out
    assert "<h1>y</h1>" in (out / "report.html").read_text()
    assert len((out / "history.csv").read_text().splitlines()) == result.epochs + 1
    family = keras.models.load_model(out / "model.keras").layers[-1].family
    assert family.shift[0] == pytest.approx(1000, abs=30)
    assert family.family.family.min_scale * family.scale[0] == pytest.approx(0.21, abs=0.01)
    (decision,) = result.decisions
    assert decision.endswith("(0.001 of the standard deviation).")


def test_the_regressor_of_a_run_reads_data_frames(run, tmp_path):
    pandas = pytest.importorskip("pandas")
    model = mixtura.MDNRegressor.load(run[0])
    assert (model.n_iter_, list(model.feature_names_in_)) == (run[1].epochs, ["x", "kind"])
    assert len(model.loss_curve_) == len(model.validation_loss_curve_) == model.n_iter_
    assert model.validation_loss_ <= min(model.validation_loss_curve_)
    new = pandas.DataFrame({"x": [2.0, 2.0], "kind": ["narrow", "wide"]})
    low, high = model.predict_interval(new, 0.8)
    write(tmp_path / "new.csv", {"x": new["x"], "kind": new["kind"]})
    predict(run[0], tmp_path / "new.csv", tmp_path / "p.csv", quantiles=[0.1, 0.9])
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    np.testing.assert_allclose([[float(row["q0.1"]), float(row["q0.9"])] for row in rows], np.c_[low, high])
    model.save(tmp_path / "model.npz")
    again = mixtura.MDNRegressor.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(new), model.predict(new))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores_also_where_losses_are_written_for_tensorboard(
    table, run, tmp_path
):
    pytest.importorskip("tensorboardX")
    again = fit(table, "y", tmp_path / "run", **SMALL, max_iter=40, tensorboard=True)
    assert again.report.scores == run[1].report.scores
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"epoch/val_member_likelihoods" in events.read_bytes()


def test_a_finished_run_resumes_to_the_same_report(table, run, monkeypatch):
    out, result = run
    # As sums by threads may, baselines differ the next time: the report is on the run's own.
    monkeypatch.setattr("mixtura.evaluation.baselines.marginal", lambda y, step: marginal(y + 1e-9, step))
    page = (out / "report.html").read_bytes()
    again = fit(table, "y", out, **SMALL, max_iter=40, resume=True)
    assert again.report.to_dict() == result.report.to_dict()
    assert (out / "report.html").read_bytes() == page
    assert again.epochs == result.epochs
    assert result.seconds_to_first_epoch > 0


def test_a_run_resumes_only_with_its_settings_and_its_table(table, run, tmp_path):
    with pytest.raises(InputError, match=r"begun with regressor.params.n_components = 3; received 4"):
        fit(table, "y", run[0], **{**SMALL, "n_components": 4}, resume=True)
    other = tmp_path / table.name
    other.write_text(table.read_text().replace("narrow", "slim"))
    with pytest.raises(InputError, match=r"begun with another table than .*branches\.csv"):
        fit(other, "y", run[0], **SMALL, resume=True)


def test_runs_of_older_versions_are_refused(table, tmp_path):
    mixtura.training.Run.begin(tmp_path / "run", {"system": "tables", "target": "y"})
    for call in (
        lambda: predict(tmp_path / "run", table, tmp_path / "p.csv"),
        lambda: fit(table, "y", tmp_path / "run", resume=True),
    ):
        with pytest.raises(InputError, match="run was left by an older version of `mixtura fit`; train it"):
            call()
    with pytest.raises(InputError, match="a run without a regressor"):
        mixtura.MDNRegressor.load(tmp_path / "run")


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


@pytest.mark.slow
def test_ten_rows_are_enough_and_integers_get_half_a_step_as_floor_and_names_may_be_odd(tmp_path):
    name = "price [/red] in $^$ {0}"
    data = write(tmp_path / "d.csv", {"x[bold]": range(10), name: np.arange(10) ** 2 // 3})
    result = fit(data, name, tmp_path / "run", **SMALL, max_iter=2)
    assert result.rows == {"training": 8, "held_out": 2}
    assert (result.report.outputs[0].name, result.report.outputs[0].step) == (name, 1)
    assert result.decisions[0].endswith("(half the recording step 1).")


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

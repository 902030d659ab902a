import json
import re
from html import unescape

import numpy as np
import pytest
from scipy import stats
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

import mixtura as mx
from mixtura import scores
from mixtura.evaluation import Baselines, report


def test_scores_are_those_of_the_predictions(true_normal, rows):
    X, y = rows
    found = report(true_normal, X, y, training=(X, y), level=0.8)
    assert found.scores["nll"] == pytest.approx(-stats.norm.logpdf(y, X[:, 0], np.exp(X[:, 1])).mean())
    assert found.scores["rmse"] == pytest.approx(np.sqrt(np.mean((y - X[:, 0]) ** 2)))
    assert found.scores["width"] == pytest.approx(2 * stats.norm.ppf(0.9) * np.exp(X[:, 1]).mean())
    p = true_normal.predict_distribution(X)
    for name in ("crps", "interval_score"):
        expected = getattr(scores, name)(p, y[:, None], *([0.8] if name == "interval_score" else []))
        assert found.scores[name] == pytest.approx(expected)
    assert found.scores["coverage"] == pytest.approx(scores.interval_coverage(p, y[:, None], 0.8))
    assert "discretised_log_score" not in found.scores
    assert set(found.baselines) == {"marginal", "linear"}


def test_differences_are_paired(true_normal, rows):
    X, y = rows
    found = report(true_normal, X, y, training=(X, y))
    fitted = Baselines.fit(X, y).predict(X)["linear"]
    each = -fitted.log_prob(y[:, None]) + true_normal.predict_distribution(X).log_prob(y[:, None])
    value, error, is_clear = found.differences["linear"]["nll"]
    assert value == pytest.approx(each.mean())
    assert error == pytest.approx(stats.sem(each))
    assert is_clear == (stats.ttest_1samp(each, 0).pvalue < 0.05)


def test_the_error_of_a_difference_of_rmse_is_that_of_resampled_rows(true_normal, rows):
    X, y = rows
    found = report(true_normal, X, y, training=(X, y))
    model = np.square(y - X[:, 0])
    other = np.square(y - Baselines.fit(X, y).predict(X)["marginal"].mean()[:, 0])
    some = np.random.default_rng(0).integers(300, size=(2000, 300))
    drawn = np.sqrt(other[some].mean(axis=1)) - np.sqrt(model[some].mean(axis=1))
    assert found.differences["marginal"]["rmse"].error == pytest.approx(drawn.std(), rel=0.1)


def test_rounded_values_are_scored_by_cells(known, rows):
    X, y = rows
    wide = known(lambda X: mx.Normal(1, scale="exp")(X * [1, 0]))
    y = np.round(y)
    found = report(wide, X, y, training=(X, y))
    p = wide.predict_distribution(X)
    assert found.outputs[0].step == 1.0
    assert found.scores["discretised_log_score"] == scores.discretised_log_score(p, y[:, None], 1.0)
    assert "log score of steps of 1" in found.table()
    # Within fine steps densities do not vary, and the table says it once.
    fine = report(wide, X, np.round(rows[1], 4), training=(X, y))
    assert "discretised_log_score" in fine.scores
    assert "log score of steps" not in fine.table()


def test_the_step_is_the_given_one_or_the_models(true_normal, rows):
    X, y = rows
    assert report(true_normal, X, np.round(y), step=0).outputs[0].step == 0
    true_normal.recording_step_ = 0.25
    assert report(true_normal, X, np.round(y)).outputs[0].step == 0.25
    del true_normal.recording_step_
    assert report(true_normal, X[:3], np.round(y[:3])).outputs[0].step == 0  # three values prove nothing


def test_the_worst_rows_come_first_and_have_their_names(true_normal, rows):
    class Table(np.ndarray):
        index = tuple(f"house {row}" for row in range(300))

    X, y = rows
    y = y.copy()
    y[17] += 100
    first, *_, last = report(true_normal, X.view(Table), y).outputs[0].worst
    assert (first["row"], first["name"], first["y"]) == (17, "house 17", y[17])
    assert first["median"] == pytest.approx(X[17, 0])
    assert first["high"] == pytest.approx(X[17, 0] + stats.norm.ppf(0.95) * np.exp(X[17, 1]))
    assert first["log_score"] > last["log_score"]


def test_the_sentences_say_what_is_wrong(known, rows):
    X, y = rows

    def said(shift, log_factor):
        model = known(lambda X: mx.Normal(1, scale="exp")(X + np.array([shift, log_factor])))
        return " ".join(report(model, X, y).verdicts)

    assert "too" not in said(0, 0)
    assert "frequencies agree" in said(0, 0)
    assert "intervals are too narrow" in said(0, -1)
    assert "intervals are too wide" in said(0, 1)
    assert "predictions are too low" in said(-1, 0)
    assert "predictions are too high" in said(1, 0)


def test_calibrated_sentences_count_rows(true_normal, rows):
    X, y = rows
    held = np.mean(np.abs(y - X[:, 0]) <= stats.norm.ppf(0.95) * np.exp(X[:, 1]))
    low, high = stats.binom.interval(0.95, 300, 0.9)
    expected = f"held {100 * held:.1f} % of 300 rows; {low / 3:.1f} % to {high / 3:.1f} % would be usual"
    assert any(expected in sentence for sentence in report(true_normal, X, y).verdicts)


def test_means_in_gaps_are_counted_and_drawn(fork, rows):
    X = np.linspace(0, 2, 101)[:, None]
    y = np.where(np.arange(101) % 2, X[:, 0], -X[:, 0])
    found = report(fork, X, y)
    x, means = X[:, 0], stats.norm(0, 0.3)
    peak = 0.5 * means.pdf(0) + 0.5 * means.pdf(2 * x)
    expected = np.flatnonzero(peak > 10 * means.pdf(x))
    gaps = found.to_dict()["outputs"][0]["means_in_gaps"]
    assert sorted(gaps["rows"]) == expected.tolist()
    assert f"In {len(expected)} of 101 rows" in str(found)
    assert "gaps" in found.figures()[0]


def test_several_outputs_and_missing_values(known):
    rng = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.8], [0.8, 4.0]])
    X = rng.normal(size=(80, 2))
    y = X + rng.multivariate_normal([0, 0], covariance, size=80)
    y[:9, 1] = np.nan
    phi = 0.8  # of the second dimension on the first, in units of conditional scales
    sigma = np.sqrt(4 - 0.64)
    shared = [0.0, np.log(sigma), phi / sigma]
    model = known(lambda X: mx.Normal(2, "full", scale="exp")(np.hstack([X, np.tile(shared, (len(X), 1))])))
    np.testing.assert_allclose(model.predict_distribution(X).covariance()[0], covariance)

    found = report(model, X, y, training=(X, y), names=["a", "b"])
    both = [stats.multivariate_normal(X[i], covariance).logpdf(y[i]) for i in range(9, 80)]
    one = stats.norm.logpdf(y[:9, 0], X[:9, 0])
    assert found.scores["nll"] == pytest.approx(-np.concatenate([one, both]).mean())
    assert set(found.scores) == {"nll", "energy_score"}
    assert [len(output.y) for output in found.outputs] == [80, 71]
    assert found.outputs[1].scored["model"].values["nll"] == pytest.approx(
        -stats.norm.logpdf(y[9:, 1], X[9:, 1], 2).mean()
    )
    assert found.outputs[1].worst[0]["row"] >= 9
    assert any("9 rows have no value of b" in note for note in found.notes)
    assert "all outputs together" in str(found)


def test_baselines_can_be_the_models_own(true_normal, rows):
    X, y = rows
    fitted = Baselines.fit(X, y)
    true_normal.baseline_distributions = fitted.predict
    own, given = report(true_normal, X, y), report(true_normal, X, y, training=(X, y))
    assert own.baselines == given.baselines
    del true_normal.baseline_distributions
    assert report(true_normal, X, y).baselines == {}


def test_inputs_that_are_no_numbers_leave_out_the_linear_model(known, rows):
    _, y = rows
    X = np.array([["red"], ["green"]] * 150, dtype=object)
    model = known(mx.Normal(1))
    model.predict_distribution = lambda X: mx.Normal(1)(np.zeros((len(X), 2)))
    found = report(model, X, y, training=(X, y))
    assert list(found.baselines) == ["marginal"]
    assert any("linear model is left out" in note for note in found.notes)


def test_training_rows_are_recognised(true_normal, rows):
    X, y = rows
    assert any("training rows" in note for note in report(true_normal, X, y, training=(X, y)).notes)
    assert not report(true_normal, X[:99], y[:99], training=(X, y)).notes


def test_everything_becomes_json(true_normal, rows):
    X, y = rows
    found = json.loads(json.dumps(report(true_normal, X, y, training=(X, y)).to_dict(), allow_nan=False))
    output = found["outputs"][0]
    assert output["scores"]["model"]["nll"] == pytest.approx(1.4, abs=0.2)
    assert len(output["calibration"]["reliability"]["observed"]) == 49
    assert sum(output["calibration"]["pit_histogram"]["observed"]) == pytest.approx(1)
    assert len(output["worst_rows"]) == 10


def test_infinite_scores_are_told(known):
    model = known(lambda X: mx.LogNormal(1)(X))
    found = report(model, np.zeros((20, 2)), np.linspace(-1, 3, 20), step=0)
    assert found.scores["nll"] == np.inf
    assert any("density of zero" in sentence for sentence in found.verdicts)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("count", [1, 2])
def test_a_page_of_few_rows(fork, rows, tmp_path, count):
    X, y = rows
    found = report(fork, X[:count], y[:count], training=(X, y))
    assert "nan" not in str(found)
    assert found.save(tmp_path / "page.html").stat().st_size > 10_000


@pytest.mark.slow
def test_the_page_needs_nothing_else_and_keeps_names_as_they_are(true_normal, rows, tmp_path):
    X, y = rows
    name = "<b>US$</b> & $x_1$"
    found = report(true_normal, X, y, training=(X, y), names=name, title="A <script>")
    path = found.save(tmp_path / "new" / "page.html")
    text = path.read_text(encoding="utf-8")
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'> ]+)""", text)
    assert sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert not re.search(r"<script|<b>|url\(|@import|<link", text)
    assert unescape(text).count(name) >= 1
    assert text == found.save(path).read_text(encoding="utf-8")  # the same report is the same file
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
    fragment = found._repr_html_()
    assert fragment in text
    assert "<html" not in fragment


def test_a_page_that_cannot_be_written_leaves_the_old_one(true_normal, rows, tmp_path, monkeypatch):
    X, y = rows
    path = tmp_path / "page.html"
    path.write_text("old")

    def fails(report):
        raise RuntimeError("no page")

    monkeypatch.setattr("mixtura.evaluation.page.document", fails)
    with pytest.raises(RuntimeError, match="no page"):
        report(true_normal, X, y).save(path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (np.zeros(4), {}, "X has 5 rows and y has 4"),
        (np.zeros(0), {}, "at least one row"),
        ([0, 0, 0, np.nan, 0], {}, "row 3 must be finite; received nan"),
        ([[0.0, 1.0], [0.0, np.inf]], {}, "row 1, column 1 must be finite"),
        ([[0.0, 1.0], [np.nan, np.nan]], {}, "row 1 has no value in any output"),
        ([[0.0, np.nan], [1.0, np.nan]], {}, "no value at all in column 1"),
        (["a"] * 5, {}, "must hold numbers"),
        (np.zeros((5, 1, 1)), {}, "shape"),
        (np.zeros((5, 2)), {}, "predicts 1 outputs and y has 2"),
        (np.zeros(5), {"level": 1.0}, "level must lie between 0 and 1"),
        (np.zeros(5), {"step": -1.0}, "step must be one number"),
        (np.zeros(5), {"names": ["a", "b"]}, "names must be 1"),
        (np.zeros(5), {"training": (np.zeros((3, 2)), np.zeros(4))}, "X has 3 rows and y has 4"),
    ],
)
def test_mistakes_are_named(true_normal, y, options, message):
    X = np.zeros((5, 2))
    with pytest.raises(ValueError, match=message):
        report(true_normal, X, y, **options)


def test_the_last_step_of_a_pipeline_is_reported_on(true_normal, rows):
    X, y = rows
    shift = FunctionTransformer(lambda X: X - 1.0).fit(X)
    pipeline = Pipeline([("shift", shift), ("known", true_normal)])
    found = report(pipeline, X + 1.0, y, training=(X + 1.0, y))
    assert found.title == "Report on Known"
    assert found.scores == pytest.approx(report(true_normal, X, y).scores)
    assert set(found.baselines) == {"marginal", "linear"}
    with pytest.raises(TypeError, match="received FunctionTransformer"):
        report(Pipeline([("shift", shift)]), X, y)


def test_models_that_do_not_predict_distributions_are_refused(known):
    X, y = np.zeros((5, 2)), np.zeros(5)
    with pytest.raises(TypeError, match="predict_distribution"):
        report(object(), X, y)
    with pytest.raises(TypeError, match="must return a mixtura Distribution"):
        report(known(lambda X: X), X, y)
    with pytest.raises(ValueError, match="batch shape"):
        report(known(lambda X: mx.Normal(1)(X[:3])), X, y)
    with pytest.raises(ValueError, match="events with a density"):
        report(known(lambda X: mx.Bernoulli()(X[:, :1])), X, y)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="prediction for row 3"):
        report(known(mx.Normal(1)), X, y)

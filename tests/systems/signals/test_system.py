import json

import numpy as np
import pytest

from mixtura.data.sequences import read_sequences
from mixtura.errors import InputError
from mixtura.evaluation.sequences import score_sequences
from mixtura.systems import runs
from mixtura.systems.registry import find
from mixtura.systems.signals import Signals


@pytest.fixture(scope="module")
def trained(hearts, tmp_path_factory):
    run = tmp_path_factory.mktemp("signals") / "run"
    return runs.train(find("signals"), hearts, run, preset="tiny"), run


def test_training_leaves_the_comparison(trained):
    result, run = trained
    numbers = json.loads((run / "report.json").read_text())["signals"]
    assert numbers == result.numbers
    assert list(numbers["nll_per_step"]) == [
        "network",
        "linear, normal",
        "linear, mixture",
        "linear, adaptive",
    ]
    assert numbers["nll_per_step"]["network"] == pytest.approx(result.scores.nll_per_step, abs=0.02)
    assert set(numbers["per_recording"]["network"]) == {"202", "210"}
    assert result.scores.recording_step == (1.0,)
    assert result.scores.min_scale == pytest.approx([12**-0.5])
    assert result.held_out == "test"


def test_beats_are_scored_beside_simple_rules(trained):
    beats = trained[0].numbers["beats"]
    assert list(beats["pooled"]) == [*trained[0].numbers["nll_per_step"], "early", "size"]
    assert beats["normal"] + beats["ventricular"] <= 26
    assert beats["pooled"]["early"] == 1.0  # as these hearts are made


def test_training_leaves_pictures(trained):
    for name in ("loss", "comparison", "predictions", "generated", "beats"):
        assert (trained[1] / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_network_begins_as_a_linear_prediction(hearts):
    system = Signals()
    preset = system.presets["tiny"]
    corpus = system.corpus(hearts, preset, seed=0)
    model = system.build(preset, corpus, seed=0)
    model.head.dense.kernel.assign(np.zeros(model.head.dense.kernel.shape))
    signal = corpus.test[0]
    p = model.family(model(signal[None]))
    cell = model.cell
    u = (signal[:, 0] - model.family.shift[0]) / model.family.scale[0]
    expected = np.convolve(u, cell.coefficients[:, 0, 0])[: len(u) - 1]
    means = (p.means[0, 1:, :, 0] - model.family.shift[0]) / model.family.scale[0]
    np.testing.assert_allclose(
        means - expected[:, None], (means - expected[:, None])[:1].repeat(len(means), 0), atol=1e-4
    )


def test_evaluation_leaves_pacemakers_out(trained, hearts):
    scores = runs.evaluate(trained[1], hearts)
    assert len(scores.nll) == 6
    assert np.isfinite(scores.nll_per_step)


def test_surprise_adds_up_to_the_score(trained, hearts):
    system, model, _ = runs.opened(trained[1])
    signals = system.read(hearts, {})[:2]
    scores = score_sequences(model, signals, 1.0)
    each = scores.surprise
    assert [len(one) for one in each] == signals.lengths.tolist()
    np.testing.assert_allclose([one.mean() for one in each], scores.nll / scores.counts, atol=0.02)


def test_generated_signals_are_on_the_grid(trained, tmp_path):
    drawn = runs.generate(trained[1], tmp_path / "drawn.npz", count=2, steps=30, seed=1)
    stored = read_sequences(tmp_path / "drawn.npz")
    assert stored.lengths.tolist() == [30, 30]
    assert float(stored.facts["fs"]) == 50
    np.testing.assert_array_equal(stored.data, np.round(drawn.data))
    runs.generate(trained[1], tmp_path / "drawn.csv", count=2, steps=30, seed=1)
    np.testing.assert_array_equal(read_sequences(tmp_path / "drawn.csv").data, stored.data)


def test_recordings_must_be_longer_than_the_linear_prediction(tmp_path):
    (tmp_path / "short.csv").write_text("y\n" + "1\n2\n" * 5)
    with pytest.raises(InputError, match=r"short\.csv, the training part: sequence 0 has 8 steps"):
        Signals().corpus(tmp_path / "short.csv", Signals.presets["tiny"], 0)


def test_without_data_it_says_so():
    with pytest.raises(InputError, match="signals needs recordings"):
        Signals().corpus(None, Signals.presets["tiny"], 0)

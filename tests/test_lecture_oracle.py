"""keras-mdn-layer's own tests, read from its installed wheel and run on `mixtura.lecture`."""

import importlib.util
import sys
from pathlib import Path

from mixtura import lecture  # before Keras: it picks the backend

import keras  # isort: skip
import pytest

MODULES = ["test_mdn", "test_mdn_math", "test_model_builder_def"]

# They train, build recurrent networks or compile what others compile in another size: a second or more each.
SLOW = {
    "test_mdn-test_build_mdn",
    "test_mdn-test_loss_function_decreases_with_closer_predictions",
    "test_mdn-test_loss_function_runs",
    "test_mdn-test_mixture_sampling_fun",
    "test_mdn-test_multidimensional_output",
    "test_mdn_math-test_2d_output",
    "test_mdn_math-test_5d_output",
    "test_mdn_math-test_identical_components_equal_single",
    "test_mdn_math-test_keras_sampling_shape_and_finite",
    "test_mdn_math-test_predict_split_sample_roundtrip",
    "test_model_builder_def-test_mdn_builder_function",
    "test_mdn-test_mdn_builder_function",
    "test_mdn-test_mdrnn_inference_model",
    "test_mdn-test_mdrnn_training_model",
    "test_mdn-test_output_shapes",
    "test_mdn-test_training_reduces_loss",
    "test_mdn_math-test_learns_shifted_gaussian",
    "test_mdn_math-test_learns_single_gaussian",
    "test_mdn_math-test_loss_monotonically_trends_down",
    "test_mdn_math-test_trained_model_sampling_matches_data",
}

# Their networks name the input's shape in `Dense`, and they save untrained models: Keras warns of both.
pytestmark = pytest.mark.filterwarnings("ignore")


def collect():
    """Return {name: test} of the wheel's test functions, in which `keras_mdn_layer` is `mixtura.lecture`."""
    package = importlib.util.find_spec("keras_mdn_layer")
    if package is None:
        return {}
    folder = Path(package.origin).parent / "tests"
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "keras_mdn_layer", lecture)
        for name in MODULES:
            spec = importlib.util.spec_from_file_location(f"oracle_{name}", folder / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            assert module.mdn is lecture
            for owner in (module, *(value for key, value in vars(module).items() if key.startswith("Test"))):
                for key in vars(owner):
                    if key.startswith("test_"):
                        found[f"{name}-{key}"] = getattr(owner if owner is module else owner(), key)
    return found


TESTS = collect()


@pytest.mark.skipif(not TESTS, reason="needs keras-mdn-layer 1.0.0")
def test_the_wheel_carries_its_tests():
    assert len(TESTS) >= 50
    assert set(TESTS) >= SLOW


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in TESTS]
)
def test_theirs(name, tmp_path, monkeypatch):
    if name == "test_mdn-test_output_shapes" and keras.backend.backend() == "torch":
        pytest.skip("it makes an array of a tensor with a gradient, which PyTorch refuses")
    monkeypatch.chdir(tmp_path)
    keras.utils.set_random_seed(0)
    TESTS[name]()

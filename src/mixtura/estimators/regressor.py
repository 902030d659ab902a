"""`MDNRegressor`: regression whose predictions are distributions, for people who know scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import keras
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    validate_data,
)

from mixtura import training
from mixtura.data.tables import Frame
from mixtura.estimators import storage
from mixtura.estimators.columns import Columns, categorical_columns
from mixtura.estimators.fitting import Plan, train
from mixtura.estimators.predictions import DistributionRegressor, row_weights
from mixtura.estimators.targets import SMALLEST_SHARE, Targets, known_values, read_targets
from mixtura.evaluation import Baselines
from mixtura.families import Affine, Distribution, Mixture, Normal
from mixtura.families.ensemble import variances
from mixtura.families.normal import CovarianceType
from mixtura.models import tabular_ensemble

if TYPE_CHECKING:
    from mixtura.training import Run

# The parameters that a warm start must not change: the shapes of the weights, and how these are read.
STRUCTURE = ("n_components", "covariance_type", "ensemble", "hidden_layer_sizes", "n_bins", "min_scale")

# What `check_estimator(MDNRegressor(), expected_failed_checks=EXPECTED_FAILED_CHECKS)` may fail, and why.
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "mini-batches: a row of weight 2 is in one batch, a row that is there twice may be in two, and which "
        "rows validate a member depends on how many there are. (A row of weight 0 is the same as no row.)"
    )
}

COVARIANCES: dict[str, CovarianceType] = {"full": "full", "diag": "diagonal", "spherical": "spherical"}


class Variance(NamedTuple):
    """A predicted variance by its sources, each of y's shape, in its units squared."""

    aleatoric: np.ndarray
    """Noise: what the members, on average, say is left when x is known."""
    epistemic: np.ndarray
    """Ignorance: how far the members' means lie apart."""

    @property
    def total(self) -> np.ndarray:
        """The variance of the predicted distribution."""
        return self.aleatoric + self.epistemic


class MDNRegressor(DistributionRegressor, BaseEstimator):
    r"""Regression with mixture density networks: every prediction is a distribution.

    $$p(y \mid x) = \frac1M \sum_{m=1}^M \sum_{k=1}^K \pi_{mk}(x)\,
      \mathcal N\bigl(y; \mu_{mk}(x), \Sigma_{mk}(x)\bigr)$$

    An ensemble of M networks (Lakshminarayanan et al. 2017), each of which predicts a mixture of K normals
    (Bishop 1994), trained together in one batched computation. Every member is validated on rows of its own,
    which the others train on. Inputs and targets are standardised, numbers are embedded piecewise linearly
    between their quantiles (Gorishniy et al. 2022), training stops early, and the weights are averages over
    the last steps. The defaults were chosen on training rows of public tables; nothing needs to be tuned
    first. It passes scikit-learn's `check_estimator`, but for what `EXPECTED_FAILED_CHECKS` in this module
    explains.

    Args:
        n_components: normals in each member's mixture, K.
        covariance_type: of each normal where y has several outputs: "full", "diag" or "spherical".
        ensemble: members, M.
        hidden_layer_sizes: units of each member's hidden layers.
        activation: of the hidden layers, as in Keras.
        n_bins: bins in which each number is embedded; 0 for none.
        dropout: the share of hidden units left out in a step of training.
        alpha: weight decay, decoupled from the gradient.
        input_noise: standard deviation of the noise on standardised inputs while training.
        min_scale: the floor of every normal's scale, in the units of y: one number, or one for each output.
            "auto" is the larger of half the recording step of y and 0.001 of its standard deviation.
        categorical_features: "from_dtype": the columns of a data frame that hold text or categories. Or
            names, positions, or one boolean for each column; None for none.
        missing_targets: "error", or "marginalize": NaN in a y of several outputs stands for a value that is
            not known, and the likelihood is that of the others.
        learning_rate_init: of Adam.
        batch_size: rows in a step; "auto" is about a thirtieth of them, between 16 and 256.
        max_iter: epochs at most; "auto" is as many as make 20 000 steps, between 100 and 1000.
        early_stopping: whether each member stops at its best validation score. Without it all rows are
            trained on for `max_iter` epochs.
        validation_fraction: the share of rows on which each member is validated.
        n_iter_no_change: how many epochs without any member's improvement end training.
        warm_start: whether `fit` goes on from the weights, units and categories of the last `fit`.
        random_state: of the weights, the rows' order and the validation rows.
        verbose: 1 prints what was decided and shows progress.

    Attributes:
        n_features_in_: columns of X.
        feature_names_in_: their names, where X had some.
        n_outputs_: outputs of y.
        family_: what a prediction's parameters mean, in the units of y.
        min_scale_: the floor of each output's scale, in its units.
        recording_step_: the step in which each output was recorded, 0 where there is none.
        n_iter_: epochs of the last `fit`.
        loss_curve_: the training loss of each epoch, in nats, on standardised targets.
        validation_loss_curve_: the members' mean validation loss of each epoch; with early stopping.
        validation_loss_: the mean of the members' best ones. Since each member is validated on rows of its
            own, it compares settings on the same data much as cross-validation does, for one `fit` each.

    Example:
        >>> import mixtura as mx, numpy as np
        >>> x = np.linspace(-1, 1, 200)[:, None]
        >>> y = np.where(np.arange(200) % 2, x[:, 0], -x[:, 0])  # two right answers for each x
        >>> model = mx.MDNRegressor(n_components=2, ensemble=1, max_iter=60, random_state=0).fit(x, y)
        >>> p = model.predict_distribution([[0.8]])
        >>> bool(p.log_prob([[0.8]])[0] > p.log_prob([[0.0]])[0])  # 0 is the mean, and never happens
        True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 - scikit-learn's way
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(COVARIANCES))],
        "ensemble": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [str],
        "n_bins": [Interval(Integral, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "min_scale": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left"), "array-like"],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "missing_targets": [StrOptions({"error", "marginalize"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int = 5,
        *,
        covariance_type: str = "full",
        ensemble: int = 8,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        activation: str = "silu",
        n_bins: int = 32,
        dropout: float = 0.0,
        alpha: float = 0.0,
        input_noise: float = 0.0,
        min_scale: Any = "auto",
        categorical_features: Any = "from_dtype",
        missing_targets: str = "error",
        learning_rate_init: float = 2e-3,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 40,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.ensemble = ensemble
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.n_bins = n_bins
        self.dropout = dropout
        self.alpha = alpha
        self.input_noise = input_noise
        self.min_scale = min_scale
        self.categorical_features = categorical_features
        self.missing_targets = missing_targets
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, y_upper: Any = None) -> Self:
        """Train on rows.

        Args:
            X: `(rows, features)`: an array, or a pandas or polars data frame, which may have columns of text.
            y: `(rows,)` or `(rows, outputs)`.
            sample_weight: how much each row counts, `(rows,)`; one of 0 is left out.
            y_upper: for censored targets, of y's shape: the true value lies between y and y_upper. inf says
                "y or more"; with a y of -inf it says "y_upper or less". Where both are equal, or y_upper is
                NaN, the value is known.

        Raises:
            ValueError: for fewer than two rows; lengths that differ; a number that is not finite, named by
                row and column; negative weights; a target that does not vary; censored outputs whose
                covariance is "full".
            TypeError: for sparse matrices.
        """
        self._train(self._plan(X, y, sample_weight, y_upper))
        return self

    def _plan(self, X: Any, y: Any, sample_weight: Any = None, y_upper: Any = None) -> Plan:
        """Check the data, learn units and categories, and return what there is to train on."""
        self._validate_params()
        units = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object))
        if not len(units) or not all(isinstance(one, Integral) and int(one) > 0 for one in units):
            raise ValueError(
                "hidden_layer_sizes must hold a positive whole number for each layer, one at least; received "
                f"{self.hidden_layer_sizes!r}"
            )
        if y is None:
            raise ValueError("This MDNRegressor estimator requires y to be passed, but the target y is None.")
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        if goes_on:
            self._check_structure()
        X = self._read(X, reset=not goes_on)
        lower, upper, is_vector = read_targets(y, X.shape[0], self.missing_targets == "marginalize", y_upper)
        weight = row_weights(sample_weight, X.shape[0])
        used = weight > 0
        if used.sum() < 2:
            raise ValueError(
                f"Found {used.sum()} sample(s) of positive weight while a minimum of 2 is required."
            )
        is_known = (lower == upper) | (np.isinf(lower) & np.isinf(upper))
        if lower.shape[1] > 1 and self.covariance_type == "full" and not is_known.all():
            raise ValueError(
                "censored targets of several outputs need covariance_type 'diag' or 'spherical'; "
                "received 'full'"
            )
        values = known_values(lower, upper)
        if goes_on and len(self._targets.mean) != values.shape[1]:
            raise ValueError(
                f"warm_start goes on with {len(self._targets.mean)} output(s); received y with "
                f"{values.shape[1]}"
            )
        # What was fitted must not change when somebody sets other parameters for the next fit.
        self._settings = self.get_params()
        if not goes_on:
            self._weights: list[np.ndarray] | None = None
            categorical = categorical_columns(X, self.categorical_features)
            self._columns = Columns.fit(X, categorical, weight)
            self._targets = Targets.fit(values, is_vector, weight, self.min_scale)
        self.n_outputs_ = values.shape[1]
        x = self._columns.encode(X)
        known = values[used]
        if np.isnan(known).any(axis=1).all():  # no row is complete
            known = np.where(np.isnan(known), self._targets.mean, known)
        self._baselines = Baselines.fit(x[used], known, self._targets.step)
        bounds = tuple(map(self._targets.standardised, (lower, upper)))
        start = self._targets.standardised(values)
        return Plan(x[used], *(part[used] for part in (*bounds, start, weight)))

    def _train(
        self, plan: Plan, run: Run | None = None, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> None:
        """Train, in a run folder if one is given."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        network = self._build(seed)
        if self.verbose:
            print(*self.decisions(), sep="\n")
        with training.progress_bar() if self.verbose else nullcontext() as progress:
            if progress is not None:
                shown = network.layers[-1].family.log_volume, "member_likelihoods"
                callbacks = [*callbacks, training.EpochProgress(progress, type(self).__name__, *shown)]
            history, best = train(
                network,
                plan,
                old=self._weights,
                settings=self._settings,
                seed=seed,
                run=run,
                callbacks=callbacks,
            )
        self._weights = [keras.ops.convert_to_numpy(weight) for weight in network.weights]
        self._network = network
        for name in ("conformal_tails_", "validation_loss_curve_", "validation_loss_"):
            if hasattr(self, name):
                delattr(self, name)  # of the last fit
        self.loss_curve_ = history["member_likelihoods"]
        if best is not None:
            self.validation_loss_curve_ = history["val_member_likelihoods"]
            self.validation_loss_ = float(np.mean(best))
        self.n_iter_ = len(self.loss_curve_)

    def decisions(self) -> list[str]:
        """Return in words what `fit` decided about the targets."""
        lines = []
        for place, (floor, step) in enumerate(zip(self.min_scale_, self.recording_step_, strict=True)):
            reason = "as asked"
            if isinstance(self._settings["min_scale"], str):
                is_step = self._targets.min_scale[place] > SMALLEST_SHARE
                reason = (
                    f"half the recording step {step:g}"
                    if is_step
                    else (f"{SMALLEST_SHARE:g} of the standard deviation")
                )
            name = "" if self._targets.is_vector else f" of output {place}"
            lines.append(f"No component's scale{name} is below {floor:.3g} ({reason}).")
        return lines

    # ------------------------------------------------------------------ what fit learned

    def __sklearn_is_fitted__(self) -> bool:
        return getattr(self, "_weights", None) is not None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.non_deterministic = False
        return tags

    @property
    def family_(self) -> Affine:
        """What a prediction's parameters mean, in the units of y."""
        check_is_fitted(self)
        return self._network_.layers[-1].family

    @property
    def min_scale_(self) -> np.ndarray:
        """The floor of each output's scale, in its units."""
        floor = np.array(self._targets.min_scale)
        if self._settings["covariance_type"] == "spherical":  # one scale for all outputs
            floor = np.full_like(floor, floor.max())
        return floor * np.array(self._targets.std)

    @property
    def recording_step_(self) -> np.ndarray:
        """The step in which each output was recorded, 0 where there is none."""
        return np.array(self._targets.step)

    @property
    def _network_(self) -> keras.Model:
        """The Keras model, built again after copying, pickling and loading."""
        if getattr(self, "_network", None) is None:
            network = self._build(0)
            network.set_weights(self._weights)
            self._network = network  # only now: another thread may be waiting for it
        return self._network

    def _check_structure(self) -> None:
        for name in STRUCTURE:
            old, new = self._settings[name], getattr(self, name)
            if not np.array_equal(old, new):
                raise ValueError(f"warm_start goes on with the network of {name}={old!r}; received {new!r}")

    def _build(self, seed: int) -> keras.Model:
        asked, floor = self._settings, self._targets.min_scale
        covariance, size = COVARIANCES[asked["covariance_type"]], len(floor)
        normal = Normal(size, covariance, min_scale=max(floor) if covariance == "spherical" else floor)
        return tabular_ensemble(
            self._columns.width,
            Affine(Mixture(normal, asked["n_components"]), self._targets.mean, self._targets.std),
            num_members=asked["ensemble"],
            hidden=[int(units) for units in np.atleast_1d(asked["hidden_layer_sizes"])],
            activation=asked["activation"],
            dropout=float(asked["dropout"]),
            num_bins=asked["n_bins"],
            numeric=len(self._columns.numeric),
            learning_rate=asked["learning_rate_init"],
            weight_decay=asked["alpha"],
            seed=seed,
        )

    def __getstate__(self) -> dict[str, Any]:
        # Without the Keras model, which is rebuilt from the weights.
        return {name: value for name, value in super().__getstate__().items() if name != "_network"}

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to one file, without pickle; `MDNRegressor.load` reads it."""
        check_is_fitted(self)
        storage.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the estimator that `save` wrote, or that of a run folder of `mixtura fit`.

        Of a run that has not finished it has the weights after the last epoch that was kept.

        Raises:
            InputError: if the file or folder is missing, damaged, or not of this kind.
        """
        return storage.load(cls, Path(path))

    # ------------------------------------------------------------------ predictions

    def predict_distribution(self, X: Any) -> Distribution:
        """Return one distribution for each row, in the units of y: a mixture of M K normals."""
        x = self._encoded(X)
        return self.family_(training.predict(self._network_, x))

    def predict_variance(self, X: Any) -> Variance:
        """Return the variance by its sources: noise, and the members' disagreement."""
        parts = variances(self.predict_distribution(X), self._settings["ensemble"])
        return Variance(*map(self._shaped, parts))

    def baseline_distributions(self, X: Any) -> dict[str, Distribution]:
        """Return what the training rows say without a network: one density for all, and a linear model.

        `mixtura.report` scores the regressor beside them; see `mixtura.evaluation.Baselines`. Every row of
        positive weight counts the same; a censored target counts as its finite end or the middle.
        """
        return self._baselines.predict(self._encoded(X))

    # ------------------------------------------------------------------ helpers

    def _encoded(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._columns.encode(self._read(X, reset=False))

    def _read(self, X: Any, reset: bool) -> Any:
        """Return X as an array or a data frame, with checked names and number of columns."""
        if isinstance(X, Frame):  # scikit-learn would not read its names
            if reset:
                self.n_features_in_, self.feature_names_in_ = X.shape[1], np.array(X.columns, dtype=object)
            return X
        if not hasattr(X, "columns"):
            X = check_array(
                X,
                dtype=None,
                ensure_all_finite=False,
                ensure_min_samples=2 if reset else 1,
                estimator=self,
                input_name="X",
            )
        elif X.shape[0] < (least := 2 if reset else 1) or not X.shape[1]:
            raise ValueError(
                f"Found a data frame with {X.shape[0]} sample(s) and {X.shape[1]} feature(s) while a minimum "
                f"of {least} and 1 is required by MDNRegressor."
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X

"""One continuous sequence, modelled twice: in bins with a softmax, and as it is with a mixture of normals.

A particle on a line jumps, and every time either left or right:

    y[t] = 2 sin y[t-1] - 0.3 y[t-2] + e[t],    e[t] ~ 0.6 N(-0.5, 0.1^2) + 0.4 N(0.5, 0.1^2)

so the true distribution of the next step is known, and with it what no model can beat. The same recurrent
network is trained, with the same number of updates, on n bins with `Categorical(n)` and on the numbers
themselves with a `Mixture`. Both are scored on fresh steps: by the probability of the bin that the next step
falls into, divided by the bin's width.
"""

import argparse
import json
from pathlib import Path

import mixtura as mx  # before Keras: it picks the backend
import keras
import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from mixtura.drawing import COLOURS, new_figure, save_figure
from mixtura.evaluation.sequences import predictions
from mixtura.training import Ragged, fit, initialize_head

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bins", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256, 512, 1024])
parser.add_argument(
    "--steps", type=int, nargs="+", default=[2000, 20_000], help="lengths of the training sequence"
)
parser.add_argument("--updates", type=int, default=1500, help="of the weights, for every network")
parser.add_argument("--fresh", type=int, default=20_000, help="steps to score")
parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture and the numbers")
args = parser.parse_args()

LIMIT = 3.0  # the bins divide (-LIMIT, LIMIT)
WEIGHTS, MEANS, SCALE = np.array([0.6, 0.4]), np.array([-0.5, 0.5]), 0.1
LENGTH, SKIPPED = 50, 10  # steps of a window; first steps that are not scored
MOMENT = 300  # the step that is shown


def centre(before, before_that):
    """Return where the next step is without noise."""
    return 2 * np.sin(before) - 0.3 * before_that


def sequence(steps, seed):
    """Draw a sequence, `(steps, 1)`, a hundred steps after its start at 0."""
    rng = np.random.default_rng(seed)
    noise = MEANS[(rng.random(steps + 100) > WEIGHTS[0]).astype(int)] + SCALE * rng.normal(size=steps + 100)
    y = np.zeros(steps + 100)
    for t in range(2, len(y)):
        y[t] = centre(y[t - 1], y[t - 2]) + noise[t]
    return y[100:, None]


def true_score(y, width):
    """Return the score of the true distribution in bins of a width, or of its density for a width of 0."""
    means = centre(y[SKIPPED - 1 : -1], y[SKIPPED - 2 : -2]) + MEANS  # (steps, 2)
    if not width:
        return -logsumexp(norm.logpdf(y[SKIPPED:], means, SCALE), b=WEIGHTS, axis=1).mean()
    lower, upper = ((middles(y[SKIPPED:], width) + side - means) / SCALE for side in (-width / 2, width / 2))
    # Right of the mean the upper tail has the digits.
    lower, upper = np.where(lower > 0, [-upper, -lower], [lower, upper])
    above, below = norm.logcdf(upper), norm.logcdf(lower)
    return np.log(width) - logsumexp(above + np.log1p(-np.exp(below - above)), b=WEIGHTS, axis=1).mean()


def bins(y, width):
    """Return the bin of each number."""
    return np.floor((y + LIMIT) / width).astype(int)


def middles(y, width):
    """Return the middle of the bin of each number."""
    return (bins(y, width) + 0.5) * width - LIMIT


def trained(family, training, validation):
    """Return a network that has learnt a sequence of events, `(steps, event_size)`."""
    keras.utils.set_random_seed(0)
    model = mx.MDNRNN(family, units=(64,), cell="gru")
    initialize_head(model, training)
    rows, held_back = (
        Ragged.windows([y], LENGTH, start=model.start_event(), batch_size=32) for y in (training, validation)
    )
    epochs = -(-args.updates * 32 // len(rows.parts[0][1]))
    rate = keras.optimizers.schedules.CosineDecay(5e-3, args.updates, alpha=0.02)
    model.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss=mx.NegativeLogLikelihood(family))
    best = keras.callbacks.EarlyStopping(patience=max(10, epochs // 5), restore_best_weights=True)
    fit(model, rows, validation_data=held_back, epochs=epochs, verbose=0, seed=0, callbacks=[best])
    return model


def predicted(model, y):
    """Return the distributions of all steps but the first few."""
    return model.family(dict(predictions(model, [y]))[0])[SKIPPED:]


fresh, validation = sequence(args.fresh, seed=1), sequence(4000, seed=2)
longest = sequence(max(args.steps), seed=0)
assert max(np.abs(longest).max(), np.abs(fresh).max()) < LIMIT
widths = {n: 2 * LIMIT / n for n in args.bins}
limits = {n: true_score(fresh, width) for n, width in widths.items()}
report = {"limit": {"density": true_score(fresh, 0), **limits}, "softmax": {}, "mixture": {}}
shown = {}  # one step, as the models predict it
for steps in args.steps:
    training = longest[:steps]
    family = mx.Affine(mx.Mixture(mx.Normal(1, min_scale=1e-3), 5), training.mean(), training.std())
    p = predicted(trained(family, training, validation), fresh)
    shown["mixture", steps] = p[MOMENT]
    report["mixture"][steps] = {"density": mx.scores.negative_log_likelihood(p, fresh[SKIPPED:])}
    report["softmax"][steps] = {}
    for n, width in widths.items():
        y = middles(fresh[SKIPPED:], width)
        report["mixture"][steps][n] = mx.scores.discretised_log_score(p, y, width)
        one_hot = [np.eye(n, dtype=np.uint8)[bins(y[:, 0], width)] for y in (training, validation, fresh)]
        q = predicted(trained(mx.Categorical(n), *one_hot[:2]), one_hot[2])
        shown["softmax", steps, n] = q[MOMENT]
        nll = mx.scores.negative_log_likelihood(q, one_hot[2][SKIPPED:])
        report["softmax"][steps][n] = nll + np.log(width)

print(f"nats per step on {args.fresh} fresh steps; limit of densities {report['limit']['density']:.3f}")
print("training steps  model   " + "".join(f"{n:>8}" for n in args.bins) + " bins")
rows = [("", "limit", report["limit"])]
rows += [(steps, name, report[name][steps]) for steps in args.steps for name in ("softmax", "mixture")]
for steps, name, row in rows:
    print(f"{steps:>14}  {name:8}" + "".join(f"{row[n]:8.3f}" for n in args.bins))

figure, (left, right) = new_figure(columns=2, width=5.2, height=4.0)
steps, n = max(args.steps), min(args.bins, key=lambda n: abs(n - 64))
now = SKIPPED + MOMENT
means = centre(fresh[now - 1, 0], fresh[now - 2, 0]) + MEANS
grid = np.linspace(means[0] - 0.7, means[1] + 0.7, 1001)
mixture, softmax = shown["mixture", steps], shown["softmax", steps, n]
left.stairs(
    softmax.mean() / widths[n],
    np.linspace(-LIMIT, LIMIT, n + 1),
    color=COLOURS["orange"],
    fill=True,
    alpha=0.4,
    label=f"softmax, {n} bins",
)
left.plot(grid, np.exp(mixture.log_prob(grid[:, None])), color=COLOURS["blue"], label="mixture")
truth = norm.pdf(grid[:, None], means, SCALE) @ WEIGHTS
left.plot(grid, truth, color=COLOURS["ink"], linewidth=1, linestyle="--", label="truth")
left.set(xlabel="y", ylabel="density", xlim=grid[[0, -1]], title=f"One step, predicted after {steps:,} steps")
left.legend(loc="upper right")
for steps, style in zip(args.steps, (":", "-", "--"), strict=False):
    for name, colour in (("softmax", "orange"), ("mixture", "blue")):
        scores = [report[name][steps][n] for n in args.bins]
        look = {"marker": "o", "markersize": 3, "color": COLOURS[colour], "linestyle": style}
        right.plot(args.bins, scores, label=f"{name}, {steps:,} steps", **look)
right.plot(args.bins, list(limits.values()), color=COLOURS["ink"], linewidth=1, label="limit")
right.set(xscale="log", xlabel="bins", ylabel="nats per step", title="Scores on fresh steps: lower is better")
right.set_xticks(args.bins, [str(n) for n in args.bins])
right.minorticks_off()
right.legend()
args.out.mkdir(parents=True, exist_ok=True)
save_figure(figure, args.out / "softmax_or_mixture.png")
(args.out / "softmax_or_mixture.json").write_text(json.dumps(report, indent=2) + "\n")

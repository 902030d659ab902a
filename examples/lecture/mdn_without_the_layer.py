"""The mixture density network with nothing hidden: three Dense layers, and the loss in its three parts."""

import argparse
import math
from pathlib import Path

import mixtura  # noqa: F401 - before Keras: it picks the backend
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import ops
from keras.layers import Concatenate, Dense

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture")
args = parser.parse_args()
keras.utils.set_random_seed(0)

# The inverse sine: x is a noisy function of y, and the network is asked for y given x.
rng = np.random.default_rng(0)
y = rng.uniform(-10.5, 10.5, size=(3000, 1))
x = 7.0 * np.sin(0.75 * y) + 0.5 * y + rng.normal(size=y.shape)

N_MIXES = 5


def elu_plus_one(a):
    """Make scales positive: exponential below zero, linear above."""
    return ops.elu(a) + 1 + keras.config.epsilon()


inputs = keras.Input((1,))
h = Dense(15, activation="relu")(inputs)
h = Dense(15, activation="relu")(h)
mdn_mus = Dense(N_MIXES, name="mdn_mus")(h)
mdn_sigmas = Dense(N_MIXES, activation=elu_plus_one, name="mdn_sigmas")(h)
mdn_pi = Dense(N_MIXES, name="mdn_pi")(h)  # logits: the softmax is in the loss
model = keras.Model(inputs, Concatenate()([mdn_mus, mdn_sigmas, mdn_pi]))
assert model.count_params() == 510


def split(params):
    """Part one: cut the output into the mixture's parameters."""
    return ops.split(params, 3, axis=-1)


def log_density(y, mus, sigmas, logits):
    """Part two: the log density of the mixture, summed over components without leaving log space."""
    log_normal = -0.5 * ops.square((y - mus) / sigmas) - ops.log(sigmas) - 0.5 * math.log(2 * math.pi)
    return ops.logsumexp(ops.log_softmax(logits, axis=-1) + log_normal, axis=-1)


def negative_log_likelihood(y_true, y_pred):
    """Part three: what to minimise, one value a row; Keras takes the mean."""
    return -log_density(y_true, *split(y_pred))


model.compile(optimizer="rmsprop", loss=negative_log_likelihood)
history = model.fit(x, y, batch_size=128, epochs=args.epochs, validation_split=0.15, verbose=0).history

# To sample, choose one component in each row by its weight, then draw from that normal.
mus, sigmas, logits = np.split(model.predict(x, verbose=0), 3, axis=-1)
weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
weights /= weights.sum(axis=-1, keepdims=True)
chosen = (rng.random((len(x), 1)) > weights.cumsum(axis=-1)[:, :-1]).sum(axis=-1, keepdims=True)
samples = rng.normal(np.take_along_axis(mus, chosen, -1), np.take_along_axis(sigmas, chosen, -1))

print(f"negative log-likelihood on the validation points: {history['val_loss'][-1]:.2f} nats")

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
epochs = range(1, args.epochs + 1)
axes[0].plot(epochs, history["loss"], color="#0072B2", alpha=0.5, linewidth=1, label="training")
axes[0].plot(epochs, history["val_loss"], color="#0072B2", label="validation")
axes[0].set(title="loss", xlabel="epoch", ylabel="negative log-likelihood (nats)")
axes[0].legend(frameon=False)
axes[1].scatter(x, samples, s=4, linewidths=0, color="#0072B2")
axes[1].set(title="one sample for each x", xlabel="x", ylabel="y", ylim=(-15, 15))
for panel in axes:
    panel.spines[["top", "right"]].set_visible(False)
args.out.mkdir(parents=True, exist_ok=True)
figure.savefig(args.out / "mdn_without_the_layer.png", dpi=120)

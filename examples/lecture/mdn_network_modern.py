"""The mixture density network, in Mixtura's names: a family, a head, a loss."""

import argparse
from pathlib import Path

import mixtura as mx  # before Keras: it picks the backend
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras.layers import Dense

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture")
args = parser.parse_args()
keras.utils.set_random_seed(0)

# The inverse sine: x is a noisy function of y, and the network is asked for y given x.
rng = np.random.default_rng(0)
y = rng.uniform(-10.5, 10.5, size=(3000, 1))
x = 7.0 * np.sin(0.75 * y) + 0.5 * y + rng.normal(size=y.shape)

# A family says what the output means. The head, the loss and the reader of predictions share it.
family = mx.Mixture(mx.Normal(1), num_components=5)
model = keras.Sequential(
    [keras.Input((1,)), Dense(15, activation="relu"), Dense(15, activation="relu"), mx.MDN(family)]
)
assert model.count_params() == 510

model.compile(optimizer="rmsprop", loss=mx.NegativeLogLikelihood(family))
history = model.fit(x, y, batch_size=128, epochs=args.epochs, validation_split=0.15, verbose=0).history

# A prediction is a distribution for each row: sample it, or ask it for densities and quantiles.
samples = family(model.predict(x, verbose=0)).sample(1, seed=0)[0]
at_zero = family(model.predict(np.zeros((1, 1)), verbose=0))[0]
low, high = at_zero.interval(0.9)
print(f"negative log-likelihood on the validation points: {history['val_loss'][-1]:.2f} nats")
print(f"at x = 0, mean {at_zero.mean()[0]:.1f}, 90 % of the probability from {low[0]:.1f} to {high[0]:.1f}")

grid_x, grid_y = np.linspace(-15, 15, 300), np.linspace(-15, 15, 300)
p = family(model.predict(grid_x[:, None], verbose=0))
density = np.exp(p.log_prob(grid_y[:, None, None]))  # (y, x)

figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharex=True, sharey=True, layout="constrained")
axes[0].scatter(x, y, s=4, linewidths=0, color="0.5")
axes[0].set(title="data", ylabel="y")
axes[1].scatter(x, samples, s=4, linewidths=0, color="#0072B2")
axes[1].set(title="one sample for each x")
shades = axes[2].pcolormesh(grid_x, grid_y, np.sqrt(density), cmap="Blues", vmin=0, vmax=0.8)
axes[2].set(title="density of y given x", xlim=(-15, 15), ylim=(-15, 15))
figure.colorbar(shades, ax=axes[2], label="square root of the density")
for panel in axes:
    panel.set_xlabel("x")
    panel.spines[["top", "right"]].set_visible(False)
args.out.mkdir(parents=True, exist_ok=True)
figure.savefig(args.out / "mdn_network_modern.png", dpi=120)

"""A network trained with squared error, on a problem with several right answers: it predicts their mean."""

import argparse
from pathlib import Path

import mixtura  # noqa: F401 - before Keras: it picks the backend
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

model = keras.Sequential()
model.add(keras.Input((1,)))
model.add(Dense(15, activation="tanh"))
model.add(Dense(15, activation="tanh"))
model.add(Dense(1))
assert model.count_params() == 286

model.compile(optimizer="rmsprop", loss="mse")
history = model.fit(x, y, batch_size=128, epochs=args.epochs, validation_split=0.15, verbose=0).history

near_zero = y[abs(x) < 0.5]
print(f"mean squared error on the validation points: {history['val_loss'][-1]:.1f}")
print(
    f"at x = 0 it predicts y = {model.predict(np.zeros((1, 1)), verbose=0)[0, 0]:.1f}; "
    f"the points there lie from {near_zero.min():.1f} to {near_zero.max():.1f}"
)

grid = np.linspace(x.min(), x.max(), 400)[:, None]
figure, axes = plt.subplots(figsize=(5.2, 4.4), layout="constrained")
axes.scatter(x, y, s=4, linewidths=0, color="0.7", label="data")
axes.plot(grid, model.predict(grid, verbose=0), color="#D55E00", linewidth=2, label="prediction")
axes.set(xlabel="x", ylabel="y")
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, loc="upper left", markerscale=3)
args.out.mkdir(parents=True, exist_ok=True)
figure.savefig(args.out / "mse_network.png", dpi=120)

"""The mixture density network, in the lecture's own names."""

import argparse
from pathlib import Path

from mixtura import lecture as mdn  # before Keras: it picks the backend
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras.layers import Dense

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture")
args = parser.parse_args()
keras.utils.set_random_seed(0)  # also NumPy's global state, from which `sample_from_output` draws

# The inverse sine: x is a noisy function of y, and the network is asked for y given x.
rng = np.random.default_rng(0)
y = rng.uniform(-10.5, 10.5, size=(3000, 1))
x = 7.0 * np.sin(0.75 * y) + 0.5 * y + rng.normal(size=y.shape)

N_MIXES = 5
OUTPUT_DIMS = 1

model = keras.Sequential()
model.add(keras.Input((1,)))
model.add(Dense(15, activation="relu"))
model.add(Dense(15, activation="relu"))
model.add(mdn.MDN(OUTPUT_DIMS, N_MIXES))
assert model.count_params() == 510

model.compile(optimizer="rmsprop", loss=mdn.get_mixture_loss_func(OUTPUT_DIMS, N_MIXES))
history = model.fit(x, y, batch_size=128, epochs=args.epochs, validation_split=0.15, verbose=0).history

# The network's output is the mixture's parameters: one sample for each row.
params = model.predict(x, verbose=0)
samples = np.apply_along_axis(mdn.sample_from_output, 1, params, OUTPUT_DIMS, N_MIXES, temp=1.0)

at_zero = model.predict(np.zeros((1, 1)), verbose=0)[0]
mus, sigmas, logits = mdn.split_mixture_params(at_zero, OUTPUT_DIMS, N_MIXES)
print(f"negative log-likelihood on the validation points: {history['val_loss'][-1]:.2f} nats")
print("at x = 0, weights", mdn.softmax(logits).round(2), "means", mus.round(1), "scales", sigmas.round(1))

figure, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
axes[0].scatter(x, y, s=4, linewidths=0, color="0.5")
axes[0].set(title="data", xlabel="x", ylabel="y")
axes[1].scatter(x, samples, s=4, linewidths=0, color="#0072B2")
axes[1].set(title="one sample for each x", xlabel="x", ylim=(-15, 15))
for panel in axes:
    panel.spines[["top", "right"]].set_visible(False)
args.out.mkdir(parents=True, exist_ok=True)
figure.savefig(args.out / "mdn_network.png", dpi=120)

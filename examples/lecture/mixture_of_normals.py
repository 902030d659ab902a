"""Two answers at once: a mixture of two normals, and what one normal makes of its samples."""

import argparse
from pathlib import Path

import mixtura as mx
import matplotlib.pyplot as plt
import numpy as np

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture")
args = parser.parse_args()

# The mixture: means -5 and 5, standard deviations 2 and 3, equal weights. A family reads raw numbers, as
# a network would put them out: logits of the weights, means, and (with scale="exp") logarithms of scales.
mu = [-5, 5]
sigma = [2, 3]
weights = [0.5, 0.5]
family = mx.Mixture(mx.Normal(1, scale="exp"), num_components=2)
mixture = family([*np.log(weights), *mu, *np.log(sigma)])

# Sample it, and fit one normal to the samples: its best parameters are their mean and deviation.
samples = mixture.sample(5000, seed=0)
mean, deviation = samples.mean(), samples.std()
normal = mx.Normal(1, scale="exp")([mean, np.log(deviation)])

print(f"one normal:  mean {mean:.2f}, standard deviation {deviation:.2f}")
for name, distribution in {"one normal": normal, "the mixture": mixture}.items():
    nll = -distribution.log_prob(samples).mean()
    print(f"{name + ':':12} {nll:.3f} nats, density at its mean {np.exp(distribution.log_prob([mean])):.3f}")

# Plot the histogram of the samples and both densities.
y = np.linspace(-15, 18, 500)
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
axes.hist(samples[:, 0], bins=60, density=True, color="0.88", label="samples")
axes.plot(y, np.exp(normal.log_prob(y[:, None])), color="#D55E00", label="one normal, fitted")
axes.plot(y, np.exp(mixture.log_prob(y[:, None])), color="#0072B2", label="the mixture of two")
axes.set(xlabel="y", ylabel="density", xlim=(y[0], y[-1]))
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
args.out.mkdir(parents=True, exist_ok=True)
figure.savefig(args.out / "mixture_of_normals.png", dpi=120)

"""V and M of World Models (2018) as one writes them with PyTorch: what `world.py` compares with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
from torch import Tensor, nn

from mixtura.models.memory import Memory
from mixtura.models.vision import ConvVAE


class Vision(nn.Module):
    """V with the weights of one of ours.

    Args:
        model: ours.
        format: how the numbers of an image lie in memory.
    """

    def __init__(self, model: ConvVAE, format: torch.memory_format) -> None:
        super().__init__()
        self.format, self.start = format, model.start
        self.least = model.free_bits * model.latent_size
        down: list[nn.Module] = []
        for layer in model._convolutions:
            down += [_convolution(nn.Conv2d, layer, *layer.kernel.shape[2:]), nn.ReLU()]
        up: list[nn.Module] = []
        for layer in model._transposed:
            up += [_convolution(nn.ConvTranspose2d, layer, *layer.kernel.shape[:1:-1]), nn.ReLU()]
        self.down, self.up = nn.Sequential(*down), nn.Sequential(*up[:-1], nn.Sigmoid())
        names = ("_mean", "_log_variance", "_grid")
        self.mean, self.log_variance, self.grid = (linear(getattr(model, name)) for name in names)
        self.to(memory_format=format)

    def pixels(self, frames: Tensor) -> Tensor:
        """Return frames in [0, 1], `(batch, colours, height, width)`, from bytes with the colours last."""
        return (frames.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=self.format)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of z."""
        h = self.down(x).permute(0, 2, 3, 1).flatten(1)
        return self.mean(h), self.log_variance(h)

    def frames(self, z: Tensor) -> Tensor:
        """Return frames `(batch, colours, height, width)` of z."""
        grid = self.grid(z).unflatten(1, self.start).permute(0, 3, 1, 2)
        return self.up(grid.contiguous(memory_format=self.format))

    def loss(self, frames: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        x = self.pixels(frames)
        mean, log_variance = self.posterior(x)
        made = self.frames(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)
        return ((x - made) ** 2).sum((1, 2, 3)).mean() + divergence.clamp(min=self.least).mean()

    def encode(self, frames: np.ndarray, batch: int) -> np.ndarray:
        """Return the means of z of many frames."""
        parts = torch.from_numpy(frames).split(batch)
        return torch.cat([self.posterior(self.pixels(part))[0] for part in parts]).numpy()


class Training:
    """The loop one writes, with the same loss and optimiser as ours.

    Args:
        peer: what is trained.
        frames: all of them, as bytes.
        batch: how many a step takes.
        compiles: whether `torch.compile` makes a function of the loss.
    """

    def __init__(self, peer: Vision, frames: np.ndarray, batch: int, compiles: bool = False) -> None:
        self.batches = torch.from_numpy(frames).split(batch)
        self.loss = torch.compile(peer.loss, dynamic=False) if compiles else peer.loss
        self.optimizer = torch.optim.Adam(peer.parameters(), lr=1e-4, eps=1e-7, fused=True)

    def epoch(self) -> float:
        """Train; return the mean loss."""
        found = []
        for frames in self.batches:
            self.optimizer.zero_grad()
            loss = self.loss(frames)
            loss.backward()
            self.optimizer.step()
            found.append(loss.detach())
        return float(torch.stack(found).mean())


class Dream(nn.Module):
    """M with the weights of one of ours, and linear controllers that live in what it expects.

    Args:
        memory: ours, with an end and no reward.
        temperature: of z.
        compiles: whether `torch.compile` makes a function of a step.
    """

    def __init__(self, memory: Memory, temperature: float, compiles: bool = False) -> None:
        super().__init__()
        cell: Any = memory.cell.cells[0]
        self.latent, self.temperature = memory.latent_size, temperature
        self.cell = nn.LSTMCell(cell.kernel.shape[0], cell.units)
        with torch.no_grad():
            self.cell.weight_ih.copy_(_tensor(cell.kernel).T)
            self.cell.weight_hh.copy_(_tensor(cell.recurrent_kernel).T)
            self.cell.bias_ih.copy_(_tensor(cell.bias))
            self.cell.bias_hh.zero_()
        self.head = linear(memory.head)
        self.h, self.c = map(_tensor, keras.tree.flatten(memory.begun(1)))
        self.step: Callable[..., Any] = torch.compile(self._step, dynamic=False) if compiles else self._step

    def expected(self, z: Tensor, code: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the parameters of what follows, and the state."""
        h, c = self.cell(torch.cat([z, torch.zeros_like(code), code], 1), (h, c))
        return self.head(h), h, c

    # ------------------------------------------------------------------ one agent, as it is published

    def live_alone(self, params: Tensor, z: Tensor, steps: int) -> float:
        """Return the reward of one controller, `(size,)`, from z `(latent,)`, a call for each thing."""
        z, h, c, total = z[None], self.h, self.c, 0.0
        for _ in range(steps):
            action = torch.tanh(torch.cat([z, h, c], 1) @ params)
            code = torch.bucketize(action, torch.tensor([-1 / 3, 1 / 3])).float()[:, None] - 1
            made, h, c = self.expected(z, code, h, c)
            logits, means, scales = made[0, :-1].view(self.latent, 3, -1).unbind(1)
            k = torch.distributions.Categorical(logits=logits / self.temperature).sample()[:, None]
            scale = torch.exp(scales.gather(1, k)[:, 0]) * self.temperature**0.5
            z = torch.distributions.Normal(means.gather(1, k)[:, 0], scale).sample()[None]
            total += 1.0
            if torch.distributions.Bernoulli(logits=made[0, -1]).sample().item():
                break
        return total

    # ------------------------------------------------------------------ many, with few operations

    def _step(self, params: Tensor, z: Tensor, h: Tensor, c: Tensor, u: Tensor, e: Tensor) -> Any:
        copies = len(params)
        given = torch.cat([z, h, c], 1).view(copies, -1, params.shape[1])
        action = torch.tanh(torch.bmm(given, params[:, :, None])).view(-1, 1)
        code = (action > 1 / 3).float() - (action < -1 / 3).float()
        made, h, c = self.expected(z, code, h, c)
        logits, means, scales = made[:, :-1].unflatten(1, (self.latent, 3, -1)).unbind(2)
        shares = torch.softmax(logits / self.temperature, 2).cumsum(2)
        k = (shares[..., :-1] < u.repeat(copies, 1)[..., None]).sum(2, keepdim=True)
        mean, scale = (table.gather(2, k)[..., 0] for table in (means, scales))
        z = mean + scale.exp() * e.repeat(copies, 1) * self.temperature**0.5
        return z, h, c, torch.sigmoid(made[:, -1])

    def live(self, params: Tensor, starts: Tensor, steps: int) -> Tensor:
        """Return the expected rewards of controllers `(copies, size)`, each from all starts.

        The numbers drawn are the same for all controllers, as ours are.
        """
        copies, repeats = len(params), len(starts)
        z = starts.repeat(copies, 1)
        h, c = (part.expand(len(z), -1).contiguous() for part in (self.h, self.c))
        alive, total = torch.ones(len(z)), torch.zeros(len(z))
        for _ in range(steps):
            u, e = torch.rand(repeats, self.latent), torch.randn(repeats, self.latent)
            z, h, c, end = self.step(params, z, h, c, u, e)
            total = total + alive
            alive = alive * (1 - end)
            if not bool((alive > 0.001).any()):
                break
        return total.view(copies, repeats)


def _tensor(weights: Any) -> Tensor:
    return torch.from_numpy(np.array(weights))


def _convolution(kind: Any, layer: Any, channels: int, filters: int) -> nn.Module:
    found = kind(channels, filters, layer.kernel_size, layer.strides)
    with torch.no_grad():
        found.weight.copy_(_tensor(layer.kernel).permute(3, 2, 0, 1))
        found.bias.copy_(_tensor(layer.bias))
    return found


def linear(layer: Any) -> nn.Linear:
    """Return a Dense layer of ours."""
    kernel, bias = layer.get_weights()
    found = nn.Linear(*kernel.shape)
    with torch.no_grad():
        found.weight.copy_(_tensor(kernel.T))
        found.bias.copy_(_tensor(bias))
    return found

"""Sketch-RNN as one writes it with PyTorch: what `sketch.py` compares with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from mixtura.models import SketchRNN
from mixtura.training import Ragged

END = 4  # the column of an event
START = (0.0, 0.0, 1.0, 0.0, 0.0)


class Peer(nn.Module):
    """The network of Ha & Eck (2017) in `nn.LSTM`s, with the weights of one of ours.

    Its second vector of biases, which starts at zero, is one more than we have.
    """

    def __init__(self, model: SketchRNN) -> None:
        super().__init__()
        self.components, self.latent_size = model.family["offset"].num_components, model.latent_size
        units = model.cell.output_size
        self.forwards = nn.LSTM(5, model.encoder_units, batch_first=True)
        self.backwards = nn.LSTM(5, model.encoder_units, batch_first=True)
        self.posterior = nn.Linear(2 * model.encoder_units, 2 * self.latent_size)
        self.begin = nn.Linear(self.latent_size, 2 * units)
        self.decoder = nn.LSTM(5 + self.latent_size, units, batch_first=True)
        self.head = nn.Linear(units, model.family.params_size)
        lstms = (self.forwards, self.backwards, self.decoder)
        for lstm, cell in zip(lstms, (*(reader.cell for reader in model.readers), model.cell), strict=True):
            _copy_cell(lstm, cell.cells[0])
        for own, layer in ((self.posterior, model.posterior), (self.begin, model.begin)):
            _copy(own, *layer.get_weights())
        _copy(self.head, *model.head.get_weights())
        # One step of the decoder, for drawing: the same weights.
        self.step = nn.LSTMCell(5 + self.latent_size, units)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(self.step, name, getattr(self.decoder, f"{name}_l0"))

    # ------------------------------------------------------------------ training

    def encode(self, events: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the logarithm of the variance of z; only what comes before the end is read.

        Every row is turned round by itself, and the state after its last event picked. Packed sequences give
        the same, but PyTorch has no fast way to run them on the processor: they took ten times as long.
        """
        rows, last = torch.arange(len(events)), lengths - 1
        turned = (last[:, None] - torch.arange(events.shape[1])).clamp(min=0)
        h = [
            lstm(x)[0][rows, last]
            for lstm, x in ((self.forwards, events), (self.backwards, events[rows[:, None], turned]))
        ]
        mean, log_variance = self.posterior(torch.cat(h, -1)).chunk(2, -1)
        return mean, log_variance

    def state(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return h and c before the first step."""
        h, c = torch.tanh(self.begin(z)).chunk(2, -1)
        return h.contiguous(), c.contiguous()

    def decode(self, events: Tensor, z: Tensor) -> Tensor:
        """Return the parameters of every step given the events before it."""
        start = torch.tensor(START).expand(len(events), 1, 5)
        previous = torch.cat([start, events[:, :-1]], 1)
        x = torch.cat([previous, z[:, None].expand(-1, events.shape[1], -1)], -1)
        h, c = self.state(z)
        return self.head(self.decoder(x, (h[None], c[None]))[0])

    def losses(self, params: Tensor, events: Tensor, floor: float) -> Tensor:
        """Return the published loss of each event: the offset's, not of the end, and the pen's."""
        logits, mean_x, mean_y, log_x, log_y, a = params[..., : 6 * self.components].chunk(6, -1)
        x, y = ((events[..., k, None] - mean) for k, mean in ((0, mean_x), (1, mean_y)))
        x, y, rho = x * torch.exp(-log_x), y * torch.exp(-log_y), torch.tanh(a)
        left = 1 - rho * rho
        log_prob = -0.5 * (x * x + y * y - 2 * rho * x * y) / left
        log_prob = log_prob - log_x - log_y - 0.5 * torch.log(left) - math.log(2 * math.pi)
        log_prob = torch.logsumexp(log_prob + log_softmax(logits, -1), -1)
        of_offset = -torch.logaddexp(log_prob, torch.full((), math.log(floor)))
        of_pen = -(events[..., 2:] * log_softmax(params[..., 6 * self.components :], -1)).sum(-1)
        return of_offset * (events[..., END] < 0.5) + of_pen

    # ------------------------------------------------------------------ drawing

    def next(self, event: Tensor, z: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the parameters of the next event, and the state after this step."""
        state = self.step(torch.cat([event, z], -1), state)
        return self.head(state[0]), state

    def draw(self, z: Tensor, steps: int, sample: Any) -> np.ndarray:
        """Return events `(batch, steps, 5)`; stop when all are done."""
        event, state = torch.tensor(START).expand(len(z), 5), self.state(z)
        events = []
        for _ in range(steps):
            params, state = self.next(event, z, state)
            event = sample(params)
            events.append(event)
            if bool((event[:, END] > 0.5).all()):
                break
        return torch.stack(events, 1).numpy()

    def sample_by_numpy(self, params: Tensor) -> Tensor:
        """Return the next event of one drawing, as published code draws it."""
        own = params[0].numpy().astype(float)
        logits, mean_x, mean_y, log_x, log_y, a = own[: 6 * self.components].reshape(6, -1)
        k = np.random.choice(self.components, p=_softmax(logits))  # noqa: NPY002 - as published code does
        s_x, s_y, rho = np.exp(log_x[k]), np.exp(log_y[k]), np.tanh(a[k])
        covariance = [[s_x * s_x, rho * s_x * s_y], [rho * s_x * s_y, s_y * s_y]]
        offset = np.random.multivariate_normal([mean_x[k], mean_y[k]], covariance)  # noqa: NPY002
        event = torch.zeros(1, 5)
        event[0, :2] = torch.from_numpy(offset)
        event[0, 2 + np.random.choice(3, p=_softmax(own[6 * self.components :]))] = 1  # noqa: NPY002
        return event

    def sample_by_torch(self, params: Tensor) -> Tensor:
        """Return the next event of any number of drawings, with as few operations as we found."""
        table = params[:, : 6 * self.components].unflatten(-1, (6, self.components))
        k = torch.multinomial(torch.softmax(table[:, 0], -1), 1)
        mean_x, mean_y, log_x, log_y, a = table[:, 1:].gather(2, k[:, None].expand(-1, 5, 1)).unbind(1)
        u, v = torch.randn(2, len(params), 1).unbind(0)
        rho = torch.tanh(a)
        x = torch.addcmul(mean_x, log_x.exp(), u)
        y = torch.addcmul(mean_y, log_y.exp(), rho * u + torch.sqrt(1 - rho * rho) * v)
        pen = torch.multinomial(torch.softmax(params[:, 6 * self.components :], -1), 1)
        return torch.cat([x, y, torch.zeros(len(params), 3).scatter_(1, pen, 1.0)], -1)


class Training:
    """The loop one writes, on the same rows, with the same loss and optimiser as ours."""

    def __init__(self, peer: Peer, rows: Ragged, floor: float, clip: float, kl: dict[str, float]) -> None:
        self.peer, self.floor, self.clip, self.kl, self.updates = peer, floor, clip, kl, 0
        self.optimizer = torch.optim.Adam(peer.parameters(), lr=1e-3, eps=1e-7, fused=True)
        self.batch_size = rows.batch_size
        self.groups = [
            (events := torch.from_numpy(y), _points(events), torch.from_numpy(w)) for _, y, w in rows.parts
        ]

    def epochs(self, count: int) -> float:
        """Train; return the mean loss."""
        losses = []
        for _ in range(count):
            batches = [
                (group, where)
                for group in self.groups
                for where in torch.randperm(len(group[0])).split(self.batch_size)
            ]
            for number in torch.randperm(len(batches)):
                group, where = batches[number]
                losses.append(self.step(*(part[where] for part in group)))
        return float(torch.stack(losses).mean())

    def step(self, events: Tensor, lengths: Tensor, weights: Tensor) -> Tensor:
        """Take one step; return the loss."""
        self.optimizer.zero_grad()
        mean, log_variance = self.peer.encode(events, lengths)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        losses = self.peer.losses(self.peer.decode(events, z), events, self.floor) * weights
        divergence = -0.5 * (1 + log_variance - mean * mean - log_variance.exp()).sum(-1).mean()
        weight = self.kl["kl_weight"] - (self.kl["kl_weight"] - self.kl["kl_start"]) * 0.99995**self.updates
        self.updates += 1
        loss = losses.mean() + weight * divergence.clamp(min=self.kl["kl_floor"]) / events.shape[1]
        loss.backward()
        nn.utils.clip_grad_value_(self.peer.parameters(), self.clip)
        self.optimizer.step()
        return loss.detach()


def _points(events: Tensor) -> Tensor:
    """Return how many events there are before the one that ends the drawing."""
    return (events[..., END].cumsum(1) < 0.5).sum(1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


@torch.no_grad()
def _copy(linear: nn.Linear, kernel: np.ndarray, bias: np.ndarray) -> None:
    linear.weight.copy_(torch.tensor(kernel.T))
    linear.bias.copy_(torch.tensor(bias))


@torch.no_grad()
def _copy_cell(lstm: nn.LSTM, cell: Any) -> None:
    names = ("weight_ih", "weight_hh", "bias_ih")
    for name, value in zip(names, map(np.asarray, cell.get_weights()), strict=True):
        getattr(lstm, f"{name}_l0").copy_(torch.tensor(value.T))
    lstm.bias_hh_l0.zero_()

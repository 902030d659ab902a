"""Graves' synthesis network (2013) as one writes it with PyTorch: what `handwriting.py` compares with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, linear, log_softmax

from mixtura.models.handwriting import Handwriting

State = tuple[list[Tensor], list[Tensor], Tensor, Tensor]  # h and c of each layer, w, kappa


def gated(sums: Tensor, c: Tensor, peepholes: Tensor) -> tuple[Tensor, Tensor]:
    """Return h' and c' of an LSTM with peepholes, from what enters its gates."""
    i, f, g, o = sums.chunk(4, 1)
    c = torch.sigmoid(f + peepholes[1] * c) * c + torch.sigmoid(i + peepholes[0] * c) * torch.tanh(g)
    return torch.sigmoid(o + peepholes[2] * c) * torch.tanh(c), c


def moved(aim: Tensor, kappa: Tensor, places: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return w, kappa and the window's weights, from what the first layer says of it."""
    alpha, beta, step = aim.exp().chunk(3, 1)
    kappa = kappa + step
    phi = (alpha[..., None] * torch.exp(-beta[..., None] * (kappa[..., None] - places) ** 2)).sum(1)
    return torch.bmm(phi[:, None], text)[:, 0], kappa, phi


def sampled(params: Tensor, uniform: Tensor, normals: Tensor) -> Tensor:
    """Return events `(lines, 3)` from random numbers `(lines, 2)`, with as few operations as we found."""
    table = params[:, :-1].unflatten(1, (6, -1))
    shares = torch.softmax(table[:, 0], 1).cumsum(1)
    k = (shares < uniform[:, :1] * shares[:, -1:]).sum(1, keepdim=True)
    mean_x, mean_y, log_x, log_y, a = table[:, 1:].gather(2, k[:, None].expand(-1, 5, 1)).unbind(1)
    u, v = normals.split(1, 1)
    rho = torch.tanh(a)
    x = torch.addcmul(mean_x, log_x.exp(), u)
    y = torch.addcmul(mean_y, log_y.exp(), rho * u + torch.sqrt(1 - rho * rho) * v)
    return torch.cat([x, y, (uniform[:, 1:] < torch.sigmoid(params[:, -1:])).float()], 1)


class Peer(nn.Module):
    """The network with the weights of one of ours.

    A cell's weights are one matrix, for what enters and for its state: that was faster than two.

    Args:
        model: ours.
        compiles: whether `torch.compile` makes one function each of the step, the gates and the window.
    """

    def __init__(self, model: Handwriting, compiles: bool = False) -> None:
        super().__init__()
        stack: Any = model.cell
        self.letters = stack.text_size
        cells = [{w.name: torch.tensor(np.asarray(w)) for w in cell.weights} for cell in stack.cells]
        self.kernels = nn.ParameterList(
            [torch.cat([own["kernel"], own["recurrent_kernel"]]).T.contiguous() for own in cells]
        )
        self.biases = nn.ParameterList([own["bias"] for own in cells])
        self.peepholes = nn.ParameterList([own["peepholes"] for own in cells])
        self.aim, self.head = (_linear(*layer.get_weights()) for layer in (stack.aim, model.head))
        self.places = torch.arange(1.0, 1000.0)
        self.gated, self.moved, self.next = (
            torch.compile(function, dynamic=False) if compiles else function
            for function in (gated, moved, self._next)
        )

    # ------------------------------------------------------------------ one step

    def start(self, text: Tensor) -> State:
        """Return the state before the first point."""
        lines = len(text)
        zeros = [torch.zeros(lines, len(peepholes.T)) for peepholes in self.peepholes]
        return zeros, zeros, torch.zeros(lines, self.letters), torch.zeros(lines, self.aim.out_features // 3)

    def step(self, event: Tensor, state: State, text: Tensor, gated: Any = gated, moved: Any = moved) -> Any:
        """Return all h, the state after this step, and the window's weights."""
        before, cells, seen, kappa = state
        after, new = [], []
        phi = kappa
        for n, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            sums = linear(torch.cat([event, *after[-1:], seen, before[n]], 1), kernel, bias)
            h, c = gated(sums, cells[n], self.peepholes[n])
            after.append(h)
            new.append(c)
            if n == 0:
                seen, kappa, phi = moved(self.aim(h), kappa, self.places[: text.shape[1]], text)
        return torch.cat(after, 1), (after, new, seen, kappa), phi

    def _next(self, event: Tensor, state: State, text: Tensor, uniform: Tensor, normals: Tensor) -> Any:
        """Return the next point, the state, and which lines are written."""
        h, state, phi = self.step(event, state, text)
        return sampled(self.head(h), uniform, normals), state, (phi[:, -1:] > phi[:, :-1]).all(1)

    def draw(self, text: Tensor, points: int) -> np.ndarray:
        """Return events `(lines, points, 3)`; stop when all are done.

        Random numbers are drawn before, which is faster.
        """
        lines = len(text)
        text = torch.cat([text, torch.zeros(lines, 1, self.letters)], 1)  # U + 1, for the stop rule
        event, state = torch.zeros(lines, 3), self.start(text)
        done = torch.zeros(lines, dtype=torch.bool)
        events = []
        for uniform, normals in zip(torch.rand(points, lines, 2), torch.randn(points, lines, 2), strict=True):
            event, state, ends = self.next(event, state, text, uniform, normals)
            events.append(event)
            done = done | ends
            if bool(done.all()):
                break
        return torch.stack(events, 1).numpy()

    # ------------------------------------------------------------------ training

    def given(self, events: Tensor, text: Tensor) -> Tensor:
        """Return the parameters of every step given the events before it, one step after the other."""
        state = self.start(text)
        hidden = []
        for event in _previous(events).unbind(1):
            h, state, _ = self.step(event, state, text, self.gated, self.moved)
            hidden.append(h)
        return self.head(torch.stack(hidden, 1))

    def given_by_layer(self, events: Tensor, text: Tensor) -> Tensor:
        """Return the same, one layer after the other: what enters one is multiplied for all steps at once."""
        event = _previous(events)
        hs, cs, seen, kappa = self.start(text)
        places = self.places[: text.shape[1]]
        windows = text  # until the first layer has found them
        entering, outputs = [event], []
        for n, (kernel, bias, h, c) in enumerate(zip(self.kernels, self.biases, hs, cs, strict=True)):
            known = torch.cat(entering, -1)
            sums = linear(known, kernel[:, : known.shape[-1]], bias)
            rest = kernel[:, known.shape[-1] :]
            found, looks = [], []
            for own in sums.unbind(1):
                before = h if n else torch.cat([seen, h], 1)  # the first layer's window is not known before
                h, c = self.gated(own + linear(before, rest), c, self.peepholes[n])
                found.append(h)
                if n == 0:
                    seen, kappa, _ = self.moved(self.aim(h), kappa, places, text)
                    looks.append(seen)
            outputs.append(torch.stack(found, 1))
            windows = windows if n else torch.stack(looks, 1)
            entering = [event, outputs[-1], windows]
        return self.head(torch.cat(outputs, -1))


def losses(params: Tensor, events: Tensor) -> Tensor:
    """Return the loss of each event in nats (equation 26)."""
    logits, mean_x, mean_y, log_x, log_y, a = params[..., :-1].chunk(6, -1)
    x, y = ((events[..., k, None] - mean) for k, mean in ((0, mean_x), (1, mean_y)))
    x, y, rho = x * torch.exp(-log_x), y * torch.exp(-log_y), torch.tanh(a)
    left = 1 - rho * rho
    log_prob = -0.5 * (x * x + y * y - 2 * rho * x * y) / left
    log_prob = log_prob - log_x - log_y - 0.5 * torch.log(left) - math.log(2 * math.pi)
    of_offset = -torch.logsumexp(log_prob + log_softmax(logits, -1), -1)
    return of_offset + binary_cross_entropy_with_logits(params[..., -1], events[..., 2], reduction="none")


class Training:
    """The loop one writes, with the same loss and optimiser as ours."""

    def __init__(
        self, peer: Peer, given: Callable[..., Tensor], batches: list[tuple[Tensor, Tensor]]
    ) -> None:
        self.given, self.batches = given, batches
        self.optimizer = torch.optim.Adam(peer.parameters(), lr=1e-3, eps=1e-7, fused=True)

    def epoch(self) -> float:
        """Train; return the mean loss."""
        found = []
        for events, text in self.batches:
            self.optimizer.zero_grad()
            loss = losses(self.given(events, text), events).mean()
            loss.backward()
            self.optimizer.step()
            found.append(loss.detach())
        return float(torch.stack(found).mean())


def _previous(events: Tensor) -> Tensor:
    return torch.cat([torch.zeros(len(events), 1, 3), events[:, :-1]], 1)


def _linear(kernel: np.ndarray, bias: np.ndarray) -> nn.Linear:
    found = nn.Linear(*kernel.shape)
    with torch.no_grad():
        found.weight.copy_(torch.tensor(kernel.T))
        found.bias.copy_(torch.tensor(bias))
    return found

"""What the network's output means for a touch: the published heads, and those with the right supports.

Events are `(x, y, dt, moving)`, or `(x, y, dt)` where a head has no `moving`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mixtura.families import (
    Affine,
    Bernoulli,
    Family,
    Joint,
    LogitNormal,
    LogNormal,
    Mixture,
    Normal,
    host,
)
from mixtura.models import MDNRNN, SequenceModel
from mixtura.models.linear import LinearMDNRNN

STEP = (1 / 600, 1 / 600, 0.001, 0.0)  # declared resolution: a point of a small screen, a millisecond
FRAME = 1 / 60  # seconds: screens report touches once a frame
CHANGE = 0.1  # of the logit from touch to touch, where a swipe moves on: 2.5 % of the area in its middle
TENTHS = 0.1  # the published networks take everything times ten

# Floors of scales: the standard deviation of rounding.
_POINT, _MILLISECOND = STEP[0] / np.sqrt(12), STEP[2] / np.sqrt(12)
_LOGIT_POINT = 4 * _POINT  # in the middle, where the logit's slope is 4
_SHARE_OF_FRAME = _MILLISECOND / FRAME


HEADS = (
    "2018",
    "2021",
    "2021 moving",
    "parts",
    "parts, normal",
    "parts, relative",
    "parts, change",
    "touch, change",
)


class Head(NamedTuple):
    """A head.

    Attributes:
        family: what it means.
        relative: whether places are relative to the last touch.
        sees_change: whether the network also sees how far that touch moved.
    """

    family: Family
    relative: bool = False
    sees_change: bool = False


def head(name: str, components: int) -> Head:
    """Return a head by its name.

    - "2018": the paper's (Martin & Torresen 2018): a mixture of bivariate normals for the place times a
      mixture of normals for dt;
    - "2021": the later server's: one mixture of diagonal normals for (x, y, dt);
    - "2021 moving": the same for (x, y, dt, moving);
    - "parts": the right supports: logit-normal places, log-normal dt and Bernoulli moving, independent;
    - "parts, normal": with normal places, relative to the last touch;
    - "parts, relative": logit-normal places relative to the last touch, in the logit;
    - "parts, change": the same, and the network sees how far that touch moved;
    - "touch, change": as that, but one mixture, whose components are kinds of touches: place, dt and moving
      share the choice of one.

    Args:
        name: which.
        components: of each mixture.
    """
    tens = 10 * np.array([_POINT, _POINT, _MILLISECOND, 1 / np.sqrt(12)])
    dt = Affine(LogNormal(min_scale=_SHARE_OF_FRAME), 0.0, FRAME)
    logit = LogitNormal(2, covariance="bivariate", min_scale=_LOGIT_POINT)

    def normals(*columns: Any, covariance: Any = "diagonal") -> Family:
        normal = Normal(len(columns), covariance, min_scale=tuple(tens[list(columns)]))
        return Affine(Mixture(normal, components), 0.0, TENTHS)

    def parts(place: Family) -> Family:
        return Joint(place=place, dt=Mixture(dt, components), moving=Bernoulli())

    match name:
        case "2018":
            return Head(Joint(place=normals(0, 1, covariance="bivariate"), dt=normals(2)))
        case "2021":
            return Head(normals(0, 1, 2))
        case "2021 moving":
            return Head(normals(0, 1, 2, 3))
        case "parts":
            return Head(parts(Mixture(logit, components)))
        case "parts, normal":
            return Head(parts(normals(0, 1, covariance="bivariate")), relative=True)
        case "parts, relative":
            return Head(parts(Mixture(logit, components)), relative=True)
        case "parts, change":
            return Head(parts(Mixture(logit, components)), relative=True, sees_change=True)
        case "touch, change":
            touch = Joint(place=logit, dt=dt, moving=Bernoulli())
            return Head(Mixture(touch, components), relative=True, sees_change=True)
    raise ValueError(f"there is no head {name!r}; expected one of {', '.join(map(repr, HEADS))}")


def network(head: Head, units: Any) -> SequenceModel:
    """Return a network of LSTM layers with a head.

    "The last touch" is a linear prediction, and what it leaves is the change, so `LinearMDNRNN` serves.
    """
    if not head.sees_change:
        return MDNRNN(head.family, units, relative=("place",) if head.relative else False)
    last_place = np.diag([1.0, 1.0, 0.0, 0.0])
    return LinearMDNRNN(head.family, last_place[None], units=units, cell="lstm", spread=CHANGE)


def start(head: Head, performances: Any) -> tuple[np.ndarray, Family]:
    """Return events `(steps, event_size)` and a family of the head's parameters to fit to them.

    Where places are relative they are distances from the last touch, as the family standardises them, and
    the family has normals in their stead.

    Args:
        head: the head.
        performances: arrays `(length, event_size)`.
    """
    found = []
    for one in performances:
        events = np.array(one, float)
        if head.relative:
            places = head.family._standardised(host, events)[:, :2]
            events[:, :2] = np.diff(places, axis=0, prepend=np.zeros((1, 2)))
        found.append(events)
    events = np.concatenate(found)
    return events, _with_normals(head.family) if head.relative else head.family


def _with_normals(family: Any) -> Family:
    """Return a family of the same parameters whose places are those that the head's parameters measure."""
    match family:
        case LogitNormal():
            return family._normal
        case Mixture():
            return Mixture(_with_normals(family.family), family.num_components)
        case Joint():
            place = family["place"]
            rest = {name: family[name] for name in family.names[1:]}
            return Joint(place=_with_normals(place), **rest)
        case Affine():
            return family.family
    return family

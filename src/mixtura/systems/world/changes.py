"""Changes to a preset by the names of its fields, as `--set controller.popsize=32` asks for them."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from mixtura.errors import InputError
from mixtura.models import ConvVAE
from mixtura.models.memory import FEATURES
from mixtura.systems.world.environments import World
from mixtura.systems.world.plan import PER_ROUND, PER_RUN
from mixtura.systems.world.presets import WorldPreset

_LEAST = {"popsize": 2, **dict.fromkeys(("hidden", "explore", "min_scale", "temperature", "done_weight"), 0)}
_MOST = {"explore": 1, "temperature": 100, "rounds": PER_RUN // PER_ROUND}
_MOST |= dict.fromkeys(("episodes", "later_episodes"), PER_ROUND)  # or their seeds would be others' too
_CHOICES = {"features": FEATURES}


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """Return changes given as KEY=VALUE, the value in JSON; what is no JSON is a text.

    Raises:
        InputError: if there is no "=".
    """
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise InputError(f"--set takes KEY=VALUE such as controller.popsize=32; received {word!r}.")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def changed(preset: WorldPreset, changes: Mapping[str, Any]) -> WorldPreset:
    """Return a preset with other values.

    Args:
        preset: what there is.
        changes: by the name of a field, with those of what it lies in before it: "episodes",
            "controller.temperature", "vision.network.latent_size", "world.skip".

    Raises:
        InputError: for a field that there is not, or a value of another kind than the field's.
    """
    for name, value in changes.items():
        preset = _changed(preset, name, name.split("."), value)
    return preset


def _changed(settings: Any, name: str, path: Sequence[str], value: Any) -> Any:
    """Return settings with one value changed; `name` is all of its path, for the messages."""
    first, *rest = path
    known = _names(settings, name)
    if first not in known:
        raise InputError(f"There is no setting {name!r}: {first!r} is none of {', '.join(sorted(known))}.")
    inner = settings.get(first) if isinstance(settings, Mapping) else getattr(settings, first)
    if rest:
        if inner is None and not isinstance(settings, Mapping):
            raise InputError(f"There is no setting {name!r}: where a state is seen there is no {first}.")
        value = _changed(inner, name, rest, value)
    elif isinstance(inner, Mapping) and isinstance(value, Mapping):
        for key, one in value.items():
            inner = _changed(inner, f"{name}.{key}", [key], one)
        value = inner
    elif not isinstance(settings, Mapping):
        value = _checked(name, first, inner, value)
    if isinstance(settings, Mapping):
        return {**settings, first: value}
    return replace(settings, **{first: value})


def _names(settings: Any, name: str) -> set[str]:
    """Return the names that a part of a preset has or, where it is a mapping, takes."""
    if not isinstance(settings, Mapping):
        try:
            return {one.name for one in fields(settings)}
        except TypeError:
            raise InputError(f"There is no setting {name!r}: it names a part of what has none.") from None
    if name.startswith("world."):
        return {one.name for one in fields(World)} - {"id"}
    return {*inspect.signature(ConvVAE.__init__).parameters} - {"self", "shape", "seed", "kwargs"}


def _checked(name: str, field: str, old: Any, new: Any) -> Any:
    """Return a value as the field holds it, or raise an InputError that says what it takes."""
    if field in _CHOICES:
        kind, fits = f"one of {', '.join(_CHOICES[field])}", new in _CHOICES[field]
    elif isinstance(old, bool):
        kind, fits = "true or false", isinstance(new, bool)
    elif isinstance(old, int | float):
        kinds, what = (int, "a whole number") if isinstance(old, int) else (int | float, "a number")
        least, most = _LEAST.get(field), _MOST.get(field)
        kind = f"{what} {'above 0' if least is None else f'{least} or more'}"
        kind = kind if most is None else f"{kind}, {most} at most"
        fits = isinstance(new, kinds) and not isinstance(new, bool) and math.isfinite(new)
        fits = fits and (new > 0 if least is None else new >= least) and (most is None or new <= most)
    elif field == "hold":
        kind = "two whole numbers above 0, the smaller first"
        fits = isinstance(new, list) and len(new) == 2 and all(type(one) is int for one in new)
        fits = fits and 0 < new[0] <= new[1]
        new = tuple(new) if fits else new
    elif isinstance(old, tuple):
        kind = "a list of whole numbers above 0"
        fits = isinstance(new, list) and bool(new) and all(type(one) is int and one > 0 for one in new)
        new = tuple(new) if fits else new
    else:
        raise InputError(f"{name} has parts, which are set one by one, as {name}.PART=VALUE.")
    if not fits:
        raise InputError(f"{name} takes {kind}; received {new!r}.")
    return new

"""What the typed API reads and writes. The descriptions are those of the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mixtura.studio.limits import Limits
from mixtura.systems.robojam.responding import DURATION

Place = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]


class Message(BaseModel):
    """Types as they are, no text for numbers, and no names that mean nothing."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Touch(Message):
    """One touch."""

    time: Seconds = Field(description="seconds since the performance began; never less than the touch before")
    x: Place = Field(description="from the left, as a fraction of the touch area; outside is cut off")
    y: Place = Field(description="from the top, as a fraction of the touch area; outside is cut off")
    z: Place | None = Field(None, description="the touch's size or pressure; read by no model")
    moving: Literal[0, 1] | None = Field(
        None,
        description="0: a new touch begins; 1: the finger moved here. Where a call has none, a touch is new "
        "after more than 0.1 s",
    )


class Asked(Message):
    """A call, as CSV or as touches, and how to answer it."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["csv"]}, {"required": ["touches"]}],
            "examples": [{"csv": "time,x,y,z,moving\n0.0,0.4,0.5,38.0,0\n0.02,0.42,0.5,38.0,1\n"}],
        }
    )

    csv: str = Field(
        default_factory=str,
        description="the call as MicroJam writes it: the columns time, x, y and, optionally, z and moving",
    )
    touches: list[Touch]
    count: int
    duration: float
    seed: int | None = Field(
        None, ge=0, lt=2**53, description="the same answers for the same seed; drawn where none is given"
    )
    temperature: Temperature | None = Field(
        None, description="one for all: below 1 answers are neater, above 1 wilder"
    )
    weights: Temperature = Field(1.0, description="in place of it: the choice between components alone")
    scale: Temperature = Field(1.0, description="in place of it: the noise around a component's centre alone")

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Self:
        if len({"csv", "touches"} & self.model_fields_set) != 1:
            raise ValueError("Give a call either as csv or as touches")
        if self.temperature is not None and {"weights", "scale"} & self.model_fields_set:
            raise ValueError("Give temperature, or weights and scale, not both")
        return self


def question_within(limits: Limits) -> type[Asked]:
    """Return the type of questions that limits allow; the OpenAPI document states them."""

    class Question(Asked):
        __doc__ = Asked.__doc__

        touches: list[Touch] = Field(
            default_factory=list,
            min_length=1,
            max_length=limits.events,
            description="the call, in place of csv",
        )
        count: int = Field(1, ge=1, le=limits.count, description="how many answers")
        duration: float = Field(
            min(DURATION, limits.duration),
            gt=0,
            le=limits.duration,
            allow_inf_nan=False,
            description="seconds of each answer",
        )

    return Question


class Answer(Message):
    """One answer, in two forms."""

    touches: list[Touch]
    csv: str = Field(description="the same touches as MicroJam reads them")


class Model(Message):
    """What answered."""

    name: str
    parameters: int = Field(description="how many weights it has")
    distribution: str = Field(description="of the next touch, as Mixtura writes it")


class Answers(Message):
    """The answers to a call."""

    answers: list[Answer]
    seed: int = Field(description="the same question with this seed has these answers")
    model: Model


class Health(Message):
    """That the server is up, and what it answers with."""

    status: Literal["ok"] = "ok"
    version: str = Field(description="Mixtura's")
    model: str


class Mistake(Message):
    """What was wrong."""

    error: str = Field(description="one sentence")

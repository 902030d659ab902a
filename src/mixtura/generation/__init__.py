"""Drawing sequences from every sequence model, by one loop that is compiled once per shape.

What one step is, the model says (`mixtura.models.SequenceModel`); here is what surrounds it: prompts, inputs
and policies, random numbers, samplers, stop rules and lengths. The number of steps is not part of the
program: the loop fills a buffer whose length is a power of two.

Random numbers are drawn before the loop, by NumPy, from a generator for each sequence: the same for every
backend and every batch, and cheaper than a counter-based generator inside the loop.
"""

from mixtura.generation.drawing import generate, stream
from mixtura.generation.results import Carry, Generated
from mixtura.generation.stopping import Stop, StopAfterTotal

__all__ = ["Carry", "Generated", "Stop", "StopAfterTotal", "generate", "stream"]

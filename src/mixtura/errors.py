"""The exceptions that the command line turns into one sentence."""


class InputError(ValueError):
    """A mistake in what the user gave: one sentence that says what, where, and what was expected.

    The command line prints the sentence and exits with code 2.
    """


class TrainingError(RuntimeError):
    """Training failed on input that is in order: one sentence; the command line exits with code 1."""

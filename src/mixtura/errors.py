"""The one exception that means: the input is at fault, not the program."""


class InputError(ValueError):
    """A mistake in what the user gave: one sentence that says what, where, and what was expected.

    The command line prints the sentence and exits with code 2.
    """

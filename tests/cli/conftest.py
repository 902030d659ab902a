import pytest

from mixtura import cli


@pytest.fixture
def main(capsys):
    """Call the command in this process; return exit code, standard output and standard error."""

    def call(*arguments):
        code = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code or 0
        return (code, *capsys.readouterr())

    return call

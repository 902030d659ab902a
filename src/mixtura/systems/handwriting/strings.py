"""Texts to practise writing, made up here: nobody's text is copied, and every symbol occurs often enough."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

import numpy as np

SYMBOLS = " " + string.ascii_letters + string.digits + ".,;:!?'\"()-&/+#"
SHORTEST, LONGEST = 4, 40  # characters of a line

# Words by what they do in a sentence; a template names them in braces.
_WORDS = {
    "noun": """
        apple arm baker bird boat book bottle box bread bridge brother bus cake car cat chair child
        church circle city clock cloud coat coffee corner country cousin cup daughter day desk
        doctor dog door dream egg engine evening eye face family farmer father field finger fire
        fish flag floor flower forest fox friend garden girl glass gold grass guitar hair hand hat
        head heart hill horse hotel house ice idea island jacket job journey judge juice kettle key
        king kitchen knife lake lamp leaf letter light line lion lock machine map market match meal
        mirror moment moon morning mother mountain mouse music name needle neighbour nest night
        number ocean office orange oven owl page paper park path pencil piano picture plan plant
        pocket pond puzzle quarter queen question quilt rabbit radio rain ring river road roof room
        rope sailor school sea shadow ship shoe sister sky smile snow song soup spoon square star
        station stone storm story street summer sun table teacher thing thumb ticket tiger town toy
        train tree uncle valley village violin voice wagon wall watch water wave week wheel wind
        window winter wolf wood word world yard year zebra zoo""",
    "adjective": """
        amazing big black blue brave bright brown busy calm careful cheap clean clever cold cool
        crazy dark dear deep dry early easy empty equal exact expensive fair famous fast fine fresh
        friendly full funny gentle good great green grey happy hard heavy high honest huge hungry
        jolly juicy kind large lazy light little lonely long lost loud lovely lucky mixed modern
        narrow new next nice odd old orange plain pretty proud quick quiet quite rare ready real red
        rich round sharp short silent simple slow small smooth soft strange strong sunny sweet tall
        thick thin tidy tiny ugly upset warm wet white whole wide wild wise wonderful wrong yellow
        young""",
    "did": """
        asked about; bought; broke; brought; built; called for; carried; caught; chose; crossed;
        drew; enjoyed; exchanged; expected; finished; fixed; followed; forgot; found; gave us;
        heard; judged; jumped over; kept; knew; left; liked; looked at; lost; loved; made; met;
        missed; moved; needed; opened; painted; passed; played with; pushed; questioned; reached;
        remembered; sang about; saved; saw; sent; showed; sold; spoke of; squeezed; thought of;
        took; touched; turned to; visited; waited for; walked past; wanted; watched; won; wrote
        about""",
    "do": """
        answer ask begin believe borrow bring buy call carry change choose come dance decide draw
        drink drive eat explain fall feel find fly follow forget give go grow guess hear help hold
        hope jump keep know laugh learn leave listen live look make meet mix move open paint pay
        play quit read remember rest run say see sell send sing sit sleep smile speak stand start
        stay stop swim take talk teach think travel try turn understand use visit wait walk want
        wash watch work write""",
    "how": """
        again almost already always badly carefully early easily exactly gladly hardly here just
        later luckily maybe never not now often once only outside quickly quietly rarely slowly
        sometimes soon still suddenly then there today together tomorrow twice very upstairs well
        yesterday""",
    "where": """
        at home; at the office; behind the church; by the lake; by the sea; down the road; far away;
        from above; in an old box; in the garden; in the kitchen; in town; inside; near the bridge;
        next to the zoo; on the roof; on the table; over the hills; through the fields; under the
        bed; up there; with us""",
    "name": """
        Adam Alice Amy Anna Ben Bella Carl Clara David Daisy Emma Eric Felix Fiona George Grace
        Hannah Henry Ida Ivan Jack Julia Karl Kate Laura Leo Lucy Max Mia Nora Oliver Olga Oscar
        Paul Peter Quentin Quinn Rosa Ruth Sam Sofia Tim Tom Una Uwe Vera Victor Walter Wendy Xaver
        Xenia Yara York Zack Zoe""",
    "surname": """
        Adler Baker Carter Dixon Evans Fisher Green Hughes Irving Jones Kelly Lopez Moore Novak
        Olsen Parker Quincy Reed Smith Taylor Unger Vogel White Xu Young Zimmer""",
    "city": """
        Athens Berlin Boston Cairo Dublin Essen Florence Geneva Hamburg Istanbul Jena Kyoto Lisbon
        London Madrid Oslo Paris Prague Quebec Rome Sydney Tokyo Utrecht Vienna Warsaw Xanten York
        Zurich""",
    "weekday": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November December",
    "pronoun": "I you he she we they it",
    "because": "because when while if until although since and but so",
    "short": "I'm you're it's that's don't can't won't isn't we'll they've let's didn't o'clock",
}
_TEMPLATES = """
The {adjective} {noun} {did} the {noun}.
The {noun} and the {adjective} {noun} {did} a {noun} {where}.
{name} {did} a {adjective} {noun}, and {name} {did} it {how}.
{how^}, {name} {did} the {noun} {where}.
My {noun} is {adjective}, but your {noun} is {adjective}.
Where is the {noun} of {name}?
Do you {how} {do} or {do}?
What did {name} {do} in {city}?
Please {do} {how}, {name}!
We {do} {where}, {because} they {do}.
{pronoun^} can {do} {because} {name} and {name} {do}.
"{do^} {how}!" said {name}.
"Why not?" asked the {noun}; "{pronoun} must {do}."
{short^} a {adjective} {noun}, {short} it?
I think {short} {adjective} to {do} {where}.
It was {how} {adjective} {where}: nobody {did} the {noun}.
There are {small} {nouns} and {small} {nouns}.
Some {nouns} {do}; others {do}.
{name}'s {noun} (the {adjective} one) {did} us.
{name} ({small}) and {name} ({small}) {do} {where}.
An {adjective}-looking {noun} {did} {name}'s {noun}.
In {month} {year} we {did} {city}.
On {weekday} at {hour} o'clock {name} will {do}.
Is it {adjective} & {adjective}, or {adjective}/{adjective}?
Now {do}: is {small} + {small} many? No!
The {noun}, the {noun} and the {noun} {do} {how}.
Every {noun} has a {adjective} {noun}; every {noun} needs one.
"""
_SHORT_LINES = """
{name} {surname}
{name} & {name} {surname}
Dear {name},
Dear Mr. {surname},
Dr. {name} {surname}, {city}
{weekday}, {small} {month} {year}
{hour}/{small}/{year}
{hour}:{minute} - {hour}:{minute}
{city} ({year}-{year})
{city}, {month} {year}
Tel. {digits}-{digits}{digits}
No. {small}, page {digits}
Room #{digits}
#{small} {noun} #{small}
{digits} + {digits}
{digits}/{digits} + {digits}/{digits}
{small} + {small} + {small}
{digits}{digits}{digits} {digits}
{digits}.{minute} - {small}.{minute}
{digits},{digits} {nouns}
({digits}) {adjective} {noun}
({noun}) + ({noun})
"{adjective^} {noun}"
"{name}" & "{name}"
{noun}/{noun}
{adjective}-{adjective} {noun}
{adjective}; {adjective}; {adjective}
{noun^}: {noun}, {noun}
{do^}! {do^}! {do^}!
{noun^}? {noun^}!
Really? Yes; {how}!
{noun} {noun} {noun} {noun}
{adjective} {noun} {how} {do}
Best wishes, {name}
Yours, {name} {surname}
P.S. {do^} {how}!
Happy birthday, {name}!
Thank you, {name}.
See you on {weekday}!
{nouns^} & {nouns}, {year}
{small} {nouns}, {small} {nouns}
"""


def _split(words: str) -> list[str]:
    """Return the words of a list, set apart by semicolons if there are any, else by white space."""
    return [" ".join(part.split()) for part in (words.split(";") if ";" in words else words.split())]


_CHOICES = {slot: _split(words) for slot, words in _WORDS.items()}
_CHOICES["nouns"] = [
    noun + "s" for noun in _CHOICES["noun"] if not re.search(r"(ch|child|f|mouse|o|s|x|y)$", noun)
]
_SENTENCES, _LINES = _TEMPLATES.strip().splitlines(), _SHORT_LINES.strip().splitlines()
_SLOT = re.compile(r"\{(\w+)(\^?)\}")  # {name} is replaced, {name^} by a word with a capital
_NUMBERS = {
    "small": lambda rng: str(rng.integers(1, 32)),
    "hour": lambda rng: str(rng.integers(1, 13)),
    "minute": lambda rng: f"{rng.integers(60):02}",
    "year": lambda rng: str(rng.integers(1850, 2036)),
    "digits": lambda rng: str(rng.integers(10 ** rng.integers(1, 5))),
}
_MARKS = [" "] * 5 + [symbol for symbol in SYMBOLS if not symbol.isalnum()]  # a space is none
_SHARES = {"sentences": 0.55, "line": 0.25, "letters": 0.12, "symbols": 0.08}
_TITLE, _CAPITALS = 0.06, 0.04  # shares of lines with capitals where others have none


def texts(count: int, seed: int) -> list[str]:
    """Make up lines of text.

    Just over half are cut from sentences at spaces, as a writer's lines are; a quarter are whole: names,
    dates, sums, greetings. In the rest letters follow each other at random, so that every pair of letters
    occurs, and so do the other symbols.

    Args:
        count: how many.
        seed: the same texts for the same seed.

    Returns:
        Texts of 4 to 40 characters of `SYMBOLS`, half of them no longer than about 20; none begins or ends
        with a space.

    Example:
        >>> texts(3, seed=0)
        ['Dear Mr. Adler,', "Isn't a wonderful sea,", "WE'LL IT? I THINK"]
    """
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(_SHARES), size=count, p=list(_SHARES.values()))
    makers: dict[str, Callable[[np.random.Generator], str]] = {
        "sentences": _Sentences(),
        "line": _line,
        "letters": _letters,
        "symbols": _symbols,
    }
    return [_capitals(makers[kind](rng), rng) for kind in kinds.tolist()]


class _Sentences:
    """Sentences without end, cut into lines."""

    def __init__(self) -> None:
        self.left: list[str] = []  # words that no line has yet

    def __call__(self, rng: np.random.Generator) -> str:
        line, room = "", _length(rng)
        while True:
            if not self.left:
                self.left = _filled(_one(_SENTENCES, rng), rng).split()
            longer = f"{line} {self.left[0]}".strip()
            if len(line) >= SHORTEST and len(longer) > room:
                return line
            line = longer
            del self.left[0]


def _length(rng: np.random.Generator) -> int:
    """Draw how long a line may be: mostly about 20 characters."""
    return int(np.clip(24 * np.exp(0.4 * rng.normal()), SHORTEST + 2, LONGEST))


def _one(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _filled(template: str, rng: np.random.Generator) -> str:
    """Return a template with a choice for every slot."""

    def choice(slot: re.Match) -> str:
        name, capital = slot.groups()
        word = _NUMBERS[name](rng) if name in _NUMBERS else _one(_CHOICES[name], rng)
        return word[:1].upper() + word[1:] if capital else word

    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", _SLOT.sub(choice, template))


def _line(rng: np.random.Generator) -> str:
    while not SHORTEST <= len(line := _filled(_one(_LINES, rng), rng)) <= LONGEST:
        pass
    return line


def _letters(rng: np.random.Generator) -> str:
    """Return words of letters at random, half of them with a capital."""

    def word() -> str:
        letters = "".join(_one(string.ascii_lowercase, rng) for _ in range(rng.integers(3, 9)))
        return letters if rng.random() < 0.5 else _one(string.ascii_uppercase, rng) + letters[1:]

    return _joined(word, rng)


def _symbols(rng: np.random.Generator) -> str:
    """Return words and numbers with any symbols before and behind them."""

    def word() -> str:
        middle = _filled(_one(["{noun}", "{do^}", "{digits}", "{year}"], rng), rng)
        return _one(_MARKS, rng).strip() + middle + _one(_MARKS, rng).strip()

    return _joined(word, rng)


def _joined(word: Callable[[], str], rng: np.random.Generator) -> str:
    """Return as many words as a line has room for."""
    line, room = word(), _length(rng)
    while len(longer := f"{line} {word()}") <= room:
        line = longer
    return line if len(line) >= SHORTEST else longer


def _capitals(text: str, rng: np.random.Generator) -> str:
    draw = rng.random()
    if draw < _CAPITALS:
        return text.upper()
    if draw < _CAPITALS + _TITLE:
        return " ".join(word[:1].upper() + word[1:] for word in text.split())
    return text

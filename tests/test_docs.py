import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_the_readmes_python_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert "epochs=200" in code
    names = {}
    exec(code.replace("epochs=200", "epochs=1"), names)
    assert names["p"].sample(2, seed=0).shape == (2, 3000, 1)
    assert names["model"].count_params() == 510


@pytest.mark.parametrize(
    "page",
    [
        "characters.md",
        "families.md",
        "impsy.md",
        "kanji.md",
        "moves.md",
        "negative-log-likelihood.md",
        "robojam.md",
        "sketch.md",
        *(
            pytest.param(page, marks=pytest.mark.slow)
            for page in (
                "handwriting.md",
                "regression.md",
                "sequences.md",
                "signals.md",
                "training.md",
                "world.md",
            )
        ),
    ],
)
def test_the_python_of_a_page_prints_what_the_page_says(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / page).read_text()
    names = {}
    for code, printed in re.findall(r"```python\n(.*?)```(?:\s*```\n(.*?)```)?", text, flags=re.DOTALL):
        exec(code, names)
        out = capsys.readouterr().out
        if printed:
            assert out == printed

"""Choosing layers, and hints for names that are wrong."""

import pytest

from gradsound.name_matching import choose, unknown

NAMES = ("embed", "encoder.0", "encoder.1.norm", "head")


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ("encoder.*", (1, 2)),
        (["head", "embed"], (0, 3)),
        ("*", (0, 1, 2, 3)),
        ("e[mn]*", (0, 1, 2)),
        (["head", "h*"], (3,)),
    ],
)
def test_globs_choose_in_order(patterns: object, chosen: tuple[int, ...]) -> None:
    """What matches any glob is chosen once, in the order of the names."""
    assert choose(NAMES, patterns) == chosen


def test_a_glob_without_match_tells_the_names() -> None:
    """The message has the glob and what there is."""
    with pytest.raises(
        ValueError, match=r"no layer matches 'conv\*'; there are: embed, enc"
    ):
        choose(NAMES, ["head", "conv*"])


def test_many_names_are_cut() -> None:
    """A message stays readable however deep the model."""
    with pytest.raises(ValueError, match=r"l19 and 80 more$"):
        choose([f"l{k}" for k in range(100)], "conv*")


def test_no_glob_is_refused() -> None:
    """An empty list would silently choose nothing."""
    with pytest.raises(ValueError, match="got none"):
        choose(NAMES, [])


def test_the_nearest_name_is_offered() -> None:
    """A misspelt name gets the one that was meant."""
    assert "did you mean 'perone2019'?" in unknown(
        "preset", "peron", ["notes", "perone2019"]
    )
    assert "did you mean 'notes'?" in unknown("preset", "NOTES", ["notes", "scan"])

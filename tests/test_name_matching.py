"""Layer names selected by glob, and suggestions for misspelt names."""

import pytest

from gradsound.name_matching import choose, describe_unknown

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
    """choose() returns each name that any glob matches once, in the order of the names."""
    assert choose(NAMES, patterns) == chosen


def test_a_glob_without_match_lists_the_names() -> None:
    """The message has the glob and the names."""
    with pytest.raises(
        ValueError, match=r"no layer matches 'conv\*'; there are: embed, enc"
    ):
        choose(NAMES, ["head", "conv*"])


def test_a_message_lists_twenty_names() -> None:
    """The message lists 20 names and the number of the others."""
    with pytest.raises(ValueError, match=r"l19 and 80 more$"):
        choose([f"l{k}" for k in range(100)], "conv*")


def test_no_glob_is_refused() -> None:
    """An empty list raises, because it would select nothing."""
    with pytest.raises(ValueError, match="got none"):
        choose(NAMES, [])


def test_a_misspelt_name_gets_a_suggestion() -> None:
    """The message for a misspelt name has the nearest known name."""
    assert "did you mean 'perone2019'?" in describe_unknown(
        "preset", "peron", ["notes", "perone2019"]
    )
    assert "did you mean 'notes'?" in describe_unknown("preset", "NOTES", ["notes", "scan"])

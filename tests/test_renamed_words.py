"""Words of version 0.1: each is refused with the word of today."""

from dataclasses import replace

import pytest
from helpers.models import sgd, small

import gradsound


def test_a_note_is_a_comment_now() -> None:
    """Of attach() and listen()."""
    model = small()
    for listen in (gradsound.attach, gradsound.listen):
        with pytest.raises(
            TypeError, match=r"attach\(note=...\) is now attach\(comment=...\)"
        ):
            listen(model, sgd(model), note="try 7")


def test_values_are_logged_now() -> None:
    """An attachment says so, and has no such method."""
    model = small()
    with gradsound.attach(model, sgd(model), log="run.jsonl") as attachment:
        with pytest.raises(AttributeError, match="is now attachment.log_values"):
            attachment.note(loss=1.0)
        assert not hasattr(attachment, "nothing_of_that_name")
        attachment.close()


@pytest.mark.parametrize("word", ["note", "rest", "fade"])
def test_lengths_of_a_preset_have_units(word: str) -> None:
    """In the class and in replace()."""
    with pytest.raises(TypeError, match=rf"Preset\({word}=...\) is now Preset\({word}_sec"):
        replace(gradsound.PRESETS["notes"], **{word: 0.1})

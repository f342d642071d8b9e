"""Names of version 0.1: each raises an error with the new name."""

from dataclasses import replace

import pytest
from helpers.models import sgd, small

import gradsound

pytestmark = pytest.mark.usefixtures("own_folder")


def test_note_is_renamed_to_comment() -> None:
    """attach(note=) and listen(note=) raise TypeError with comment=."""
    model = small()
    for function in (gradsound.attach, gradsound.listen):
        with pytest.raises(
            TypeError, match=r"attach\(note=...\) is now attach\(comment=...\)"
        ):
            function(model, sgd(model), note="try 7")


def test_attachment_note_is_renamed_to_log_values() -> None:
    """attachment.note raises AttributeError with log_values."""
    model = small()
    with gradsound.attach(model, sgd(model), log="run.jsonl") as attachment:
        with pytest.raises(AttributeError, match=r"is now attachment\.log_values\(\)$"):
            attachment.note(loss=1.0)
        assert not hasattr(attachment, "nothing_of_that_name")
        attachment.close()


@pytest.mark.parametrize("word", ["note", "rest", "fade"])
def test_preset_lengths_are_renamed_with_units(word: str) -> None:
    """Preset(note=), also in replace(), raises TypeError with note_seconds=."""
    with pytest.raises(TypeError, match=rf"Preset\({word}=...\) is now Preset\({word}_sec"):
        replace(gradsound.PRESETS["notes"], **{word: 0.1})

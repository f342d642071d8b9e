"""A texture arranges tracks in time; the layout has its onsets, duration and polyphony."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsound.music.textures import TEXTURES, lay_out

TRACKS = st.integers(1, 300)


@pytest.mark.parametrize("texture", TEXTURES)
@given(tracks=TRACKS)
def test_the_polyphony_is_the_largest_number_of_simultaneous_notes(
    texture: str, tracks: int
) -> None:
    """Counted from the onsets; the silent texture has no notes."""
    layout = lay_out(texture, tracks, 1.0, 0.5)
    begins, ends = layout.onsets + 1e-9, layout.onsets + layout.note_seconds - 1e-9
    simultaneous = (begins[:, None] >= begins) & (begins[:, None] < ends)

    if texture != "none":
        assert layout.polyphony == simultaneous.sum(axis=1).max()


@pytest.mark.parametrize("texture", TEXTURES)
@given(tracks=TRACKS)
def test_a_step_ends_with_its_rest(texture: str, tracks: int) -> None:
    """The last note ends before the rest; a silent step is a note and a rest long."""
    layout = lay_out(texture, tracks, 0.25, 0.5)

    assert layout.onsets.shape == (tracks,)
    if texture == "none":
        assert (layout.notes_end, layout.duration) == (0.0, 0.75)
    else:
        assert layout.notes_end == layout.onsets[-1] + 0.25
        assert layout.duration == layout.notes_end + 0.5


@given(tracks=TRACKS)
def test_a_sweep_is_bounded(tracks: int) -> None:
    """Up to 16 tracks sound in turn; the onsets of more are spread over 16 notes."""
    layout = lay_out("scan", tracks, 0.06, 0.2)

    if tracks <= 16:
        np.testing.assert_array_equal(
            layout.onsets, lay_out("turn", tracks, 0.06, 0.2).onsets
        )
    spacing = 0.06 * min(tracks, 16) / tracks
    np.testing.assert_allclose(layout.onsets, np.arange(tracks) * spacing, atol=1e-12)

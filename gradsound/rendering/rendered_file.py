"""Renders finished runs to files: sound files, or what has a writer of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.durations import format_duration
from gradsound.errors import warn
from gradsound.music.presets import at_speed, find_preset
from gradsound.open_run import open_runs_for_outputs
from gradsound.output.audacity_labels import LABELS_ENDING, write_labels
from gradsound.output.formats import (
    ALL_ENDINGS,
    FORMATS,
    check_folder,
    check_path,
    default_rate,
    find_ending,
)
from gradsound.output.webvtt import VTT_SUFFIX, write_captions
from gradsound.rendering.sound import Sound
from gradsound.rendering.stem_files import check_stems, write_stems
from gradsound.runs.compare import divide_norms
from gradsound.runs.model import repeatable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run
    from gradsound.synth.voices.builtin import Voice


PAGE_SUFFIX = ".html"
NOTES_MAX = 400_000  # of a page, about 6 MB; a browser opens it in a second or two


def _write_captions(sound: Sound, path: Path) -> None:
    write_captions(path, sound.compose())


def _write_labels(sound: Sound, path: Path) -> None:
    write_labels(path, sound.compose())


def _write_midi(sound: Sound, path: Path) -> None:
    from gradsound.output.midi.midi_file import write_midi  # needs mido
    from gradsound.output.midi.timed_notes import TimedNotes

    timed = TimedNotes(sound.scores())
    write_midi(path, timed, sound.captions, sound.track_names, sound.title)


def _write_page(sound: Sound, path: Path, title: str | None = None) -> None:
    from gradsound.rendering.page_file import write_page  # no other file needs it

    write_page(sound, path, title)


# What is no sound file, by ending; each ending has a row in OTHER_ENDINGS, too.
WRITERS: Mapping[str, Callable[[Sound, Path], None]] = {
    VTT_SUFFIX: _write_captions,
    LABELS_ENDING: _write_labels,
    ".mid": _write_midi,
    ".midi": _write_midi,
    PAGE_SUFFIX: _write_page,
}


def render(
    run: Run | str | Path,
    path: str | Path,
    *,
    other: Run | str | Path | Sequence[Run | str | Path] | None = None,
    difference: bool = False,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
    speed: float = 1.0,
    duration: float | None = None,
    sample_rate: int | None = None,
    subtype: str | None = None,
    stems: str | Path | None = None,
    title: str | None = None,
) -> None:
    r"""Writes the sound of a run to a file; the same run gives the same bytes.

    A WebVTT file next to the sound, ``run.vtt`` for ``run.wav``, gets a caption for every
    alarm, every epoch and every minute, and one if the pitches move by decades of norm to
    where the run lies. A WAV file also gets markers, except for minutes, and the other
    formats get chapters.

    Args:
        run: A run, or the path of a run file.
        path: The file to write. Its name ends in .wav, .flac, .ogg, .mp3 or .opus; or in
            .vtt for the captions alone, in .labels.txt for labels that Audacity imports, in
            .mid for the notes as MIDI, or in .html for a page that plays the run in a
            browser (docs/web.md). The complete new file replaces an existing one.
        other: Another run to compare step by step: ``run`` sounds in the left ear, this
            one in the right. Or several, up to seven: at each step, the norms of all
            layers of each run sound as one note, in turn from left to right.
        difference: Whether to sound the ratio of the norms, ``other`` to ``run``; equal
            norms sound as norm 1.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or a preset of
            your own.
        voice: The voice of all bands, in place of the preset's voices: a name that
            ``gradsound voices`` lists, or a function or module of your own
            (docs/voices.md).
        speed: How many times faster than the preset steps sound; pitches stay.
        duration: Longest sound, in seconds, 5 or more. To fit it, steps sound faster; if
            that is not enough, several steps are merged into one with each layer's largest
            norm. An alarm without time left is a caption only.
        sample_rate: Frames a second, 16,000 to 192,000 Hz; 44,100 if None, in Opus 48,000.
            MP3 and Opus have some rates only.
        subtype: The samples' format by libsndfile's name: PCM_16 (default), PCM_24 or
            FLOAT in WAV, PCM_16 or PCM_24 in FLAC; the others have one.
        stems: A folder for the stems: a file of each band, such as ``1-conv1.wav``, and
            one of the alarms, in the format of ``path``. They add up to the whole sound,
            except where the limiter keeps it from clipping; a warning says so.
        title: Title and heading of a page; None for the name of the run.

    Raises:
        ValueError: If an argument is outside its range or not of the format, or a run has
            no steps.
        VoiceError: If the voice cannot be compiled; the message has the line.
        RunFormatError: If a run file is not a run.
        OSError: If a file cannot be read or written.
        ImportError: If soundfile cannot be loaded; the message has the remedy.
        MissingExtraError: If mido is not installed, for MIDI.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> _ = Path("metrics.csv").write_text("step,grad_norm/fc\n0,0.5\n1,0.25\n")
        >>> gradsound.render("metrics.csv", "run.wav")
        >>> print(Path("run.vtt").read_text().splitlines()[-1])
        step 1: end of the run: 2 steps
    """
    path = Path(path)
    ending = find_ending(path, WRITERS)
    outputs = [path] if ending else [path, path.with_suffix(VTT_SUFFIX)]
    runs = open_runs_for_outputs(run, other, outputs, "write its sound")
    if ending not in {None, PAGE_SUFFIX}:  # a page makes its samples where it plays
        _check_no_samples(path, sample_rate, subtype)
    if sample_rate is None:
        sample_rate = default_rate(path)
    _check_title(path, title, subtype)
    if ending is None:
        if path.suffix.lower() not in FORMATS:
            raise ValueError(f"{path}: a sound file ends in {ALL_ENDINGS}")
        check_path(path, subtype, sample_rate)
    for output in outputs:
        check_folder(output)
    if stems is not None:
        check_stems(path, Path(stems))
    preset = at_speed(find_preset(preset, voice), speed)
    if difference:
        if len(runs) != 2:
            raise ValueError(f"a difference needs two runs, got {len(runs)}")
        runs = [divide_norms(*map(repeatable, runs))]
    notes_max = NOTES_MAX if ending == PAGE_SUFFIX else None
    sound = Sound(runs, preset, duration, sample_rate, notes_max)
    if duration is None and sound.duration is not None:
        warn(
            f"{path}: the run has too many notes for a page, so it is a time-lapse of "
            f"{format_duration(sound.duration)}: --duration (duration=) sets another one"
        )
    if title is not None:
        _write_page(sound, path, title)
    elif ending is not None:
        WRITERS[ending](sound, path)
    elif stems is not None:
        write_stems(sound, path, Path(stems), subtype)
    else:
        sound.write(path, subtype)


def _check_no_samples(path: Path, sample_rate: int | None, subtype: str | None) -> None:
    """Checks that nobody asks for samples of a file that has none.

    Raises:
        ValueError: If somebody does.
    """
    for name, value in (("sample rate", sample_rate), ("subtype", subtype)):
        if value is not None:
            raise ValueError(
                f"{path}: has no {name}, as it is no sound file: leave out {value}"
            )


def _check_title(path: Path, title: str | None, subtype: str | None) -> None:
    """Refuses a title where there is no page, and a format of samples where there is one.

    Raises:
        ValueError: The message has the remedy.
    """
    is_page = path.suffix.lower() == PAGE_SUFFIX
    if title is not None and not is_page:
        raise ValueError(f"{path}: has no title; only a page has one, {path.stem}.html")
    if title is not None and not title.strip():
        raise ValueError("the title of a page needs a character that is no space")
    if subtype is not None and is_page:
        raise ValueError(
            f"{path}: a page has no samples, so no subtype {subtype}: leave it out"
        )

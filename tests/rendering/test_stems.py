"""Stems: files of single bands and of the alarms, which add up to the whole sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.runs import make_run
from helpers.wav import read_markers

import gradsound
from gradsound.errors import GradsoundWarning
from gradsound.output.sound_file import SoundWriter

NORMS = [[0.1 + k % 3, 1.0, 10.0] for k in range(40)] + [[float("nan"), 0.0, 1e4]] * 2
RUN = make_run(NORMS)
PRESETS = pytest.mark.parametrize("preset", gradsound.PRESETS)


def read_stems(folder: Path) -> dict[str, np.ndarray]:
    """Returns the samples of each file of a folder, in the order of their names."""
    paths = sorted(folder.iterdir())
    return {path.name: soundfile.read(path, dtype="float32")[0] for path in paths}


@PRESETS
def test_stems_add_up_to_the_whole(tmp_path: Path, preset: str) -> None:
    """Their sum is the whole within the rounding of floats, in every preset."""
    quiet = replace(gradsound.PRESETS[preset], level=0.1)
    options = {"preset": quiet, "subtype": "FLOAT"}
    gradsound.render(RUN, tmp_path / "x.wav", stems=tmp_path / "stems", **options)
    stems = read_stems(tmp_path / "stems")
    whole, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")

    assert [*stems] == ["1-layer0.wav", "2-layer1.wav", "3-layer2.wav", "4-alarms.wav"]
    np.testing.assert_allclose(np.sum([*stems.values()], axis=0), whole, rtol=0, atol=1e-6)
    assert np.abs(whole).max() > 0.02


@PRESETS
def test_the_whole_is_the_same_with_stems(tmp_path: Path, preset: str) -> None:
    """Stems change no byte of the sound and of its captions."""
    gradsound.render(RUN, tmp_path / "x.wav", preset=preset, stems=tmp_path / "stems")
    gradsound.render(RUN, tmp_path / "y.wav", preset=preset)

    for suffix in (".wav", ".vtt"):
        content = (tmp_path / f"x{suffix}").read_bytes()
        assert content == (tmp_path / f"y{suffix}").read_bytes()


def test_each_stem_has_one_band(tmp_path: Path) -> None:
    """A band alone sounds in its stem, and alarms sound in theirs alone."""
    one_layer = [[0.0, None, None], [None, 1.0, None], [None, None, 1.0]]
    for layer in range(3):
        run = make_run([[1.0 if k == layer else None for k in range(3)]] * 20)
        folder = tmp_path / f"{layer}"
        gradsound.render(run, tmp_path / "x.flac", stems=folder)
        peaks = [np.abs(samples).max() for samples in read_stems(folder).values()]
        assert [peak > 0.02 for peak in peaks] == [k == layer for k in range(3)] + [True]

    silent = replace(gradsound.PRESETS["notes"], alarms=0.0)
    gradsound.render(make_run(one_layer), tmp_path / "x.flac", preset=silent, stems=folder)
    assert not read_stems(folder)["4-alarms.flac"].any()


def test_two_runs_have_stems_of_their_own(tmp_path: Path) -> None:
    """Each band of each run has a stem; all alarms share one."""
    other = replace(make_run([[5.0, 0.2, 1.0]] * 40), name="b.jsonl")
    run = replace(RUN, name="a.jsonl")
    quiet = replace(gradsound.PRESETS["notes"], level=0.1)
    gradsound.render(
        run,
        tmp_path / "x.wav",
        other=other,
        preset=quiet,
        subtype="FLOAT",
        stems=tmp_path / "stems",
    )
    stems = read_stems(tmp_path / "stems")
    whole, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")

    assert [*stems] == [
        *(f"{k}-a.jsonl_layer{k - 1}.wav" for k in (1, 2, 3)),
        *(f"{k}-b.jsonl_layer{k - 4}.wav" for k in (4, 5, 6)),
        "7-alarms.wav",
    ]
    np.testing.assert_allclose(np.sum([*stems.values()], axis=0), whole, rtol=0, atol=1e-6)
    assert not stems["1-a.jsonl_layer0.wav"][:, 1].any()  # the first run is on the left
    assert np.abs(stems["4-b.jsonl_layer0.wav"][:, 0]).max() < 1e-9


def test_a_sweep_and_a_value_have_stems(tmp_path: Path) -> None:
    """Of three runs, each has one; a value with a voice has its own."""
    runs = [replace(make_run([[1.0 + k]] * 9), name=f"lr{k}") for k in range(3)]
    gradsound.render(runs[0], tmp_path / "x.wav", other=runs[1:], stems=tmp_path / "s")
    assert [*read_stems(tmp_path / "s")] == [
        *("1-lr0_all.wav", "2-lr1_all.wav", "3-lr2_all.wav", "4-alarms.wav")
    ]
    drive = gradsound.Drive(value="loss", drives="voice", low=0.0, high=1.0)
    preset = replace(gradsound.PRESETS["notes"], drives=(drive,))
    steps = [replace(step, values={"loss": 0.5}) for step in runs[0].steps]
    run = replace(runs[0], steps=steps)
    gradsound.render(run, tmp_path / "x.wav", preset=preset, stems=tmp_path / "t")
    stems = read_stems(tmp_path / "t")
    assert [*stems] == ["1-layer0.wav", "2-loss.wav", "3-alarms.wav"]
    assert all(np.abs(samples).max() > 0.02 for samples in stems.values())


def test_a_limiter_at_work_is_told(tmp_path: Path) -> None:
    """The warning counts the frames, and only there the sum is not the whole."""

    def loud(phase):
        return 11 * np.sin(2 * np.pi * phase)

    chord = replace(gradsound.PRESETS["chord"], equal_loudness=False)
    options = {"voice": loud, "preset": chord, "subtype": "FLOAT"}
    with pytest.warns(GradsoundWarning, match=r"x\.wav: the stems do not add") as all_:
        gradsound.render(RUN, tmp_path / "x.wav", stems=tmp_path / "s", **options)
    whole, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")
    total = np.sum([*read_stems(tmp_path / "s").values()], axis=0)
    differs = np.abs(total - whole).reshape(len(whole), -1).max(1) > 1e-5
    (message,) = [str(one.message) for one in all_]
    time = gradsound.Caption(differs.argmax() / 44_100, "", "").__str__().strip()

    assert f"in {differs.sum():,} of {len(whole):,} frames, the first at {time}," in message
    assert np.abs(whole[differs]).max() > 0.81 > np.abs(whole[~differs]).max()


def test_a_limiter_that_does_not_matter_is_not_told(tmp_path: Path) -> None:
    """If one note sounds at a time, its stem is as soft as the whole."""

    def loud(phase):
        return 11 * np.sin(2 * np.pi * phase)

    options = {"voice": loud, "preset": "perone2019"}
    gradsound.render(RUN, tmp_path / "x.wav", stems=tmp_path / "s", **options)

    assert np.abs(soundfile.read(tmp_path / "x.wav")[0]).max() > 0.85


def test_stems_have_the_format_and_the_markers_of_the_whole(tmp_path: Path) -> None:
    """A program that opens them all shows the same places; frames are equally many."""
    for name in ("x.wav", "x.mp3", "x.opus"):
        folder = tmp_path / name[2:]
        gradsound.render(RUN, tmp_path / name, stems=folder)
        whole = soundfile.info(tmp_path / name)
        assert len([*folder.iterdir()]) == 4
        for path in folder.iterdir():
            info = soundfile.info(path)
            assert path.suffix == Path(name).suffix
            for key in ("frames", "samplerate", "channels", "subtype"):
                assert getattr(info, key) == getattr(whole, key)
    assert read_markers(tmp_path / "wav" / "1-layer0.wav") == read_markers(
        tmp_path / "x.wav"
    )


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (("a/b", "../c"), ["1-a_b.flac", "2-.._c.flac"]),
        (("Conv", "conv"), ["1-Conv.flac", "2-conv.flac"]),
        (("x y\n\0", "层.é"), ["1-x_y_.flac", "2-层.é.flac"]),
        (("n" * 300 + "1", "\ud83d😀"), [f"1-{'n' * 39}1.flac", "2-_.flac"]),
    ],
    ids=["paths", "cases", "scripts", "length"],
)
def test_names_are_safe_and_differ(
    tmp_path: Path, layers: tuple[str, str], names: list[str]
) -> None:
    """Names of bands of any kind become names of files inside of the folder."""
    run = make_run([[1.0, 2.0]] * 3, layers)
    preset = replace(gradsound.PRESETS["notes"], bands="layers")
    gradsound.render(run, tmp_path / "x.flac", preset=preset, stems=tmp_path / "s")

    assert {path.name for path in (tmp_path / "s").iterdir()} == {*names, "3-alarms.flac"}


def test_ten_stems_are_in_order(tmp_path: Path) -> None:
    """Numbers have zeros before them, so a list by name is in the order of the bands."""
    run = make_run([[1.0] * 11] * 2)
    preset = replace(gradsound.PRESETS["notes"], bands="layers")
    gradsound.render(run, tmp_path / "x.flac", preset=preset, stems=tmp_path / "s")
    names = sorted(path.name for path in (tmp_path / "s").iterdir())

    assert names == [*(f"{k + 1:02}-layer{k}.flac" for k in range(11)), "12-alarms.flac"]


@pytest.mark.parametrize("exists", [False, True])
def test_an_error_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """If the last stem fails, no file is new, no old one is lost, no folder is left."""
    folder = tmp_path / "s"
    if exists:
        folder.mkdir()
        (folder / "1-layer0.wav").write_text("old")
    (tmp_path / "x.wav").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    close, count = SoundWriter.close, 0

    def fail(writer: SoundWriter, *args: object) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise OSError(28, "No space left on device", "x.wav")
        close(writer, *args)

    monkeypatch.setattr(SoundWriter, "close", fail)
    with pytest.raises(OSError, match="No space left"):
        gradsound.render(RUN, tmp_path / "x.wav", stems=folder)

    assert sorted(tmp_path.rglob("*")) == before
    assert all(path.read_text() == "old" for path in before if path.is_file())


def test_mistakes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Each has one sentence."""
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    for name, stems, message in (
        ("x.vtt", "s", "x.vtt: has no stems, as it is no sound file: end it in .wav"),
        ("x.labels.txt", "s", "x.labels.txt: has no stems"),
        ("x.wav", "file", "Not a directory: '.*file'"),
        ("x.wav", "none/s", "No such file or directory: '.*none/s'"),
        ("x.wav", "x.vtt", "x.vtt: is the name of the sound or of its captions"),
        ("x.wav", "x.wav", "x.wav: is the name of the sound or of its captions"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            gradsound.render(RUN, tmp_path / name, stems=tmp_path / stems)
        assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "s").mkdir()
    with pytest.raises(ValueError, match=r"1-layer0\.wav: is the name of a stem"):
        gradsound.render(RUN, tmp_path / "s" / "1-layer0.wav", stems=tmp_path / "s")
    assert not [*(tmp_path / "s").iterdir()]


def test_the_whole_is_no_stem_by_another_path(tmp_path: Path) -> None:
    """A stem does not replace the whole where two paths lead to one folder."""
    (tmp_path / "s").mkdir()
    (tmp_path / "link").symlink_to("s")
    for folder in (tmp_path / "link", tmp_path / "s" / ".." / "s"):
        with pytest.raises(ValueError, match=r"1-layer0\.wav: is the name of a stem"):
            gradsound.render(RUN, tmp_path / "s" / "1-layer0.wav", stems=folder)
        assert not [*(tmp_path / "s").iterdir()]


def test_stems_of_another_sound_are_told(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """A folder with more stems than those of the sound adds up to something else."""
    folder = tmp_path / "s"
    quiet = replace(gradsound.PRESETS["notes"], level=0.1)
    for _ in range(2):
        gradsound.render(RUN, tmp_path / "x.wav", stems=folder, preset=quiet)
    (folder / "notes.wav").touch()
    (folder / "2-layer1.txt").touch()
    gradsound.render(RUN, tmp_path / "x.wav", stems=folder, preset=quiet)
    assert not [*recwarn]

    with pytest.warns(GradsoundWarning, match=r"such as 2-layer1\.wav: remove them"):
        gradsound.render(
            RUN.select(["layer0"]), tmp_path / "y.wav", stems=folder, preset=quiet
        )
    assert (folder / "2-layer1.wav").exists()

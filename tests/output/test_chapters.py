"""Chapters: FFmpeg lists them, and the sound stays as it was."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.ffmpeg import decode, read_chapters
from helpers.runs import make_run

import gradsound
from gradsound.output.chapters import add_chapters
from gradsound.output.formats import FORMATS, default_rate
from gradsound.output.ogg import read_pages
from gradsound.output.sound_file import write_sound

FRAMES = 50_000
CHAPTERS = [(0.0, "epoch 1"), (0.25, "step 7: NaN in blöck = 层"), (1.0, "x" * 80)]
EACH = pytest.mark.parametrize(
    "name", [f"x{suffix}" for suffix in FORMATS if suffix != ".wav"]
)


def sound_file(path: Path, chapters: list[tuple[float, str]] | None = None) -> Path:
    """Writes noise with chapters."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (FRAMES, 2)).astype(np.float32)
    rate = default_rate(path)

    def finish(part: Path, frames: int) -> None:
        add_chapters(part, chapters or [], frames / rate)

    write_sound(path, [noise], rate, finish=finish)
    return path


@EACH
def test_ffmpeg_lists_chapters(tmp_path: Path, name: str) -> None:
    """Each begins at its millisecond, lasts until the next, and has its text."""
    read = read_chapters(sound_file(tmp_path / name, CHAPTERS))
    ends = [0.25, 1.0, FRAMES / default_rate(Path(name))]

    assert [(begin, text) for begin, _, text in read] == CHAPTERS
    np.testing.assert_allclose([end for _, end, _ in read], ends, atol=0.012)


@EACH
@pytest.mark.parametrize("count", [1, 7, 254, 900])
def test_the_sound_stays(tmp_path: Path, name: str, count: int) -> None:
    """Both decoders give the same samples, with few chapters and with 100 kB of them."""
    chapters = [(k / 1000, f"{k} " + "é" * 40) for k in range(count)]
    plain = sound_file(tmp_path / f"plain{name}")
    path = sound_file(tmp_path / name, chapters)

    np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read(plain)[0])
    np.testing.assert_array_equal(decode(path), decode(plain))
    assert path.read_bytes() != plain.read_bytes()


@pytest.mark.parametrize("name", ["x.ogg", "x.opus"])
@pytest.mark.parametrize("count", [1, 900])
def test_pages_of_ogg_are_numbered(tmp_path: Path, name: str, count: int) -> None:
    """Pages are counted on, also if the comments take more pages than before."""
    path = sound_file(tmp_path / name, [(k / 1000, "é" * 40) for k in range(count)])
    with path.open("rb") as file:
        pages = [*read_pages(file)]

    assert [page.sequence for page in pages] == [*range(len(pages))]
    assert len({page.serial for page in pages}) == 1
    assert b"".join(page.to_bytes() for page in pages) == path.read_bytes()


@EACH
def test_as_many_chapters_as_the_format_counts(tmp_path: Path, name: str) -> None:
    """Of too many, the first are kept."""
    chapters = [(k / 1000, f"chapter {k}") for k in range(1001)]
    read = read_chapters(sound_file(tmp_path / name, chapters))

    assert [text for _, _, text in read] == [
        text for _, text in chapters[: 255 if name == "x.mp3" else 999]
    ]


@EACH
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b", "a b"),
        ("half \ud83d", "half \\ud83d"),
        ("a=b;c\\", "a=b;c\\"),
        ("😀", "😀"),
    ],
    ids=["nul", "surrogate", "signs", "emoji"],
)
def test_any_text(tmp_path: Path, name: str, text: str, shown: str) -> None:
    """A text of a run ends neither a chapter nor the file."""
    path = sound_file(tmp_path / name, [(0.1, text), (0.2, "next")])

    assert [title for _, _, title in read_chapters(path)] == [shown, "next"]


@EACH
def test_without_chapters_a_file_stays_the_same(tmp_path: Path, name: str) -> None:
    """Chapters outside the sound are none, and no empty tag is added."""
    path = sound_file(tmp_path / name)
    before = path.read_bytes()
    add_chapters(path, [(-1.0, "early"), (1.25, "late")], 1.25)

    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


@EACH
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    """If chapters do not fit on the disk, the error names the sound file."""
    size = sound_file(tmp_path / name).stat().st_size
    code = f"""if True:
        import resource, sys
        from pathlib import Path
        from tests.output.test_chapters import sound_file
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 1000}, {size + 1000}))
        try:
            sound_file(Path(sys.argv[1]), [(k / 1e4, "x" * 80) for k in range(200)])
        except OSError as error:
            print(error.filename, error.strerror)
    """
    root = Path(__file__).parents[2]
    process = subprocess.run(
        [sys.executable, "-c", code, tmp_path / name],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{root}:{root / 'tests'}"},
    )

    assert process.stdout == f"{tmp_path / name} File too large\n"
    assert [*tmp_path.iterdir()] == [tmp_path / name]
    assert (tmp_path / name).stat().st_size == size
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != size + 1000


@EACH
def test_render_writes_captions_as_chapters(tmp_path: Path, name: str) -> None:
    """The chapters are those captions that a WAV file marks."""
    run = make_run([[1.0, 0.5]] * 20 + [[float("nan"), 0.5]] * 3)
    gradsound.render(run, tmp_path / name)
    gradsound.render(run, tmp_path / "y.labels.txt")
    labels = [
        line.split("\t") for line in (tmp_path / "y.labels.txt").read_text().splitlines()
    ]
    read = read_chapters(tmp_path / name)

    assert [text for _, _, text in read] == [text for _, _, text in labels]
    for (begin, _, _), (time, _, _) in zip(read, labels, strict=True):
        assert abs(begin - float(time)) <= 0.0005 + 1e-6


def test_a_legend_has_a_chapter_for_each_example(tmp_path: Path) -> None:
    """As a WAV file has markers."""
    captions = gradsound.legend(make_run([[1.0]] * 9), tmp_path / "x.ogg")

    assert [
        (round(begin, 2), text) for begin, _, text in read_chapters(tmp_path / "x.ogg")
    ] == [(round(caption.time, 2), caption.text) for caption in captions]

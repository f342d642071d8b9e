"""Sound files: read back as written, the same bytes each time, never half a file."""

import os
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gradsound.errors import GradsoundWarning
from gradsound.output import sound_file
from gradsound.output.formats import check_path
from gradsound.output.sound_file import write_sound

RATE = 44_100
EACH = pytest.mark.parametrize(
    ("name", "subtype"),
    [
        (f"x{end}", subtype)
        for end, (_, all_) in sound_file.FORMATS.items()
        for subtype in all_
    ],
)


def tone(frames: int = RATE) -> np.ndarray:
    """A third of full scale, shape (frames, 1)."""
    return (np.sin(np.arange(frames) / 9) / 3).astype(np.float32)[:, None]


def pieces(samples: np.ndarray) -> list[np.ndarray]:
    return np.array_split(samples, [1, 70_000])


@pytest.mark.parametrize(
    ("name", "subtype", "quantum"),
    [
        ("x.wav", None, 2**-15),
        ("x.wav", "PCM_24", 2**-23),
        ("x.wav", "FLOAT", 0.0),
        ("x.FLAC", None, 2**-15),
        ("x.flac", "PCM_24", 2**-23),
    ],
)
def test_reads_back(tmp_path: Path, name: str, subtype: str | None, quantum: float) -> None:
    """The file holds the samples, to half a quantum of its subtype."""
    samples = tone(100_000)
    write_sound(tmp_path / name, pieces(samples), RATE, subtype)
    read, rate = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)

    assert rate == RATE
    np.testing.assert_allclose(read, samples, rtol=0, atol=quantum / 2)


def test_a_name_need_not_be_utf_8(tmp_path: Path) -> None:
    """Any that the system has."""
    path = tmp_path / os.fsdecode(b"\xff.wav")
    write_sound(path, pieces(tone(100)), RATE)
    with path.open("rb") as file:
        assert soundfile.info(file).frames == 100


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_full_scale_does_not_wrap(tmp_path: Path, subtype: str) -> None:
    """Samples at and beyond -1 and 1 are held, not turned into their opposites."""
    samples = np.array([[-2.0], [-1.0], [1.0], [2.0]], np.float32)
    write_sound(tmp_path / "x.wav", [samples], RATE, subtype)
    read, _ = soundfile.read(tmp_path / "x.wav")

    np.testing.assert_allclose(read, [-1, -1, 1, 1], rtol=0, atol=2**-15)


def test_default_is_16_bit(tmp_path: Path) -> None:
    """A WAV file that anything plays."""
    write_sound(tmp_path / "x.wav", [tone()], RATE)

    assert soundfile.info(tmp_path / "x.wav").subtype == "PCM_16"


def test_vorbis_keeps_level_and_length(tmp_path: Path) -> None:
    """A lossy file has the same length, and the level to 0.1 dB."""
    samples = tone(100_000)
    write_sound(tmp_path / "x.ogg", pieces(samples), RATE)
    read, _ = soundfile.read(tmp_path / "x.ogg", always_2d=True)

    assert read.shape == samples.shape
    np.testing.assert_allclose(read.std(), samples.std(), rtol=0.012)


@EACH
def test_same_bytes(tmp_path: Path, name: str, subtype: str) -> None:
    """Written again a second later, a file is the same to the last byte."""
    contents = []
    for _ in range(2):
        write_sound(tmp_path / name, pieces(tone(100_000)), RATE, subtype)
        contents.append((tmp_path / name).read_bytes())
        now = time.time()
        while int(time.time()) == int(now):  # the clock in the file counts seconds
            time.sleep(0.01)

    assert contents[0] == contents[1]


def test_ogg_pages_have_right_checksums(tmp_path: Path) -> None:
    """Every page's checksum is that of RFC 3533, worked out bit by bit."""
    write_sound(tmp_path / "x.ogg", [tone(3000)], RATE)
    content, pages = (tmp_path / "x.ogg").read_bytes(), 0
    while content:
        lacing = content[27 : 27 + content[26]]
        page, content = np.split(
            np.frombuffer(content, np.uint8), [27 + len(lacing) + sum(lacing)]
        )
        page, content = bytearray(page.tobytes()), content.tobytes()
        (told,) = struct.unpack("<I", page[22:26])
        page[22:26] = bytes(4)
        crc = 0
        for byte in page:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
        assert crc == told
        pages += 1

    assert pages >= 3


@EACH
def test_failure_keeps_the_old_file(tmp_path: Path, name: str, subtype: str) -> None:
    """If the samples end in an error, an existing file stays and no other is left."""

    def broken():
        yield tone()
        raise KeyboardInterrupt

    (tmp_path / name).write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_sound(tmp_path / name, broken(), RATE, subtype)

    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


@EACH
def test_full_disk_is_an_error(tmp_path: Path, name: str, subtype: str) -> None:
    """A disk that takes no more is told by the file's name; no half file is left."""
    code = f"""if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from gradsound.output.sound_file import write_sound
        noise = np.random.default_rng(0).uniform(-1, 1, (100_000, 1)).astype("f4")
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            write_sound(Path(sys.argv[1]), [noise] * 3, 44100, {subtype!r})
        except OSError as error:
            print(error.filename, error.strerror)
    """
    said = subprocess.run(
        [sys.executable, "-c", code, tmp_path / name],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (
        said.stdout.strip()
        == f"{tmp_path / name} Writing the sound failed (is the disk full?)"
    )
    assert not list(tmp_path.iterdir())
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 50_000


def test_a_full_wav_keeps_what_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the most that a WAV can hold the file is closed, whole, with a warning."""
    monkeypatch.setattr(sound_file, "_WAV_MAX", 2 * 150_000)
    with pytest.warns(GradsoundWarning, match="holds 4 GiB, .* choose .flac"):
        write_sound(tmp_path / "x.wav", [tone(100_000)] * 3, RATE)
    read, _ = soundfile.read(tmp_path / "x.wav")

    assert len(read) == 150_000
    assert np.abs(read[-100:]).max() > 0.3


def test_wav_max_is_within_32_bits() -> None:
    """The sound, the header and 16 MB of markers fit the format's 32-bit lengths."""
    assert 2**32 - 2**25 < sound_file._WAV_MAX <= 2**32 - 2**24


@pytest.mark.parametrize(
    ("name", "subtype", "message"),
    [
        ("x.mp3", None, r"x.mp3: a sound file ends in .wav, .flac, .ogg"),
        ("x", None, "ends in .wav"),
        ("x.flac", "FLOAT", "FLAC has subtype PCM_16, PCM_24, got 'FLOAT'"),
        ("x.ogg", "PCM_16", "OGG has subtype VORBIS, got 'PCM_16'"),
    ],
)
def test_unknown_formats_are_refused(name: str, subtype: str | None, message: str) -> None:
    """The message has what there is."""
    with pytest.raises(ValueError, match=message):
        check_path(Path(name), subtype)


def test_impossible_places_are_refused(tmp_path: Path) -> None:
    """A folder, or a file in none, is an OSError that names it."""
    (tmp_path / "x.wav").mkdir()
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '.*x.wav'"):
        check_path(tmp_path / "x.wav")
    with pytest.raises(FileNotFoundError, match=r"'.*none/y.wav'"):
        check_path(tmp_path / "none" / "y.wav")


def test_nothing_is_no_sound(tmp_path: Path) -> None:
    """A file without samples is not written."""
    with pytest.raises(ValueError, match="nothing to write"):
        write_sound(tmp_path / "x.flac", [], RATE)
    assert not list(tmp_path.iterdir())


def test_missing_library_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where libsndfile cannot be loaded, the error says how to get it."""

    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "soundfile":
                raise OSError("sndfile library not found")

    monkeypatch.delitem(sys.modules, "soundfile")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ImportError, match="install libsndfile, by apt or brew: sndfile"):
        write_sound(tmp_path / "x.wav", [tone()], RATE)

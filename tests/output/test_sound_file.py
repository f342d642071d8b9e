"""Sound files: samples read back as written, bytes are reproducible, no file is partial."""

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
from gradsound.output.formats import FORMATS, check_path
from gradsound.output.sound_file import MAX_WAV_BYTES, write_sound

RATE = 44_100
EACH = pytest.mark.parametrize(
    ("name", "subtype"),
    [
        (f"x{suffix}", subtype)
        for suffix, (_, subtypes) in FORMATS.items()
        for subtype in subtypes
    ],
)


def tone(frames: int = RATE) -> np.ndarray:
    """Returns a sine at a third of full scale, shape (frames, 1)."""
    return (np.sin(np.arange(frames) / 9) / 3).astype(np.float32)[:, None]


def split(samples: np.ndarray) -> list[np.ndarray]:
    """Returns blocks of 1, 69,999 and the remaining frames."""
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
    """A file holds the samples, within half a quantum of its subtype."""
    samples = tone(100_000)
    write_sound(tmp_path / name, split(samples), RATE, subtype)
    read, rate = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)

    assert rate == RATE
    np.testing.assert_allclose(read, samples, rtol=0, atol=quantum / 2)


def test_a_name_need_not_be_utf_8(tmp_path: Path) -> None:
    """A path may have any bytes that the file system accepts."""
    path = tmp_path / os.fsdecode(b"\xff.wav")
    write_sound(path, split(tone(100)), RATE)
    with path.open("rb") as file:
        assert soundfile.info(file).frames == 100


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_full_scale_does_not_wrap(tmp_path: Path, subtype: str) -> None:
    """Samples at and beyond -1 and 1 are clipped there."""
    samples = np.array([[-2.0], [-1.0], [1.0], [2.0]], np.float32)
    write_sound(tmp_path / "x.wav", [samples], RATE, subtype)
    read, _ = soundfile.read(tmp_path / "x.wav")

    np.testing.assert_allclose(read, [-1, -1, 1, 1], rtol=0, atol=2**-15)


@pytest.mark.parametrize(
    ("name", "subtype"), [("x.wav", "PCM_16"), ("x.flac", "PCM_16"), ("x.ogg", "VORBIS")]
)
def test_default_subtypes(tmp_path: Path, name: str, subtype: str) -> None:
    """By default WAV and FLAC have 16 bits, which every player accepts."""
    write_sound(tmp_path / name, [tone()], RATE)

    assert soundfile.info(tmp_path / name).subtype == subtype


@EACH
def test_two_channels_stay_apart(tmp_path: Path, name: str, subtype: str) -> None:
    """The first channel is the left one, in every format."""
    left = tone(3000)
    write_sound(tmp_path / name, [np.hstack([left, 0 * left])], RATE, subtype)
    read, _ = soundfile.read(tmp_path / name)

    assert read.shape == (3000, 2)
    assert read[:, 0].std() > 0.2
    assert read[:, 1].std() < 1e-3


@EACH
def test_the_order_in_memory_changes_no_byte(
    tmp_path: Path, name: str, subtype: str
) -> None:
    """Channels one after another, or frame by frame, make the same file."""
    samples = np.hstack([tone(3000), tone(3000)[::-1]])
    contents = []
    for order in ("C", "F"):
        write_sound(tmp_path / name, [np.asarray(samples, order=order)], RATE, subtype)
        contents.append((tmp_path / name).read_bytes())

    assert contents[0] == contents[1]


def test_an_empty_block_changes_nothing(tmp_path: Path) -> None:
    """A score without duration has no samples, wherever it comes."""
    none = tone(0)
    write_sound(tmp_path / "x.wav", [none, tone(100), none], RATE)
    write_sound(tmp_path / "y.wav", [tone(100)], RATE)

    assert (tmp_path / "x.wav").read_bytes() == (tmp_path / "y.wav").read_bytes()


def test_a_rate_that_the_format_lacks_is_refused(tmp_path: Path) -> None:
    """The error names the file, the format and the rate; no file is left."""
    with pytest.raises(
        ValueError, match=r"x.flac: FLAC cannot be written at 1000000000 Hz"
    ):
        write_sound(tmp_path / "x.flac", [tone()], 10**9)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    """A folder may be removed between the check and the first block."""
    (tmp_path / "gone").mkdir()

    def blocks():
        (tmp_path / "gone").rmdir()
        yield tone()

    with pytest.raises(FileNotFoundError, match=r"'.*gone/x.wav'"):
        write_sound(tmp_path / "gone" / "x.wav", blocks(), RATE)


def test_finish_changes_the_file_before_it_appears(tmp_path: Path) -> None:
    """`finish` gets the complete file under another name; its error keeps the old file."""
    (tmp_path / "x.wav").write_text("old")

    def finish(part: Path) -> None:
        assert (tmp_path / "x.wav").read_text() == "old"
        assert soundfile.info(part).frames == 100
        part.write_text("new")

    def fail(part: Path) -> None:
        raise ValueError(part.name)

    with pytest.raises(ValueError, match=r"x\.wav\.[0-9a-f]{8}\.part"):
        write_sound(tmp_path / "x.wav", [tone(100)], RATE, finish=fail)
    assert (tmp_path / "x.wav").read_text() == "old"
    write_sound(tmp_path / "x.wav", [tone(100)], RATE, finish=finish)
    assert (tmp_path / "x.wav").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]


def test_vorbis_keeps_level_and_length(tmp_path: Path) -> None:
    """A lossy file has the length of the samples, and their level within 0.1 dB."""
    samples = tone(100_000)
    write_sound(tmp_path / "x.ogg", split(samples), RATE)
    read, _ = soundfile.read(tmp_path / "x.ogg", always_2d=True)

    assert read.shape == samples.shape
    np.testing.assert_allclose(read.std(), samples.std(), rtol=0.012)


@EACH
def test_same_bytes(tmp_path: Path, name: str, subtype: str) -> None:
    """The same samples make the same bytes, at any time."""
    contents = []
    for _ in range(2):
        write_sound(tmp_path / name, split(tone(100_000)), RATE, subtype)
        contents.append((tmp_path / name).read_bytes())
        now = time.time()
        while int(time.time()) == int(now):  # libsndfile writes the time in seconds
            time.sleep(0.01)

    assert contents[0] == contents[1]


def test_ogg_pages_have_right_checksums(tmp_path: Path) -> None:
    """Every page has the checksum of RFC 3533, computed bit by bit."""
    write_sound(tmp_path / "x.ogg", [tone(3000)], RATE)
    content, pages = (tmp_path / "x.ogg").read_bytes(), 0
    while content:
        lacing = content[27 : 27 + content[26]]
        page, content = np.split(
            np.frombuffer(content, np.uint8), [27 + len(lacing) + sum(lacing)]
        )
        page, content = bytearray(page.tobytes()), content.tobytes()
        assert page[14:18] == b"darg"  # the serial number, little-endian
        (checksum,) = struct.unpack("<I", page[22:26])
        page[22:26] = bytes(4)
        crc = 0
        for byte in page:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
        assert crc == checksum
        pages += 1

    assert pages >= 3


@EACH
def test_failure_keeps_the_old_file(tmp_path: Path, name: str, subtype: str) -> None:
    """If the blocks raise an error, an existing file stays and no other is left."""

    def blocks():
        yield tone()
        raise KeyboardInterrupt

    (tmp_path / name).write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_sound(tmp_path / name, blocks(), RATE, subtype)

    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


def test_a_disk_without_any_space_is_named(tmp_path: Path) -> None:
    """If not even a header can be written, the error has the reason of the system."""
    code = """if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from gradsound.output.sound_file import write_sound
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        try:
            write_sound(Path(sys.argv[1]), [np.zeros((9, 1), "f4")], 44100)
        except OSError as error:
            print(error.filename, error.strerror)
    """
    process = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.wav"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert process.stdout == f"{tmp_path / 'x.wav'} File too large\n"
    assert not list(tmp_path.iterdir())


@EACH
@pytest.mark.parametrize(
    ("frames", "limit"),
    [
        (300_000, 50_000),  # a write fails
        (1_400, 2_500),  # libsndfile closes the file without an error
    ],
)
def test_full_disk_is_an_error(
    tmp_path: Path, name: str, subtype: str, frames: int, limit: int
) -> None:
    """On a full disk, the error names the file and no partial file is left."""
    code = f"""if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from gradsound.output.sound_file import write_sound
        noise = np.random.default_rng(0).uniform(-1, 1, ({frames}, 1)).astype("f4")
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            write_sound(Path(sys.argv[1]), np.array_split(noise, 3), 44100, {subtype!r})
        except OSError as error:
            print(error.filename, error.strerror)
    """
    stdout = subprocess.run(
        [sys.executable, "-c", code, tmp_path / name],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert (
        stdout.strip() == f"{tmp_path / name} Writing the sound failed (is the disk full?)"
    )
    assert not list(tmp_path.iterdir())
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


def test_a_large_block_of_vorbis_needs_little_stack(tmp_path: Path) -> None:
    """Libsndfile keeps the frames of a call on the stack, and would end the process."""
    code = """if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from gradsound.output.sound_file import write_sound
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (2**19, hard))
        write_sound(Path(sys.argv[1]), [np.zeros((1_000_000, 1), "f4")], 44100)
    """
    subprocess.run([sys.executable, "-c", code, tmp_path / "x.ogg"], check=True)

    assert soundfile.info(tmp_path / "x.ogg").frames == 1_000_000


@pytest.mark.parametrize(
    ("subtype", "channels", "frame_bytes"),
    [("PCM_16", 1, 2), ("PCM_24", 1, 3), ("FLOAT", 1, 4), ("PCM_16", 2, 4)],
)
def test_a_full_wav_ends_complete_with_a_warning(
    tmp_path: Path, subtype: str, channels: int, frame_bytes: int
) -> None:
    """A WAV file that reaches its largest size holds the first samples and is valid."""
    blocks = [tone(100_000).repeat(channels, axis=1)] * 3
    with pytest.warns(GradsoundWarning, match="4 GiB, so only the first 10.0 h.* .flac"):
        write_sound(
            tmp_path / "x.wav",
            blocks,
            sample_rate=4,
            subtype=subtype,
            max_wav_bytes=frame_bytes * 144_000,
        )
    read, _ = soundfile.read(tmp_path / "x.wav")

    assert len(read) == 144_000
    assert np.abs(read[-100:]).max() > 0.3


def test_a_wav_that_is_just_full_has_all_samples(tmp_path: Path, capsys) -> None:
    """At the largest size itself, no sample is left out and no warning comes."""
    write_sound(tmp_path / "x.wav", [tone(1000)] * 2, RATE, max_wav_bytes=2 * 2000)

    assert soundfile.info(tmp_path / "x.wav").frames == 2000
    assert not capsys.readouterr().err  # warnings are errors here, which are printed


def test_a_flac_has_no_such_limit(tmp_path: Path) -> None:
    """Only the lengths of a WAV file have 32 bits."""
    write_sound(tmp_path / "x.flac", [tone(1000)] * 2, RATE, max_wav_bytes=2 * 1500)

    assert soundfile.info(tmp_path / "x.flac").frames == 2000


def test_largest_wav_is_within_32_bits() -> None:
    """The sound, the header and 16 MB of markers fit the format's 32-bit lengths."""
    assert 2**32 - 2**25 < MAX_WAV_BYTES <= 2**32 - 2**24


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
    """The message lists the formats or subtypes on offer."""
    with pytest.raises(ValueError, match=message):
        check_path(Path(name), subtype)


def test_impossible_paths_are_refused(tmp_path: Path) -> None:
    """The path of a folder, or in a folder that does not exist, is an OSError."""
    (tmp_path / "x.wav").mkdir()
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '.*x.wav'"):
        check_path(tmp_path / "x.wav")
    with pytest.raises(FileNotFoundError, match=r"'.*none/y.wav'"):
        check_path(tmp_path / "none" / "y.wav")


def test_a_check_leaves_no_file(tmp_path: Path) -> None:
    """`check_path` returns the subtype, and leaves the folder and an old file alone."""
    (tmp_path / "x.wav").write_text("old")

    assert check_path(tmp_path / "x.wav") == "PCM_16"
    assert check_path(tmp_path / "X.FLAC", "PCM_24") == "PCM_24"
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]
    assert (tmp_path / "x.wav").read_text() == "old"


def test_no_blocks_are_no_sound(tmp_path: Path) -> None:
    """Without a block, no file is written."""
    with pytest.raises(ValueError, match="nothing to write"):
        write_sound(tmp_path / "x.flac", [], RATE)
    assert not list(tmp_path.iterdir())


def test_a_missing_libsndfile_has_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If libsndfile cannot be loaded, the error says how to install it."""

    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "soundfile":
                raise OSError("sndfile library not found")

    monkeypatch.delitem(sys.modules, "soundfile")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ImportError, match="install libsndfile, by apt or brew: sndfile"):
        write_sound(tmp_path / "x.wav", [tone()], RATE)

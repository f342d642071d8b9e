"""Sound files: samples read back as written, bytes are reproducible, no file is partial."""

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.ffmpeg import decode

from gradsound.errors import GradsoundWarning
from gradsound.output.formats import FORMATS, check_path, default_rate
from gradsound.output.sound_file import MAX_WAV_BYTES, write_sound

RATE = 44_100
EACH = pytest.mark.parametrize(
    ("name", "subtype"),
    [
        (f"x{suffix}", subtype)
        for suffix, form in FORMATS.items()
        for subtype in form.subtypes
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
    ("name", "subtype", "rate"),
    [
        ("x.wav", "PCM_16", 44_100),
        ("x.flac", "PCM_16", 44_100),
        ("x.ogg", "VORBIS", 44_100),
        ("x.mp3", "MPEG_LAYER_III", 44_100),
        ("x.OPUS", "OPUS", 48_000),
    ],
)
def test_defaults(tmp_path: Path, name: str, subtype: str, rate: int) -> None:
    """By default WAV and FLAC have 16 bits, which every player accepts."""
    assert default_rate(tmp_path / name) == rate
    write_sound(tmp_path / name, [tone()], rate)
    info = soundfile.info(tmp_path / name)

    assert (info.subtype, info.samplerate) == (subtype, rate)


@EACH
def test_two_channels_stay_apart(tmp_path: Path, name: str, subtype: str) -> None:
    """The first channel is the left one, in every format."""
    left = tone(3000)
    rate = default_rate(tmp_path / name)
    write_sound(tmp_path / name, [np.hstack([left, 0 * left])], rate, subtype)
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
    contents, rate = [], default_rate(tmp_path / name)
    for order in ("C", "F"):
        write_sound(tmp_path / name, [np.asarray(samples, order=order)], rate, subtype)
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

    def finish(part: Path, frames: int) -> None:
        assert (tmp_path / "x.wav").read_text() == "old"
        assert soundfile.info(part).frames == frames == 100
        part.write_text("new")

    def fail(part: Path, _: int) -> None:
        raise ValueError(part.name)

    with pytest.raises(ValueError, match=r"x\.wav\.[0-9a-f]{8}\.part"):
        write_sound(tmp_path / "x.wav", [tone(100)], RATE, finish=fail)
    assert (tmp_path / "x.wav").read_text() == "old"
    write_sound(tmp_path / "x.wav", [tone(100)], RATE, finish=finish)
    assert (tmp_path / "x.wav").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]


LOSSY = pytest.mark.parametrize("name", ["x.ogg", "x.mp3", "x.opus"])


def chord(rate: int) -> np.ndarray:
    """Returns three seconds of five sines on two channels, with edges, shape (N, 2)."""
    time = np.arange(3 * rate + 77) / rate
    hertz = np.array([[110.0, 330, 880, 2093, 5000], [220, 440, 1318, 3000, 4186]])
    samples = np.sin(2 * np.pi * hertz[:, None] * time[:, None]).sum(-1) / 12
    return (samples * np.minimum(1, 20 * np.minimum(time, time[-1] - time))).T.astype("f4")


@LOSSY
@pytest.mark.parametrize("decoder", ["libsndfile", "ffmpeg"])
def test_lossy_files_keep_level_length_and_time(
    tmp_path: Path, name: str, decoder: str
) -> None:
    """Two decoders give all frames, each at its time, 20 dB above what coding changes.

    The level is the same within 0.1 dB, the peak within 1 dB.
    """
    rate = default_rate(tmp_path / name)
    samples = chord(rate)
    write_sound(tmp_path / name, np.array_split(samples, [1, 70_000]), rate)
    if decoder == "ffmpeg":
        read = decode(tmp_path / name).reshape(-1, 2)
    else:
        read, _ = soundfile.read(tmp_path / name, dtype="float32")

    assert read.shape == samples.shape
    np.testing.assert_allclose(read.std(0), samples.std(0), rtol=0.012)
    np.testing.assert_allclose(np.abs(read).max(), np.abs(samples).max(), rtol=0.12)
    assert np.linalg.norm(read - samples) < 0.1 * np.linalg.norm(samples)


@pytest.mark.parametrize("name", ["x.mp3", "x.opus"])
def test_all_sample_rates_of_a_lossy_format(tmp_path: Path, name: str) -> None:
    """The file has all frames at each rate that the format takes, and no other rate."""
    form = FORMATS[Path(name).suffix]
    for rate in form.sample_rates:
        write_sound(tmp_path / name, [tone(5000)], rate)
        info = soundfile.info(tmp_path / name)
        assert (info.samplerate, info.frames) == (rate, 5000)

    for rate in (44_100, 96_000) if name == "x.opus" else (16_001, 96_000):
        with pytest.raises(
            ValueError, match=rf"{name[1:]} files have .* 48000 Hz, got {rate}"
        ):
            write_sound(tmp_path / name, [tone()], rate)


@pytest.mark.parametrize("name", ["x.mp3", "x.opus"])
def test_a_format_that_libsndfile_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before 1.1, libsndfile had no MP3; a build without Xiph's libraries has no Opus."""
    formats, subtypes = soundfile.available_formats(), soundfile.available_subtypes()
    missing = ("MP3", "OPUS", "MPEG_LAYER_III")
    for function, known in (("formats", formats), ("subtypes", subtypes)):
        left = {key: text for key, text in known.items() if key not in missing}
        monkeypatch.setattr(soundfile, f"available_{function}", lambda *_, left=left: left)

    message = f"libsndfile cannot write {name[1:]} files here: end the name in .ogg, or pip"
    with pytest.raises(ValueError, match=message):
        check_path(tmp_path / name)
    assert not [*tmp_path.iterdir()]


@EACH
def test_same_bytes(tmp_path: Path, name: str, subtype: str) -> None:
    """The same samples make the same bytes, at any time."""
    contents, rate = [], default_rate(tmp_path / name)
    for _ in range(2):
        write_sound(tmp_path / name, split(tone(100_000)), rate, subtype)
        contents.append((tmp_path / name).read_bytes())
        now = time.time()
        while int(time.time()) == int(now):  # libsndfile writes the time in seconds
            time.sleep(0.01)

    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["x.ogg", "x.opus"])
def test_ogg_pages_have_right_checksums(tmp_path: Path, name: str) -> None:
    """Every page has the checksum of RFC 3533, computed bit by bit."""
    write_sound(tmp_path / name, [tone(3000)], default_rate(tmp_path / name))
    content, pages = (tmp_path / name).read_bytes(), 0
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
        write_sound(tmp_path / name, blocks(), default_rate(tmp_path / name), subtype)

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
@pytest.mark.parametrize("frames", [300_000, 1_400])
def test_full_disk_is_an_error(
    tmp_path: Path, name: str, subtype: str, frames: int
) -> None:
    """On a full disk, the error names the file and no partial file is left.

    If the file is large, a write fails; a small one is closed by libsndfile without an
    error.
    """
    code = f"""if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from gradsound.output.sound_file import write_sound
        noise = np.random.default_rng(0).uniform(-1, 1, ({frames}, 1)).astype("f4")
        path = Path(sys.argv[1])
        def write():
            write_sound(path, np.array_split(noise, 3), 48000, {subtype!r})
        write()
        limit = path.stat().st_size // 2
        path.unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            write()
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


@LOSSY
def test_a_large_block_needs_little_stack(tmp_path: Path, name: str) -> None:
    """Libsndfile keeps the frames of a call on the stack, and would end the process."""
    code = """if True:
        import resource, sys
        from pathlib import Path
        import numpy as np
        from gradsound.output.sound_file import write_sound
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (2**19, hard))
        write_sound(Path(sys.argv[1]), [np.zeros((1_000_000, 1), "f4")], 48000)
    """
    subprocess.run([sys.executable, "-c", code, tmp_path / name], check=True)

    assert soundfile.info(tmp_path / name).frames == 1_000_000


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
        ("x.aac", None, r"x.aac: a sound file ends in .wav, .flac, .ogg, .mp3, .opus"),
        ("x", None, "ends in .wav"),
        ("x.flac", "FLOAT", "FLAC has subtype PCM_16, PCM_24, got 'FLOAT'"),
        ("x.ogg", "PCM_16", "OGG has subtype VORBIS, got 'PCM_16'"),
        ("x.opus", "VORBIS", "OGG has subtype OPUS, got 'VORBIS'"),
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

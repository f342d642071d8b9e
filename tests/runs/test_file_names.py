"""Names of a run's files: numbers, families of one stem, the number of an open file."""

import fcntl
import os
from pathlib import Path

import pytest

from gradsound.runs.file_names import (
    give_back,
    keep,
    lock_folders,
    number_of,
    older_files,
)

SUFFIXES = (".wav", ".flac", ".vtt")
HEADER = '{"format": "gradsound-run", "version": "1.3"'

pytestmark = pytest.mark.usefixtures("own_folder")


def write(*names: str) -> None:
    for name in names:
        Path(name).write_text(HEADER if name.endswith(".jsonl") else name)


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def older(log: str, sound: str | None) -> list[str]:
    found = older_files(Path(log), None if sound is None else Path(sound), SUFFIXES)
    return sorted(map(str, found))


def test_a_run_takes_its_sounds_along() -> None:
    """The older files are the run file, its sounds and its captions, and nothing else."""
    write("run.jsonl", "run.flac", "run.vtt", "run.png", "other.wav")

    assert older("run.jsonl", None) == ["run.flac", "run.jsonl", "run.vtt"]


def test_a_sound_without_captions_may_be_data() -> None:
    """A sound that gradsound did not write stays, unless its name is asked for."""
    write("song.jsonl", "song.flac", "song.wav")

    assert older("song.jsonl", None) == ["song.jsonl"]
    assert older("song.jsonl", "song.wav") == ["song.jsonl", "song.wav"]


def test_a_sound_takes_its_run_along() -> None:
    """The name of a sound comes with that of its run file, but not with that of data."""
    write("run.jsonl", "run.wav", "run.vtt")
    assert older("new.jsonl", "run.wav") == ["run.jsonl", "run.vtt", "run.wav"]

    Path("run.jsonl").write_text('{"text": "a line of a data set"}\n')
    assert older("new.jsonl", "run.wav") == ["run.vtt", "run.wav"]


def test_an_empty_run_file_is_no_run() -> None:
    """An empty file at the path of the run has no content to keep."""
    Path("run.jsonl").touch()

    assert older("run.jsonl", "run.wav") == []


def test_files_are_kept_under_one_number_that_is_free_for_all() -> None:
    """A number that any file of a stem has is taken for all of them."""
    write("run.jsonl", "sound.wav", "run.1.jsonl", "sound.2.vtt", "run.3.flac")
    kept = keep([Path("run.jsonl"), Path("sound.wav")], SUFFIXES)

    assert [str(new) for new, _ in kept] == ["run.4.jsonl", "sound.4.wav"]
    give_back(kept)
    assert "run.jsonl" in names()
    assert "sound.wav" in names()


def test_a_name_is_given_back_only_if_it_is_free() -> None:
    """A file of another training that has the name by now stays."""
    write("run.jsonl")
    kept = keep([Path("run.jsonl")], SUFFIXES)
    Path("run.jsonl").write_text("another")
    give_back(kept)

    assert Path("run.jsonl").read_text() == "another"
    assert names() == ["run.1.jsonl", "run.jsonl"]


def test_a_failed_renaming_renames_nothing() -> None:
    """If one of the files cannot be renamed, the others get their names back."""
    write("run.jsonl")
    with pytest.raises(FileNotFoundError):
        keep([Path("run.jsonl"), Path("missing.wav")], SUFFIXES)

    assert names() == ["run.jsonl"]


@pytest.mark.parametrize("earlier", [0, 11])
def test_an_open_run_file_knows_its_number(earlier: int) -> None:
    """The number of a file is that of its name, whatever other numbers there are."""
    log = Path("a[1].jsonl")
    write(log.name, *(f"a[1].{k + 1}.jsonl" for k in range(earlier)))
    with log.open("rb") as file:
        assert number_of(log.absolute(), file.fileno()) == 0
        keep([log], SUFFIXES)
        write(log.name)
        assert number_of(log.absolute(), file.fileno()) == earlier + 1


def test_a_file_with_another_name_has_no_number() -> None:
    """A file that a user renamed or removed has number 0."""
    write("run.jsonl")
    with Path("run.jsonl").open("rb") as file:
        Path("run.jsonl").rename("mine.jsonl")
        assert number_of(Path("run.jsonl").absolute(), file.fileno()) == 0
        Path("mine.jsonl").unlink()
        assert number_of(Path("run.jsonl").absolute(), file.fileno()) == 0


def test_a_folder_is_locked_once_for_several_paths() -> None:
    """Paths of one folder, by other names too, do not wait for each other."""
    Path("link").symlink_to(".")
    with lock_folders([Path("a"), Path("b"), Path("link/c"), Path("missing/d")]):
        pass


def test_a_locked_folder_is_locked_for_others() -> None:
    """While one training chooses names in a folder, no other one gets its lock."""
    folder = os.open(".", os.O_RDONLY)
    with lock_folders([Path("a")]), pytest.raises(BlockingIOError):
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)

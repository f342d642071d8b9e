"""Names of a run's files: numbers, families of one stem, the number of an open file."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from gradsound.runs.file_locks import lock_folders
from gradsound.runs.file_names import (
    give_back,
    keep,
    number_of,
    numbered,
    older_files,
    place,
)

SUFFIXES = (".wav", ".flac", ".vtt")
HEADER = '{"format": "gradsound-run", "version": "1.4"'

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
    """An empty file at the path of the run has no content to keep, and takes no sound."""
    write("run.wav", "run.vtt")
    Path("run.jsonl").touch()

    assert older("run.jsonl", None) == ["run.jsonl"]
    assert keep([Path("run.jsonl")], SUFFIXES) == []
    assert names() == ["run.vtt", "run.wav"]


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


def test_a_file_that_another_training_has_renamed_is_not_kept() -> None:
    """A file that is gone when its turn comes is left out; the others get a number."""
    write("run.jsonl")
    kept = keep([Path("run.jsonl"), Path("missing.wav")], SUFFIXES)

    assert kept == [(Path("run.1.jsonl"), Path("run.jsonl"))]


def test_a_failed_renaming_renames_nothing() -> None:
    """If one of the files cannot be renamed, the others get their names back."""
    write("run.jsonl")
    long = Path("x" * 250 + ".wav")
    long.touch()
    with pytest.raises(OSError, match="too long"):
        keep([Path("run.jsonl"), long], SUFFIXES)

    assert names() == ["run.jsonl", long.name]


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


def test_a_name_replaces_no_file() -> None:
    """A file gets a name only if no file has it."""
    write("a.jsonl", "b.jsonl")
    Path("a.jsonl").write_text("mine")

    assert not place(Path("a.jsonl"), Path("b.jsonl"))
    assert Path("b.jsonl").read_text() == HEADER
    assert place(Path("a.jsonl"), Path("c.jsonl"))
    assert names() == ["b.jsonl", "c.jsonl"]


def test_a_file_system_without_links_replaces_no_file_either(monkeypatch) -> None:
    """Where no hard link can be made, a name is looked up before a file gets it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", refuse)
    test_a_name_replaces_no_file()


@pytest.mark.parametrize("stem", ["run", "run.rank3"])
def test_the_number_of_a_rank_comes_before_the_rank(stem: str) -> None:
    """So run.rank*.jsonl has files of the newest training alone."""
    older = Path("run.1.rank3.jsonl" if "rank" in stem else "run.1.jsonl")

    assert numbered(Path(f"{stem}.jsonl"), 1) == older
    write(older.name)
    with older.open("rb") as file:
        assert number_of(Path(f"{stem}.jsonl").absolute(), file.fileno()) == 1


def write_ranks(training: str, ranks: range) -> None:
    for rank in ranks:
        text = f'{HEADER}, "start": "", "training": "{training}", "note": "{training}"'
        Path(f"run.rank{rank}.jsonl").write_text(text)


def take(training: str, rank: int) -> None:
    """Does what a rank of a new training does to the older files of its name."""
    log = Path(f"run.rank{rank}.jsonl")
    keep(older_files(log, None, SUFFIXES, training), SUFFIXES)


def trainings(pattern: str) -> set[str]:
    return {path.read_text().split('"')[-2] for path in Path().glob(pattern)}


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2), (3, 3)])
def test_ranks_of_a_training_get_one_number(before: int, after: int) -> None:
    """All files of an older training get one number, whichever ranks the new ones have."""
    write_ranks("a", range(before))
    for rank in reversed(range(after)):
        take("b", rank)
        write_ranks("b", range(rank, rank + 1))
    take("c", 0)

    assert trainings("run.1.rank*.jsonl") == {"a"}
    assert len([*Path().glob("run.1.rank*.jsonl")]) == before
    assert trainings("run.2.rank*.jsonl") == {"b"}
    assert len([*Path().glob("run.2.rank*.jsonl")]) == after
    assert not [*Path().glob("run.rank*.jsonl")]


def test_ranks_of_two_trainings_share_no_number() -> None:
    """Ranks of two trainings that start in any order have one number for each training."""
    for training, rank in ("a0", "b1", "b0", "a1", "b2", "a2", "a3", "b3"):
        take(training, int(rank))
        write_ranks(training, range(int(rank), int(rank) + 1))

    for number in range(1, 8):
        assert len(trainings(f"run.{number}.rank*.jsonl")) <= 1
    assert len(names()) == 8

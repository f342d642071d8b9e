"""Detection: which tool wrote a file, and which logs a folder has."""

import io
from pathlib import Path

import pytest
from helpers.logs import PUBLISHED, wandb_entry, wandb_file

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.logs.encoding import TextDecoder, to_utf_8
from gradsound.logs.huggingface import trainer_state
from gradsound.logs.log_folders import find_log
from gradsound.logs.tensorboard import event_files
from gradsound.logs.tensorboard.crc32c import masked_crc32c

TABLE = "step,grad_norm\n0,1\n"


def write(path: Path, text: str = TABLE) -> Path:
    """Writes a file and the folders above it; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("head", "is_state"),
    [
        (b'{"log_history": []}', True),
        (b'\xef\xbb\xbf \r\n\t{"epoch": 1, "log_history"', True),
        (b'[{"step"', True),
        (b' [ \n {"step"', True),
        (b"[1, 2]", False),
        (b"[", False),
        (b'{"epoch": 1}', False),
        (b'"log_history"', False),
        (b'{"format": "gradsound-run", "note": "log_history"}\n', False),
        (b'{"log_history": [\n"gradsound-run"', True),
        (b"", False),
    ],
)
def test_a_trainer_state_is_detected(head: bytes, is_state: bool) -> None:
    """A state is an object with a history, or a list of objects, but no run file."""
    assert trainer_state.is_trainer_state(head) is is_state


def test_an_event_file_is_detected() -> None:
    """The first length has its checksum, and is that of a short record."""

    def head(length: int) -> bytes:
        data = length.to_bytes(8, "little")
        return data + masked_crc32c(data).to_bytes(4, "little")

    assert masked_crc32c(b"123456789") == 0xC78AB0E5  # CRC-32C is 0xE3069283
    assert event_files.is_event_file(head(1))
    assert event_files.is_event_file(head(1 << 20))
    for other in (head(0), head((1 << 20) + 1), head(1)[:11], b"\1" + head(1)[1:4] * 4):
        assert not event_files.is_event_file(other)


@pytest.mark.parametrize(
    ("name", "content", "tool"),
    [
        ("x", PUBLISHED.encode(), "Hugging Face"),
        ("x", wandb_file([wandb_entry({"a": "1"}, step=0)]), "W&B"),
        ("x", TABLE.encode(), "CSV"),
        ("x", TABLE.encode("utf-16"), "CSV"),
        ("trainer_state.json", b"damaged", "Hugging Face"),
        ("a.wandb", b"damaged", "W&B"),
        ("a.tfevents.b", b"damaged", "TensorBoard"),
        ("a.csv", b"damaged", "CSV"),
        ("a.tsv", b"damaged", "CSV"),
        ("metrics.csv", wandb_file([]), "W&B"),
        ("a.txt", b"damaged", None),
        ("a.txt", b"", None),
    ],
)
def test_content_counts_before_the_name(
    tmp_path: Path, name: str, content: bytes, tool: str | None
) -> None:
    """A file is detected by its content; a damaged one by its name."""
    (tmp_path / name).write_bytes(content)
    log = find_log(tmp_path / name)

    assert (log and log.tool) == tool
    assert find_log(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("count", "end"), [(2, "1/metrics.csv"), (8, "7/metrics.csv"), (10, " and 2 more")]
)
def test_an_error_lists_8_logs_and_counts_the_others(
    tmp_path: Path, count: int, end: str
) -> None:
    """The message has the number of logs, the first 8, and how many more there are."""
    for k in range(count):
        write(tmp_path / str(k) / "metrics.csv")
    with pytest.raises(RunFormatError, match=rf"has {count} runs, give one: .*{end}$"):
        find_log(tmp_path)


def test_logs_are_searched_5_levels_below(tmp_path: Path) -> None:
    """A log at the fifth level is found; a deeper one is not, as in any other tree."""
    deep = write(tmp_path / "1/2/3/4/5/metrics.csv")
    log = find_log(tmp_path)
    assert log is not None
    assert log.path == deep
    write(tmp_path / "0/2/3/4/5/6/metrics.csv")
    assert find_log(tmp_path) == log
    deep.unlink()
    with pytest.raises(IsADirectoryError, match="without a log that is known"):
        find_log(tmp_path)


def test_the_search_below_ends_in_a_large_tree(tmp_path: Path) -> None:
    """A tree of more than 10,000 entries is no folder of logs."""
    write(tmp_path / "z" / "metrics.csv")
    for k in range(9_998):
        (tmp_path / str(k)).touch()
    assert find_log(tmp_path) is not None  # 9,998 files, a folder and the log in it
    (tmp_path / "one").touch()
    with pytest.raises(IsADirectoryError):
        find_log(tmp_path)


def test_a_log_hides_the_folders_below_it(tmp_path: Path) -> None:
    """The search does not go below a folder that has a log."""
    outer = write(tmp_path / "run" / "metrics.csv")
    write(tmp_path / "run" / "other" / "metrics.csv")
    log = find_log(tmp_path)

    assert log is not None
    assert log.path == outer


def test_utf_16_becomes_utf_8() -> None:
    """Text with a byte order mark is decoded; anything else stays as it is."""
    for encoding in ("utf-16-le", "utf-16-be"):
        data = "\ufeffgröße".encode(encoding)
        assert to_utf_8(data) == "größe".encode()
        assert to_utf_8(data + b"\0") == "größe\ufffd".encode()
    for data in (b"", b"\xff", "\ufeffgröße".encode(), b"\0\xff\xfe"):
        assert to_utf_8(data) == data
    text = TextDecoder(io.BytesIO(b"\xef\xbb\xbfa\rb\xff\r\nc\xc3").read)
    assert text.read(100) == "a\nb\ufffd\nc"
    assert text.read(100) == ""
    assert text.finish() == "\ufffd"


def test_the_oldest_lines_of_mlflow_have_no_step(tmp_path: Path) -> None:
    """A line without a step is at step 0; blank lines are ignored, others reported."""
    write(tmp_path / "meta.yaml")
    metric = write(tmp_path / "metrics" / "grad_norm", "1000 2.5\n\n2000 3.5 1\n")
    steps = [*read_run(tmp_path).steps]

    assert [(s.number, s.time, s.norms.tolist()) for s in steps] == [
        (0, 0.0, [2.5]),
        (1, 1.0, [3.5]),
    ]
    metric.write_text("1000\n2000 3.5 1\nx 3.5 1\n")
    with pytest.warns(
        GradsoundWarning, match=r"line 1 of grad_norm is torn.* \(and 1 more\)"
    ):
        assert [step.number for step in read_run(tmp_path).steps] == [1]

"""Pages of one file: their text, their size, what they refuse; no browser is needed."""

import base64
import json
import re
import zlib
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run, with_signals

import gradsound
from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Thresholds
from gradsound.errors import GradsoundWarning
from gradsound.rendering import rendered_file
from gradsound.rendering.packed_arrays import pack
from gradsound.runs.model import Header, Run
from gradsound.runs.step import Step

pytestmark = pytest.mark.usefixtures("own_folder")
# Written down again rather than imported, as the page knows it.
NOTE = np.dtype("<i4, <u4, <u2, <i2, <u4, <u4, <u4, <i4, <u4, (2,)<u4, (2,)<f4, (3,2)<u4")
NOTE.names = (
    *("onset", "count", "voice", "track", "slot", "phase", "increment", "glide", "fade"),
    *("gain", "pan", "controls"),
)
EVIL = "</script><!-- <script> \u2028 ]]>\udcff"


class Elements(HTMLParser):
    """The attributes of a page, and the text of its scripts, styles and title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        names = dict(attrs)
        self._inside = names.get("id") or names.get("type") or tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("recording", "worklet", "voices", "module", "style", "title"):
            self.texts[self._inside] = self.texts.get(self._inside, "") + data

    def handle_endtag(self, _: str) -> None:
        self._inside = ""


def hash_of(text: str) -> str:
    """Returns a text's hash as a policy has it."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def read(path: str = "run.html") -> Elements:
    return Elements(Path(path).read_bytes().decode("ascii"))


def recorded(path: str = "run.html") -> dict:
    """Returns the facts in a page."""
    packed = zlib.decompress(base64.b64decode(read(path).texts["recording"]))
    size = int.from_bytes(packed[:4], "little")
    return json.loads(packed[4 : 4 + size])


def notes_in(path: str) -> np.ndarray:
    """Returns the note events in a page, with the fields of a recording."""
    packed = zlib.decompress(base64.b64decode(read(path).texts["recording"]))
    at = 4 + int.from_bytes(packed[:4], "little")
    for name, width, count in recorded(path)["arrays"]:
        planes = np.frombuffer(packed, np.uint8, width * count, at).reshape(width, count)
        if name == "notes":
            return np.ascontiguousarray(planes.T).view(NOTE)[:, 0]
        at += width * count
    raise AssertionError("no notes")


def random_run(steps: int, layers: int, *, nan: float = 0.0) -> Run:
    """Returns a run of noise with a loss: that of a real training needs less space."""
    random = np.random.default_rng(0)
    norms = random.lognormal(0, 0.5, (steps, layers)).astype(np.float32)
    norms[random.random(steps) < nan] = np.nan
    names = tuple(f"h.{k // 4}.{'qkvo'[k % 4]}" for k in range(layers))
    header = Header(layers=names, parameters=(1,) * layers, start="")
    times = np.cumsum(random.exponential(0.1, steps)).tolist()
    losses = random.lognormal(0, 0.1, steps).tolist()
    absent = np.zeros(layers, bool)
    return Run(
        header,
        [
            Step(k, time, own, absent, values={"loss": loss})
            for k, (time, own, loss) in enumerate(zip(times, norms, losses))
        ],
    )


def test_the_policy_allows_the_pages_own_script_alone() -> None:
    """The hashes are those of script and style; nothing else loads."""
    gradsound.render(make_run([[1.0, float("nan")]] * 4, (EVIL, "fc")), "run.html")
    page = read()
    policies = [
        dict(one.strip().split(" ", 1) for one in value.split(";"))
        for tag, name, value in page.attributes
        if tag == "meta" and name == "content" and "default-src" in value
    ]
    assert policies == [
        {
            "default-src": "'none'",
            "script-src": f"{hash_of(page.texts['module'])} 'strict-dynamic'",
            "style-src": hash_of(page.texts["style"]),
            "img-src": "data:",
            "base-uri": "'none'",
            "form-action": "'none'",
        }
    ]
    loads = [v for _, name, v in page.attributes if name in ("src", "href", "srcset")]
    assert [one for one in loads if not one.startswith("data:")] == ["../../"]  # hidden
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "style" not in [name for _, name, _ in page.attributes]


def test_no_name_leaves_the_recording() -> None:
    """Names of layers, bands, values, runs and comments are compressed; a title is text."""
    runs = [
        Run(make_run([[1.0]] * 3, (EVIL,), f"{EVIL}{k}").header, [], f"{EVIL}{k}.jsonl")
        for k in range(2)
    ]
    steps = [*make_run([[1.0]] * 3).steps]
    runs = [Run(run.header, steps, run.name) for run in runs]
    gradsound.render(runs[0], "run.html", other=runs[1], title=f"<b>{EVIL}</b>")
    text = Path("run.html").read_text()
    tags = re.findall(r"</?(?:script|style|body|html)\b", text)
    assert sorted(tags) == sorted(
        ["<script", "</script"] * 4
        + ["<style", "</style", "<body", "</body", "<html", "</html"]
    )
    title = "&lt;b&gt;&lt;/script&gt;&lt;!-- &lt;script&gt; &#8232; ]]&gt;\\udcff&lt;/b&gt;"
    assert f"<title>{title}, gradsound</title>" in text
    assert text.count("<!--") == 1  # the comment of index.html
    assert recorded()["hello"]["run"] == f"<b>{EVIL}</b>"


def test_each_run_has_tracks_of_its_own() -> None:
    """Of two runs, a line switches one band off: the first run left, the second right."""
    runs = [make_run([[1.0, 2.0]] * 3), make_run([[3.0, 4.0]] * 3)]
    gradsound.render(runs[0], "run.html", other=runs[1])
    lines = recorded()["hello"]["lines"]
    assert [line["tracks"] for line in lines] == [[0], [1], [2], [3]]
    assert [line["spans"] for line in lines] == [[[k, k + 1]] for k in range(4)]
    notes = notes_in("run.html")
    assert {*notes["track"].tolist()} == {-1, 0, 1, 2, 3}
    left, right = notes["pan"].T
    is_left = notes["track"] < 2
    sounds = notes["track"] >= 0
    assert (left > right)[sounds & is_left].all()
    assert (left < right)[sounds & ~is_left].all()


def test_equal_runs_make_equal_bytes() -> None:
    """Nothing of a page depends on the time, or on the path of the file."""
    run = with_signals(make_run([[1.0, 2.0]] * 5), snr=[0.2, 0.4])
    for name in ("a.html", "b.HTML"):
        gradsound.render(run, name)
    assert Path("a.html").read_bytes() == Path("b.HTML").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["a.html", "b.HTML"]


@pytest.mark.parametrize(
    ("steps", "layers", "kilobytes"), [(1, 1, 200), (2000, 4, 250), (2000, 100, 1500)]
)
def test_its_size(steps: int, layers: int, kilobytes: int) -> None:
    """A page is smaller than 200 kB without its run, and 250 kB with one of 2,000 steps."""
    gradsound.render(random_run(steps, layers), "run.html")
    assert Path("run.html").stat().st_size < 1000 * kilobytes


def test_a_long_run_becomes_a_time_lapse(monkeypatch) -> None:
    """A run with too many notes is merged with one warning, and keeps all its alarms."""
    run = random_run(4000, 2, nan=0.01)
    detector = RunDetector(run.header, Thresholds())
    alarms = [
        (alarm.step, alarm.text)
        for block in run.blocks()
        for found in detector.detect(block)
        for alarm in found
    ]
    monkeypatch.setattr(rendered_file, "NOTES_MAX", 600)
    with pytest.warns(
        GradsoundWarning, match=r"run\.html: .* it is a time-lapse of 36\.0 s"
    ):
        gradsound.render(run, "run.html")
    facts = recorded()
    assert len(alarms) > 40
    assert [(one["step"], one["text"]) for one in facts["alarms"]] == alarms
    assert re.fullmatch(r"time-lapse: 1\d steps sound as one", facts["hello"]["note"])
    assert facts["frames"] < 36.5 * 44_100
    (counts,) = (size for name, _, size in facts["arrays"] if name == "notes")
    assert 300 < counts < 800
    gradsound.render(run, "own.html", duration=5)  # no warning
    assert recorded("own.html")["frames"] < 5.5 * 44_100


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "run.wav",
            {"title": "a"},
            r"run\.wav: has no title; only a page has one, run\.html",
        ),
        ("run.vtt", {"title": "a"}, r"run\.vtt: has no title"),
        ("run.html", {"title": " \n"}, "needs a character that is no space"),
        (
            "run.html",
            {"subtype": "PCM_24"},
            "no samples, so no subtype PCM_24: leave it out",
        ),
        ("run.html", {"sample_rate": 8000}, "sample rate"),
        ("run.html", {"duration": 1}, "duration must be 5 s or more"),
    ],
)
def test_what_is_refused(name: str, options: dict, message: str) -> None:
    """Each mistake has a sentence with the remedy, and nothing is written."""
    with pytest.raises(ValueError, match=message):
        gradsound.render(make_run([[1.0]]), name, **options)
    assert not [*Path().iterdir()]


def test_an_error_leaves_the_old_page() -> None:
    """A run without steps, or a folder that is gone, changes nothing."""
    Path("run.html").write_text("old")
    with pytest.raises(ValueError, match="nothing to hear"):
        gradsound.render(make_run([]), "run.html")
    assert Path("run.html").read_text() == "old"
    with pytest.raises(FileNotFoundError, match=r"gone/run\.html"):
        gradsound.render(make_run([[1.0]]), "gone/run.html")
    assert [path.name for path in Path().iterdir()] == ["run.html"]


def test_a_page_never_replaces_its_run(save) -> None:
    """The path of the run itself is refused, whatever it ends in."""
    run = save([[1.0]], name="run.html")
    with pytest.raises(ValueError, match="is the run itself"):
        gradsound.render(run, run)


def test_steps_that_are_read_once_are_enough() -> None:
    """A page of an iterator of steps is that of the same steps in a list."""
    run = random_run(50, 3)
    gradsound.render(run, "list.html")
    gradsound.render(Run(run.header, iter(run.steps), run.name), "iterator.html")
    assert Path("list.html").read_bytes() == Path("iterator.html").read_bytes()


def test_steps_and_times_beyond_32_bits() -> None:
    """Large step numbers are held at the largest, and a pause of a month is no error."""
    run = make_run([[1.0]] * 3)
    times = (0.0, 1.0, 1.0 + 86_400 * 60)
    steps = [
        Step(number, time, step.norms, step.absent)
        for number, time, step in zip((2**31, 2**32 - 1, 2**40), times, run.steps)
    ]
    gradsound.render(Run(run.header, steps, "run"), "run.html")
    captions = recorded()["captions"]
    assert captions[-1]["clock"] == "1440:00:01"


def test_arrays_are_packed_by_bytes() -> None:
    """Each array has name, width and count, then its planes of bytes, in this order."""
    arrays = {"a": np.array([0x01020304, 0x05060708], "<u4"), "b": np.zeros((0, 3), "<f8")}
    packed = zlib.decompress(pack({"text": "\udcff"}, arrays))
    size = int.from_bytes(packed[:4], "little")
    facts = json.loads(packed[4 : 4 + size])
    assert facts == {"text": "\udcff", "arrays": [["a", 4, 2], ["b", 8, 0]]}
    assert packed[4 + size :] == bytes([4, 8, 3, 7, 2, 6, 1, 5])

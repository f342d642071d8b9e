"""One script of all modules: what it contains, and what it refuses."""

from pathlib import Path

import pytest
from helpers.page_files import FOLDERS

from gradsound.web.module_bundle import bundle


def write(folder: Path, **modules: str) -> list[Path]:
    """Writes modules to a folder, by name without .js; returns a list of the folder."""
    folder.mkdir(exist_ok=True)
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)
    return [folder]


def test_modules_keep_their_own_names(browser, tmp_path) -> None:
    """Constants of one name do not meet; each module runs once, after what it imports."""
    folders = write(
        tmp_path / "page",
        entry='import { one, Two } from "./a.js";\nimport * as all from "./b.js";\n'
        "const LIMIT = 3;\nwindow.found = [one(), new Two().two, all.LIMIT, LIMIT];\n",
        a='import "./b.js";\nconst LIMIT = 1;\n// a comment\n'
        "export function one() { return LIMIT; }\nexport class Two { two = 2; }\n",
        b="window.runs = (window.runs ?? 0) + 1;\nexport const LIMIT = 4;\n",
    )
    page = browser.new_page()
    page.evaluate(bundle("entry.js", folders))
    assert page.evaluate("[found, runs]") == [[1, 2, 4, 3], 1]
    page.close()


def test_a_module_of_the_first_folder_takes_the_place(tmp_path) -> None:
    """Of two modules of one name, only the one in the first folder is in the script."""
    first = write(tmp_path / "first", a="export const place = 'first';\n")
    second = write(
        tmp_path / "second",
        entry='import { place } from "./a.js";\nshow(place);\n',
        a="export const place = 'second';\n",
    )
    script = bundle("entry.js", [*first, *second])
    assert "'first'" in script
    assert "'second'" not in script
    assert "import" not in script


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import thing from "./a.js";\n', "cannot join 'import thing"),
        ("export default 3;\n", "cannot join 'export default"),
        ("export let count = 0;\n", "cannot join 'export let"),
        ("const text = `two\nlines`;\n", "cannot join 'const text = `two'"),
        ('import { a } from "./entry.js";\n', "entry.js imports entry.js"),
    ],
)
def test_what_would_not_work_is_refused(tmp_path, text: str, message: str) -> None:
    """The error names the module and the line, or the circle."""
    folders = write(tmp_path / "page", entry=text, a="")
    with pytest.raises(ValueError, match=message):
        bundle("entry.js", folders)


def test_a_missing_module_is_named(tmp_path) -> None:
    """The error has the path of the file that an import names."""
    folders = write(tmp_path / "page", entry='import { a } from "./gone.js";\n')
    with pytest.raises(FileNotFoundError, match=r"gone\.js"):
        bundle("entry.js", folders)


@pytest.mark.parametrize("entry", ["page.js", "worklet.js"])
def test_the_pages_modules_fit(entry: str) -> None:
    """No import or export is left, and no text that would end the element of a script."""
    script = bundle(entry, FOLDERS)
    lines = script.splitlines()
    assert not [line for line in lines if line.startswith(("import", "export"))]
    assert "</" not in script
    assert "<!--" not in script
    assert len(lines) > 200

"""Runs a script, a module or a code as Python would."""

from __future__ import annotations

import os
import pkgutil
import runpy
import sys
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from gradsound.script.own_modules import free_names
from gradsound.script.tracebacks import print_as_python_would

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType


@dataclass(frozen=True, slots=True)
class Program:
    """What a user gives to Python on its command line.

    Attributes:
        kind: "script" for a path, "module" for ``-m``, "code" for ``-c``.
        name: The path, the name of the module, or the code.
        arguments: The arguments of the program itself.
    """

    kind: Literal["script", "module", "code"]
    name: str
    arguments: tuple[str, ...]

    def check(self) -> None:
        """Checks that the script can be read.

        Raises:
            OSError: If it cannot.
            ValueError: If it is a folder that Python cannot run.
        """
        if self.kind != "script":
            return
        path = Path(self.name)
        if path.is_dir() and not any(
            (path / f"__main__.{suffix}").is_file() for suffix in ("py", "pyc")
        ):
            raise ValueError(f"{self.name}: is a folder; name the script in it")
        if not path.is_dir():
            path.open("rb").close()

    def run(self, on_error: Callable[[BaseException], None]) -> None:
        """Runs the program in this process, and returns when its last line has run.

        Args:
            on_error: Called with an exception that ends the program.

        Raises:
            BaseException: What the program raises. Python then prints it without a frame
                of ours.
        """
        ours = sys.modules["__main__"]  # Python would clear a module that nothing keeps
        main = ModuleType("__main__")
        if sys.version_info < (3, 14):  # later, a module has it once it is needed
            vars(main)["__annotations__"] = {}
        vars(main)["__builtins__"] = sys.modules["builtins"]
        sys.modules["__main__"] = main
        try:
            self._start(main)
        except BaseException as error:
            if not isinstance(error, SystemExit):
                on_error(error)
                print_as_python_would(error, self._start.__code__)
            raise
        finally:
            del ours

    def _start(self, main: ModuleType) -> None:
        """Runs the program; its frames follow the frame of this method in a traceback."""
        if self.kind == "module":
            _set_first_path(os.getcwd())  # noqa: PTH109 (an entry of sys.path is a string)
            sys.argv[:] = ["-m", *self.arguments]
            runpy._run_module_as_main(self.name)  # type: ignore[attr-defined]
            return
        sys.argv[:] = [self.name, *self.arguments]
        if self.kind == "code":
            _set_first_path("")
            sys.argv[0] = "-c"
            main.__loader__ = BuiltinImporter
            code = compile(f"{self.name}\n", "<string>", "exec", dont_inherit=True)
            _keep_lines(code, self.name)
            exec(code, vars(main))  # noqa: S102 (the user's own code)
            return
        if pkgutil.get_importer(self.name) is not None:  # a folder or a zip file
            _set_first_path(os.path.abspath(self.name))  # noqa: PTH100
            runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
            return
        file = os.path.abspath(self.name)  # noqa: PTH100 (Python keeps links and dots)
        _set_first_path(os.path.dirname(os.path.realpath(file)))  # noqa: PTH120
        code, loader = _read_code(file)
        vars(main).update(__file__=file, __cached__=None, __loader__=loader)
        exec(code, vars(main))  # noqa: S102 (the user's own script)


def _keep_lines(code: CodeType, text: str) -> None:
    """Keeps the lines of a code for tracebacks, which show them since Python 3.13."""
    if sys.version_info >= (3, 13):
        import linecache

        key = code if hasattr(linecache, "_make_key") else code.co_filename
        linecache._register_code(key, text, code.co_filename)


def _read_code(file: str) -> tuple[CodeType, Any]:
    """Returns the code of a script, compiled or not, and its loader."""
    with open(file, "rb") as stream:  # noqa: PTH123
        compiled = pkgutil.read_code(stream) if file.endswith(".pyc") else None
        if compiled is not None:
            return compiled, SourcelessFileLoader("__main__", file)
        stream.seek(0)
        code = compile(stream.read(), file, "exec", dont_inherit=True)
    return code, SourceFileLoader("__main__", file)


def _set_first_path(folder: str) -> None:
    """Replaces the first entry of ``sys.path``, which is ours, by that of the program."""
    if not getattr(sys.flags, "safe_path", False):  # then Python adds no such entry
        sys.path[0] = folder
    free_names(folder)

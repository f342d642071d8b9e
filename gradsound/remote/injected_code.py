"""The code that the process of a training runs: it calls our package there.

The process gets the text of this file, without its package. So it uses only modules that
every Python has loaded.
"""

from __future__ import annotations

import os
import sys

_STDERR_KINDS = ("error", "page")  # what `gradsound.attach` would print


class Report:
    """Tells the command that attaches, as long as it waits; it never raises.

    Args:
        folder: The private folder of the command, which removes it at its end.
    """

    def __init__(self, folder: str) -> None:
        self._file = f"{folder}/report"

    def tell(self, kind: str, text: str) -> None:
        """Adds a message; without the command, an error or an address is printed."""
        try:
            with open(self._file, "a", encoding="utf-8") as file:  # noqa: PTH123
                file.write(f"{kind} {text!r}\n")
        except OSError:
            if kind in _STDERR_KINDS and sys.stderr is not None:
                try:
                    sys.stderr.write(f"gradsound: {text}\n")
                except (OSError, ValueError):  # the script closed it
                    return


def answer(folder: str, ours: str) -> None:
    """Does what the command orders, at once or not at all; it never raises.

    Args:
        folder: The private folder of the command.
        ours: The folder that contains our package.
    """
    report = Report(folder)
    try:
        if not _take_order(folder):
            return
        if reason := _reason_to_wait():
            report.tell("wait", reason)
            return
        if other := _other_package(ours):
            report.tell("other", f"{other}\n{sys.executable}")
            return
        if not os.access(f"{ours}/gradsound/__init__.py", os.R_OK):
            report.tell(
                "error",
                f"its user cannot read {ours}/gradsound: attach by one that all may read",
            )
            return
        sys.path.append(ours)  # the last place, for this import alone
        try:
            from gradsound.script.own_modules import import_ours

            with import_ours():
                from gradsound.remote.running_training import obey
        finally:
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(ours)]
        obey(f"{folder}/taken", report.tell)
    except KeyboardInterrupt:  # Ctrl-C is for the training
        import _thread

        report.tell("error", "somebody interrupted the training (Ctrl-C)")
        _thread.start_new_thread(_interrupt_soon, ())
    except BaseException as error:  # noqa: BLE001 (the training must go on)
        report.tell("error", f"{type(error).__name__}: {error}")


def _interrupt_soon() -> None:
    """Interrupts the training once it runs again: here, the exception would be lost."""
    import _thread
    import time

    time.sleep(0.1)
    _thread.interrupt_main()


def _take_order(folder: str) -> bool:
    """Returns whether there is an order; if the command has ended, removes its folder."""
    try:
        os.rename(f"{folder}/order", f"{folder}/taken")  # noqa: PTH104
    except OSError:
        try:
            names = os.listdir(folder)  # noqa: PTH208
            if "ended" in names:
                for name in names:
                    os.unlink(f"{folder}/{name}")  # noqa: PTH108
                os.rmdir(folder)  # noqa: PTH106
        except OSError:
            return False
        return False
    return True


def _reason_to_wait() -> str:
    """Returns why our package cannot be imported now; empty if it can."""
    if "torch" not in sys.modules:
        return "torch"
    needed = {"torch", "numpy", "gradsound", *sys.stdlib_module_names}
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] in needed and isinstance(module, type(sys)):
            spec = vars(module).get("__spec__")
            if getattr(spec, "_initializing", False):  # a part of it may not exist yet
                return "import"
    return ""


def _other_package(ours: str) -> str:
    """Returns where a gradsound is that the process has, or would import; empty if ours."""
    place = None
    if "gradsound" in sys.modules:
        place = vars(sys.modules["gradsound"]).get("__file__")
    else:
        for finder in [*sys.meta_path]:
            spec = finder.find_spec("gradsound", None)
            if spec is not None:
                place = spec.origin  # none for a mere folder of this name
                break
    folder = os.path.dirname(os.path.realpath(place)) if place else ""  # noqa: PTH120
    return "" if folder in ("", os.path.realpath(f"{ours}/gradsound")) else folder

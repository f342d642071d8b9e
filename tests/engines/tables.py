"""The engines: their packages, pinned, and the script that trains each one's cases."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Engine:
    """A library to train by.

    Attributes:
        name: The name of its rows.
        script: A file beside this one.
        requirements: Packages that pip installs without their dependencies, pinned. The
            running Python has the others.
        package: The package whose version is in the table; the name if empty.
        arguments: Arguments of the script.
        variables: Environment variables of the script.
        own_torch: Whether pip installs the dependencies too, torch included, and nothing
            of the running Python is in sight.
    """

    name: str
    script: str
    requirements: tuple[str, ...] = ()
    package_name: str = ""
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    own_torch: bool = False

    @property
    def package(self) -> str:
        """The package whose version is in the table."""
        return self.package_name or self.name


ENGINES = (
    Engine("torch", "torch_optimizers.py"),
)

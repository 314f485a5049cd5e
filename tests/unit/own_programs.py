"""A machine whose programs are shell scripts: nothing is built or fetched by tests of where a program comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.26.1; exit; fi
echo "$PWD" >>"{calls}"
for package; do :; done
: >"$3${{package##*/}}"
/bin/chmod +x "$3${{package##*/}}"
"""

Locate = Callable[[Callable[[str], None], Mapping[str, str]], Path]


@dataclass
class Machine:
    """A home folder, a PATH with what was put on it, and what was said; `looks` is what is under test."""

    root: Path
    looks: Locate
    environ: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path, looks: Locate) -> Machine:
        """Return one below *root* with an empty PATH."""
        (root / "bin").mkdir()
        return cls(root, looks, {"PATH": str(root / "bin"), "HOME": str(root)})

    def put(self, path: str, text: str = "#!/bin/sh\n") -> Path:
        """Put a program at *path*; those in ``bin`` are on the PATH."""
        program = self.root / path
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
        return program

    def put_go(self) -> None:
        """Put a toolchain on the PATH that writes down where it builds."""
        self.put("bin/go", FAKE_GO.format(calls=self.root / "calls"))

    def locate(self) -> Path:
        """Ask for the program, as the tests that need it do."""
        return self.looks(self.said.append, self.environ)

    def builds(self) -> list[str]:
        """Return the folders in which something was built."""
        calls = self.root / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

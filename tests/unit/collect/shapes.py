"""The shapes in which operators are laid out and installed: each a checkout, and the image that a process runs from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.unit.collect.building import SOURCES, Project

T = TypeVar("T")

PACKAGE = {name: SOURCES[f"shop/{name}"] for name in ("__init__.py", "cart.py", "parts/__init__.py", "parts/till.py")}
#: What `main` runs of them.
RAN = {"__init__.py": set[int](), "cart.py": {1, 2, 3, 4, 7}, "parts/__init__.py": set[int](), "parts/till.py": {1, 2}}

MAIN = "import coverage_hooks\ncoverage_hooks.start()\n"
SHOP = "from shop.cart import add\nfrom shop.parts.till import pay\nadd([], 1)\npay(3)\n"

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "shop"
version = "1"
"""


def below(folder: str, files: Mapping[str, T]) -> dict[str, T]:
    """Return *files* below *folder*."""
    return {f"{folder}/{name}": content for name, content in files.items()}


def ran(folder: str) -> dict[str, set[int]]:
    """Return the lines that `main` runs of a package in *folder*."""
    return below(folder, RAN)


@dataclass
class Shape:
    """A checkout in folder *base*, an image beside it, and the lines that have to be reported."""

    base: Path
    expected: dict[str, set[int]] = field(default_factory=dict)
    main: str = SHOP
    python: str = sys.executable
    path: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.checkout = Project(self.base / "checkout")
        self.image = Project(self.base / "image")
        self.folder = self.checkout.root  # where a person stands to collect

    def lay(self, files: Mapping[str, str], *, config: str = "[run]\nsource = shop\n", image: str = "") -> None:
        """Put *files* and *config* into both; the image may have a configuration of its own."""
        self.checkout.write({".gitignore": "build/\n.venv/\n", **files, ".coveragerc": config})
        self.image.write({**files, ".coveragerc": image or config})
        self.checkout.commit()

    def pip(self, *arguments: object) -> None:
        """Install something, in an environment of the image's own."""
        if self.python == sys.executable:
            venv.create(self.base / "venv", symlinks=True)
            self.python = str(self.base / "venv/bin/python")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python, "install", "-q"]
        offline = ["--no-index", "--no-deps", "--no-build-isolation", "--root-user-action=ignore"]
        environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}  # where hatchling is
        subprocess.run([*pip, *offline, *map(str, arguments)], check=True, env=environment)

    def record(self, volume: Path) -> None:
        """Run the program in the image."""
        self.image.write({"main.py": MAIN + self.main, "kopf.py": "raise ImportError('hidden')\n"})
        hooks = Path(__file__).parents[3]
        path = [*self.path, hooks, sysconfig.get_path("purelib")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        environment |= {
            "COVERAGE_HOOKS_ENABLED": "1", "COVERAGE_HOOKS_DIR": str(volume), "PYTHONPATH": ":".join(map(str, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        subprocess.run([self.python, "main.py"], cwd=self.image.root, env=environment, check=True)


def flat(shape: Shape) -> None:
    shape.lay(below("shop", PACKAGE))
    shape.expected = ran("shop")


def source_layout(shape: Shape) -> None:
    shape.lay(below("src/shop", PACKAGE))
    shape.path = [shape.image.root / "src"]
    shape.expected = ran("src/shop")


def site_packages(shape: Shape) -> None:
    shape.lay(below("src/shop", PACKAGE) | {"pyproject.toml": PYPROJECT}, image="[run]\nsource = shop\n")
    shape.pip(shape.checkout.root)
    shape.image = Project(shape.base / "run")
    shape.image.write({".coveragerc": "[run]\nsource = shop\n"})
    shape.expected = ran("src/shop")


def editable(shape: Shape) -> None:
    shape.lay(below("src/shop", PACKAGE) | {"pyproject.toml": PYPROJECT})
    shape.pip("--editable", shape.image.root)
    shape.expected = ran("src/shop")


def several_roots(shape: Shape) -> None:
    shape.lay(
        below("services/front/shop", PACKAGE)
        | below("libraries/store", {"__init__.py": "", "cart.py": "full = False\n"}),
        config="[run]\nsource =\n    services/front/shop\n    libraries/store\n",
        image="[run]\nsource_pkgs = shop, store\n",
    )
    shape.path = [shape.image.root / "services/front", shape.image.root / "libraries"]
    shape.main = f"{SHOP}import store.cart\n"
    shape.expected = ran("services/front/shop") | {"libraries/store/__init__.py": set(), "libraries/store/cart.py": {1}}


def linked_package(shape: Shape) -> None:
    for project in (shape.checkout, shape.image):
        project.root.mkdir()
        (project.root / "shop").symlink_to("packages/the-shop")
    shape.lay(below("packages/the-shop", PACKAGE))
    shape.expected = ran("packages/the-shop")


def linked_package_in_the_image(shape: Shape) -> None:
    """As a volume mounted into an image is: the name that Python imports is not that of the files."""
    shape.image.write(below("data/2026-11-23", PACKAGE))
    (shape.image.root / "shop").symlink_to("data/2026-11-23")
    shape.checkout.write(below("shop", PACKAGE) | {".coveragerc": "[run]\nsource = shop\n"})
    shape.checkout.commit()
    shape.image.write({".coveragerc": "[run]\nsource_pkgs = shop\n"})
    shape.expected = ran("shop")


def linked_checkout(shape: Shape) -> None:
    flat(shape)
    shape.folder = shape.base / "link"
    shape.folder.symlink_to(shape.checkout.root)


def collected_from_below(shape: Shape) -> None:
    """Of a repository with several projects, one is collected."""
    shape.lay(below("operators/shop-operator/shop", PACKAGE) | below("operators/other/shop", PACKAGE))
    shape.folder = shape.checkout.root / "operators/shop-operator"
    (shape.folder / ".coveragerc").write_text("[run]\nsource = shop\n")
    shape.checkout.commit()
    shape.path = [shape.image.root / "operators/shop-operator"]
    shape.expected = ran("operators/shop-operator/shop")


def twins(shape: Shape) -> None:
    """What builds and installs leave in a checkout is the same to the byte, and nearer by path."""
    shape.lay(
        below("shop", PACKAGE),
        config="[run]\nsource = .\n[report]\ninclude_namespace_packages = True\nomit = main.py\n",
    )
    shape.checkout.write(below("build/lib/shop", PACKAGE) | below(".venv/lib/python3.13/site-packages/shop", PACKAGE))
    shape.image = Project(shape.base / "image/build/lib")
    shape.image.write(below("shop", PACKAGE) | {".coveragerc": "[run]\nsource = shop\n"})
    nothing = {name: set[int]() for name in RAN}
    shape.expected = ran("shop")
    for folder in ("build/lib/shop", ".venv/lib/python3.13/site-packages/shop"):
        shape.expected |= below(folder, nothing)


def empty_packages(shape: Shape) -> None:
    """Every `__init__.py` has the same bytes; the folders above tell them apart."""
    many = [f"shop/{one}/{two}" for one in "abc" for two in "abc"]
    inits = {f"{folder}/__init__.py": "" for folder in [*many, *(f"shop/{one}" for one in "abc"), "shop"]}
    shape.lay(inits | {"shop/b/c/only.py": "here = 1\n"})
    shape.main = "import shop.b.c.only\n"
    shape.expected = {name: set() for name in inits} | {"shop/b/c/only.py": {1}}


def renamed_checkout(shape: Shape) -> None:
    flat(shape)
    shape.checkout = Project(shape.checkout.root.rename(shape.base / "another name, with spaces"))
    shape.folder = shape.checkout.root


def package_that_is_the_checkout(shape: Shape) -> None:
    """The folder of the checkout is the package, and nobody keeps its name."""
    shape.checkout.write(PACKAGE | {".coveragerc": "[run]\nsource = .\n"})
    shape.checkout.commit()
    shape.image.write(below("shop", PACKAGE) | {".coveragerc": "[run]\nsource = shop\n"})
    shape.expected = RAN


def windows_paths(shape: Shape) -> None:
    """A configuration that has to serve a Windows machine too; it breaks a tie here.

    Its first line has slashes: below ``shop\\b`` coverage.py finds no file where backslashes are no separators.
    """
    same = {f"shop/{name}": "" for name in ("__init__.py", "a/__init__.py", "b/__init__.py")}
    same |= {"shop/a/same.py": "x = 1\n", "shop/b/same.py": "x = 1\n"}
    paths = "[paths]\nall =\n    shop/b\n    C:\\work\\shop\\b\n    *\\elsewhere\n"
    shape.checkout.write(same | {".coveragerc": f"[run]\nsource = shop\n{paths}"})
    shape.checkout.commit()
    shape.image.write({"elsewhere/__init__.py": "", "elsewhere/same.py": "x = 1\n"})
    shape.image.write({".coveragerc": "[run]\nsource = elsewhere\n"})
    shape.main = "import elsewhere.same\n"
    shape.expected = {name: set[int]() for name in same} | {"shop/b/same.py": {1}}


def namespace(shape: Shape) -> None:
    files = {name: content for name, content in PACKAGE.items() if content}
    shape.lay(below("shop", files), config="[run]\nsource = shop\n[report]\ninclude_namespace_packages = True\n")
    shape.expected = {f"shop/{name}": RAN[name] for name in files}


def folder_without_init(shape: Shape) -> None:
    """What coverage.py does not find by itself, and reports once it was measured."""
    files = {"shop/hooks/handlers.py": "here = 1\n", "shop/hooks/unused.py": "here = 1\n"}
    shape.lay(below("shop", PACKAGE) | files)
    shape.main = f"{SHOP}import shop.hooks.handlers\n"
    shape.expected = ran("shop") | {"shop/hooks/handlers.py": {1}}


def script(shape: Shape) -> None:
    """A program without a file ending, as images have one in `bin`."""
    shape.lay(below("shop", PACKAGE) | {"bin/operator": SHOP}, config="[run]\nsource = shop, bin\n")
    shape.main = "import runpy\nrunpy.run_path('bin/operator')\n"
    shape.expected = ran("shop") | {"bin/operator": {1, 2, 3, 4}}


def windows_line_ends(shape: Shape) -> None:
    shape.lay(below("shop", PACKAGE))
    shape.image.write({name: text.replace("\n", "\r\n") for name, text in below("shop", PACKAGE).items()})
    shape.expected = ran("shop")


def one_module(shape: Shape) -> None:
    """As ``kopf run operator.py`` is often written."""
    shape.lay({"shop.py": PACKAGE["cart.py"]})
    shape.main = "import shop\nshop.add([], 1)\n"
    shape.expected = {"shop.py": RAN["cart.py"]}


def relative_files(shape: Shape) -> None:
    shape.lay(below("shop", PACKAGE), config="[run]\nsource = shop\nrelative_files = True\n")
    shape.expected = ran("shop")


SHAPES: dict[str, Callable[[Shape], None]] = {
    shape.__name__: shape
    for shape in (
        flat, source_layout, site_packages, editable, several_roots, linked_package, linked_package_in_the_image,
        linked_checkout, collected_from_below, twins, empty_packages, renamed_checkout, package_that_is_the_checkout,
        windows_paths, namespace, folder_without_init, script, windows_line_ends, one_module, relative_files,
    )
}  # fmt: skip


def zipped(shape: Shape) -> None:
    """Lay out a package in an archive, which coverage.py measures and nobody can take the fingerprint of."""
    shape.lay(below("shop", PACKAGE))
    shutil.rmtree(shape.image.root / "shop")
    archive = shape.image.root / "shop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in below("shop", PACKAGE).items():
            file.writestr(name, content)
    shape.path = [archive]

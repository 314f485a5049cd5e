"""The kubectl commands that are written down, wherever that is, and which of our kinds they name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from keycloak_operator.resources import GROUP
from keycloak_operator.resources.crds import CATEGORY, KINDS

ROOT = Path(__file__).parents[3]
#: What kubectl takes for one of our kinds. Others may have kinds of the same names, but not the same short ones.
KIND_NAMES = {name for kind in KINDS for name in (kind.definition.plural, kind.definition.singular)}
SHORT_NAMES = {kind.definition.short_name: kind for kind in KINDS}

_CONTINUED = re.compile(r"\\\n\s*#?\s*")
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^#?[ \t]{2,}(kubectl\s.*)$", re.MULTILINE)
_TYPED = re.compile(r"^\s*(?:\$\s+)?(kubectl\s.*)$", re.MULTILINE)
_INLINE = re.compile(r"`(kubectl\s[^`]+)`")


def commands(text: str) -> list[str]:
    """Return the kubectl commands in *text*: lines of fenced code, indented lines, and what is in backquotes."""
    text = _CONTINUED.sub("", text)
    found = [command for code in _FENCED.findall(text) for command in _TYPED.findall(code)]
    rest = _FENCED.sub("", text)
    found += [*_INDENTED.findall(rest), *_INLINE.findall(rest)]
    return list(dict.fromkeys(" ".join(each.split()) for each in found))


def about_our_kinds(command: str) -> bool:
    """Return whether *command* names one of our kinds, or a file with resources or definitions of them."""
    return any(_names_a_kind(word) for word in _words(command)) or any(map(_holds_ours, _files(command)))


def without_group(command: str) -> set[str]:
    """Return the names of our kinds that *command* gives without their group, so that kubectl may take another."""
    if GROUP in _api_version(command):
        return set()
    return {word for word in _words(command) if _name(word) in KIND_NAMES and GROUP not in word.lower()}


def _names_a_kind(word: str) -> bool:
    return _name(word) in KIND_NAMES | {*SHORT_NAMES, CATEGORY}


def _name(word: str) -> str:
    """Return *word* without a group or, in what `kubectl explain` is asked, without the path of a field."""
    return word.lower().partition(".")[0]


def _api_version(command: str) -> str:
    return next((each for each in shlex.split(command) if each.startswith("--api-version=")), "")


def _words(command: str) -> Iterator[str]:
    """Yield what stands where kubectl expects a kind: words, each up to a slash, which are separated by commas."""
    for argument in shlex.split(command)[1:]:
        if not argument.startswith("-"):
            yield from (word.split("/")[0] for word in argument.split(","))


def _files(command: str) -> Iterator[Path]:
    arguments = shlex.split(command)
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if option in {"-f", "--filename"}:
            yield ROOT / value
        elif option.startswith(("-f=", "--filename=")):
            yield ROOT / option.partition("=")[2]


def _holds_ours(path: Path) -> bool:
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path] if path.is_file() else []
    documents: Iterable[dict[str, object]] = (
        each for file in files for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each
    )
    return any(GROUP in str(each.get("apiVersion")) or GROUP in str(each.get("metadata")) for each in documents)

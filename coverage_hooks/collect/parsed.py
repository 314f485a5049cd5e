"""Source files are parsed once for all reports; coverage.py by itself parses each file again for every report.

The parsed files are coverage.py's own objects. They are shared by overriding `Coverage._get_file_reporter` and
`Coverage._analyze`, which are private: `can_share` first tries on a small file that coverage.py calls them and that its
reports stay the same. If not, plain `coverage.Coverage` is used, with the same reports in more time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import coverage
from coverage import FileReporter

#: Methods of coverage.py's reporter of a Python file that compute the same at each call.
_COMPUTED = ("exit_counts", "no_branch_lines", "code_regions")

#: A small file that is there anyway, so that none has to be made, which a kill would leave behind; and arcs in it.
_SAMPLE = Path(__file__).with_name("sample.py")
_SAMPLE_ARCS = [(-1, 1), (1, 4), (4, -1), (-4, 5), (5, 6), (6, 7), (7, 8), (8, 7), (7, 5), (5, 10), (10, -4)]


class Parsed:
    """The reporters of Python files; a file is parsed again when its content or the exclusions change."""

    def __init__(self) -> None:
        self._reporters: dict[str, tuple[Hashable, FileReporter]] = {}

    def __len__(self) -> int:
        """Return the number of files that were parsed."""
        return len(self._reporters)

    def sharing(self, **options: Any) -> coverage.Coverage:
        """Return `coverage.Coverage` with these *options*; all that come from here share what they parse.

        Each analyses a file once for all its reports, so its data must not change between them.
        """
        return _Sharing(self, **options) if can_share() else coverage.Coverage(**options)

    def reporter(self, made: FileReporter, exclusions: Hashable) -> FileReporter:
        """Return the reporter to use for the file of *made*: an earlier one if there is one that still fits."""
        try:
            content = Path(made.filename).read_bytes()
        except OSError:  # coverage.py reads files in archives, too, and has its own errors for the rest
            return made
        key = hashlib.sha256(content).digest(), exclusions
        kept = self._reporters.get(made.filename)
        if kept is not None and kept[0] == key:
            return kept[1]
        for name in _COMPUTED:
            setattr(made, name, functools.cache(getattr(made, name)))
        self._reporters[made.filename] = key, made
        return made

    def forget(self, reporter: FileReporter) -> None:
        """Have the file of *reporter* parsed again the next time."""
        self._reporters.pop(reporter.filename, None)


class _Sharing(coverage.Coverage):
    """coverage.py that takes reporters from *parsed*, and analyses each file once for all its reports."""

    def __init__(self, parsed: Parsed, **options: Any) -> None:
        super().__init__(**options)
        self.__parsed = parsed
        self.__analyses: dict[str, tuple[FileReporter, Any]] = {}

    def _get_file_reporter(self, morf: Any) -> FileReporter:
        made = super()._get_file_reporter(morf)
        if not _is_python(made):  # what the reporter of a plugin depends on is not known
            return made
        exclusions = (tuple(self.get_exclude_list(which)) for which in ("exclude", "partial", "partial_always"))
        return self.__parsed.reporter(made, tuple(exclusions))

    def _analyze(self, morf: Any, file_reporter: FileReporter | None = None) -> Any:
        if file_reporter is None:
            return super()._analyze(morf)
        known = self.__analyses.get(file_reporter.filename)
        if known is None or known[0] is not file_reporter:
            try:
                known = file_reporter, super()._analyze(morf, file_reporter)
            except Exception:
                # After an error a reporter keeps a parser without lines, and would report an empty file the next time.
                self.__parsed.forget(file_reporter)
                raise
            self.__analyses[file_reporter.filename] = known
        return known[1]


class _Named(FileReporter):
    """A Python file without content: only its name counts."""

    def lines(self) -> set[int]:
        return set()

    def source(self) -> str:
        return ""


class _Naming(coverage.Coverage):
    """coverage.py that reads no Python file."""

    def _get_file_reporter(self, morf: Any) -> FileReporter:
        made = super()._get_file_reporter(morf)
        return _Named(made.filename) if _is_python(made) else made


def naming(**options: Any) -> coverage.Coverage:
    """Return `coverage.Coverage` with these *options* whose reports name the files, without reading those of Python.

    Without the private names, it reads and parses them.
    """
    return (_Naming if can_share() else coverage.Coverage)(**options)


def _is_python(reporter: FileReporter) -> bool:
    return type(reporter).__module__.startswith("coverage.")  # the class of a plugin is in a module of its own


@functools.cache
def can_share() -> bool:
    """Return whether coverage.py calls what `_Sharing` overrides, and reports a small file as it does without."""
    parsed = Parsed()
    try:
        expected = _report(coverage.Coverage(data_file=None, config_file=False))
        found = [_report(_Sharing(parsed, data_file=None, config_file=False)) for _ in range(2)]
    except Exception:  # noqa: BLE001 - whatever fails in another coverage.py, its reports can do without
        return False
    return bool(parsed) and found == [expected, expected]


def _report(tried: coverage.Coverage) -> str:
    """Return two LCOV reports of the sample, one after the other."""
    data = tried.get_data()
    try:
        data.add_arcs({str(_SAMPLE): _SAMPLE_ARCS})
        with contextlib.redirect_stdout(io.StringIO()) as written:
            for _ in range(2):
                tried.lcov_report(morfs=[str(_SAMPLE)], outfile="-")
        return written.getvalue()
    finally:
        data.close(force=True)

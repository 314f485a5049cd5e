"""A manifest that says anything unexpected is refused as a whole; the rest of the cases are in collect's `spoiling`."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverage_hooks.errors import ManifestError
from coverage_hooks.volume.manifest import MANIFEST_LIMIT, Begun, Manifest, Pod, Unrecorded
from tests.unit.collect.building import named, record

WEIRD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return record(tmp_path_factory.mktemp("volume")).manifest


def parsed(content: bytes) -> Manifest | str:
    """Return the manifest, or the reason why it is none; any other error is a failure."""
    try:
        return Manifest.parse(content)
    except ManifestError as error:
        return str(error)


def test_what_is_written_is_read_back(sound: Manifest) -> None:
    assert Manifest.parse(sound.to_bytes()) == sound
    bare = dataclasses.replace(sound, journals=[], problems=["\x00\ud800"])
    assert Manifest.parse(bare.to_bytes()) == bare


def many(names: int, characters: int, letter: str) -> list[str]:
    return [f"{number}{letter * characters}" for number in range(names)]


@pytest.mark.parametrize(
    ("names", "characters", "letter"), [(10_501, 1, "m"), (10_501, 200, "m"), (50, 4096, "\U0001f600"), (3, 5000, "m")]
)
def test_what_is_written_is_never_more_than_is_read(sound: Manifest, names: int, characters: int, letter: str) -> None:
    long = many(names, characters, letter)
    begun = [Begun(path=path, lines=[1] * (number % 2)) for number, path in enumerate(long)]
    gap = Unrecorded(reason=long[0], since=sound.started_at, until="")
    written = dataclasses.replace(
        sound,
        imported_before_start=long,
        start_modules=long[:1],
        begun=begun,
        problems=long,
        unrecorded=[gap] * 60,
        pod=Pod(**dict.fromkeys(("name", "namespace", "uid", "node", "container"), letter * 4096)),
    )
    found = Manifest.parse(written.to_bytes())
    assert len(written.to_bytes()) <= MANIFEST_LIMIT
    *first, last = found.imported_before_start
    assert first == [name[:4096] for name in long[: len(first)]]
    assert last in (f"and {names - len(first)} more", long[-1][:4096])
    assert found.unrecorded, "a loss stays one"
    if len(found.begun) < len(begun):
        assert (
            found.problems[-1]
            == f"of {len(begun) - len(found.begun)} files that had begun before recording did, nothing is proven"
        )
        assert sum(bool(each.lines) for each in found.begun) >= min(len(found.begun), len(begun) // 2) - 1


def test_more_than_is_known_is_left_alone(sound: Manifest) -> None:
    document = json.loads(sound.to_bytes())
    document["later"] = document["process"]["later"] = {"x": [1]}
    assert Manifest.parse(json.dumps(document).encode()) == sound


@given(st.binary())
def test_no_bytes_are_more_than_a_refusal(content: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.parse(content)


@settings(max_examples=200)
@given(data=st.data())
def test_any_value_in_any_field_is_taken_or_refused_by_name(sound: Manifest, data: st.DataObject) -> None:
    document = json.loads(sound.to_bytes())
    inside = data.draw(st.sampled_from(["", "journals", "process"]))
    place = document[inside] if inside else document
    place = place[0] if isinstance(place, list) else place
    name = data.draw(st.sampled_from(sorted(place)))
    value = data.draw(WEIRD)
    place[name] = value
    manifest = parsed(json.dumps(document).encode())
    if isinstance(manifest, str):
        assert name in manifest or "is not JSON" in manifest
    else:
        found: object = getattr(manifest, inside) if inside else manifest
        assert getattr(found[0] if isinstance(found, list) else found, name) == value


@settings(max_examples=200)
@given(data=st.data())
def test_a_manifest_cut_short_or_changed_is_refused_or_a_manifest(sound: Manifest, data: st.DataObject) -> None:
    content = bytearray(sound.to_bytes())
    position = data.draw(st.integers(0, len(content) - 2))  # the last is a newline, and nothing without it is lost
    with pytest.raises(ManifestError):
        Manifest.parse(bytes(content[:position]))
    content[position] = data.draw(st.integers(0, 255))
    assert len(str(parsed(bytes(content)))) < 5000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"file": "journal-"}, "journal-<number>"),
        ({"file": "journal-0/../x"}, "journal-<number>"),
        ({"file": "data-3.coverage"}, "journal-<number>"),
        ({"size": 15}, "journal-0: size is 15, expected whole records"),
        ({"size": -16}, "expected 0 or more"),
        ({"sha256": "0" * 63}, "journal-0: sha256 is .* expected 64 hex digits"),
        ({"sha256": "G" * 64}, "expected 64 hex digits"),
    ],
)
def test_a_journal_is_named_by_its_number_its_records_and_its_hash(
    sound: Manifest, change: dict[str, object], reason: str
) -> None:
    document = json.loads(sound.to_bytes())
    document["journals"][0] |= change
    with pytest.raises(ManifestError, match=reason):
        Manifest.parse(json.dumps(document).encode())


def test_no_journal_is_named_twice(sound: Manifest) -> None:
    several = dataclasses.replace(sound, journals=[named(f"journal-{number}", b"") for number in (0, 7)])
    assert Manifest.parse(several.to_bytes()) == several
    twice = dataclasses.replace(sound, journals=[named("journal-0", content) for content in (b"", bytes(16))])
    with pytest.raises(ManifestError, match="expected each once"):
        Manifest.parse(twice.to_bytes())


@pytest.mark.parametrize("parent", ["../etc", "x", "/"])
def test_a_parent_is_a_recording(sound: Manifest, parent: str) -> None:
    child = dataclasses.replace(sound, process=dataclasses.replace(sound.process, parent=sound.recording))
    assert Manifest.parse(child.to_bytes()) == child
    stray = dataclasses.replace(sound, process=dataclasses.replace(sound.process, parent=parent))
    with pytest.raises(ManifestError, match=r"process\.parent"):
        Manifest.parse(stray.to_bytes())


def test_another_format_is_refused_by_its_number(sound: Manifest) -> None:
    document = json.loads(sound.to_bytes())
    with pytest.raises(ManifestError, match="format 1 is not format 2"):
        Manifest.parse(json.dumps(document | {"format": 1}).encode())


def test_a_volume_needs_no_package() -> None:
    """Both sides import it, and the pod has nothing but the standard library for sure."""
    assert not {"coverage", "click", "rich"} & set(_imported_by("coverage_hooks.volume.manifest"))


def _imported_by(module: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"], capture_output=True, check=True, text=True
    )
    return done.stdout.split()

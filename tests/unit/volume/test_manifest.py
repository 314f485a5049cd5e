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
from coverage_hooks.volume.manifest import Fingerprint, Manifest, parse_sources, sources_to_bytes
from tests.unit.collect.building import record

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
    bare = dataclasses.replace(sound, data=None, sources=None, problems=["\x00\ud800"])
    assert Manifest.parse(bare.to_bytes()) == bare


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
    inside = data.draw(st.sampled_from(["", "data", "sources", "process"]))
    place = document[inside] if inside else document
    name = data.draw(st.sampled_from(sorted(place)))
    value = data.draw(WEIRD)
    place[name] = value
    manifest = parsed(json.dumps(document).encode())
    if isinstance(manifest, str):
        assert name in manifest or "is not JSON" in manifest or "data and sources" in manifest
    else:
        assert getattr(getattr(manifest, inside) if inside else manifest, name) == value


@settings(max_examples=200)
@given(data=st.data())
def test_a_manifest_cut_short_or_changed_is_refused_or_a_manifest(sound: Manifest, data: st.DataObject) -> None:
    content = bytearray(sound.to_bytes())
    position = data.draw(st.integers(0, len(content) - 2))  # the last is a newline, and nothing without it is lost
    with pytest.raises(ManifestError):
        Manifest.parse(bytes(content[:position]))
    content[position] = data.draw(st.integers(0, 255))
    assert len(str(parsed(bytes(content)))) < 5000


class TestSources:
    SOUND = Fingerprint(sha256="0" * 64, git="1" * 40)

    def test_what_is_written_is_read_back(self) -> None:
        sources = {"/a.py": self.SOUND, "/\ud800": self.SOUND, "": self.SOUND}
        assert parse_sources(sources_to_bytes(sources)) == sources

    @given(st.binary())
    def test_no_bytes_are_more_than_a_refusal(self, content: bytes) -> None:
        with pytest.raises(ManifestError):
            parse_sources(content)

    @given(st.dictionaries(st.text(max_size=5), WEIRD, min_size=1, max_size=3))
    def test_any_value_is_refused(self, document: dict[str, object]) -> None:
        with pytest.raises(ManifestError):
            parse_sources(json.dumps(document).encode())

    @pytest.mark.parametrize("change", [{"sha256": "0" * 63}, {"sha256": "G" * 64}, {"git": ""}, {"git": 1}])
    def test_hashes_are_hashes(self, change: dict[str, object]) -> None:
        content = json.dumps({"/a.py": {**dataclasses.asdict(self.SOUND), **change}})
        with pytest.raises(ManifestError, match=r"/a\.py"):
            parse_sources(content.encode())


def test_a_volume_needs_no_package() -> None:
    """Both sides import it, and the pod has nothing but the standard library for sure."""
    assert not {"coverage", "click", "rich"} & set(_imported_by("coverage_hooks.volume.manifest"))


def _imported_by(module: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"], capture_output=True, check=True, text=True
    )
    return done.stdout.split()

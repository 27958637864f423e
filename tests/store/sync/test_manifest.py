"""The identity of a store and the manifest of a backup, as files that anything may have written."""

import json
from pathlib import Path

import pytest

from nowt.store.sync.bucket import Bucket
from nowt.store.sync.manifest import StoreIdentity, identity_of, read_manifest, write_identity

VALID = {"store": "a", "root": "/runs", "time": 1, "files": {}, "schema": 1}


def bucket_with(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket whose manifest is ``data``."""
    monkeypatch.setattr(Bucket, "get", lambda self, name: data)
    return Bucket("s3://lab/nowt", "lab", "nowt", None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[]", "it is []: it must be an object"),
        ("5", "it is 5: it must be an object"),
        ('{"a": 1}', "it has no id"),
        ('{"id": 5}', "id is 5: it must be text"),
        ('{"id": "a", "restored": null}', "restored is null: it must be text"),
    ],
)
def test_a_malformed_identity_is_reported_in_one_line(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "copy.json").write_text(text)
    with pytest.raises(ValueError) as caught:
        identity_of(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/copy.json is not the identity of a store ({fault}")
    assert message.endswith("restore it from a copy, or delete it and give nowt backup a new prefix")
    assert "\n" not in message and (tmp_path / "copy.json").read_text() == text


def test_an_identity_is_created_once_and_a_field_of_a_newer_version_does_no_harm(tmp_path: Path) -> None:
    created = identity_of(tmp_path)
    assert identity_of(tmp_path) == created
    write_identity(tmp_path, StoreIdentity("b", "a"))
    path = tmp_path / "copy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "good"}))
    assert identity_of(tmp_path) == StoreIdentity("b", "a")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"5", r"is not the manifest of a backup \(it is 5: it must be an object\): give another prefix"),
        (b"\xff", r"is not the manifest of a backup \('utf-8' codec"),
        (json.dumps({**VALID, "schema": "2"}).encode(), r'is not the manifest of a backup \(schema is "2"'),
        (json.dumps({**VALID, "files": []}).encode(), r"is not the manifest of a backup \(files is \[\]"),
        (json.dumps({**VALID, "files": {"a": 1}}).encode(), r"is not the manifest of a backup \(files is"),
        (json.dumps({"schema": 2, "stores": []}).encode(), "has backup schema 2, this version of nowt reads up to 1"),
        (json.dumps({**VALID, "files": {"../a": "b"}}).encode(), "lists '../a', which is not a file of a backup"),
    ],
)
def test_a_malformed_manifest_is_reported_in_one_line(data: bytes, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        read_manifest(bucket_with(data, monkeypatch))
    assert "\n" not in str(caught.value)


FILES = {"logs/0123456789ab.jsonl": "0" * 64}


def test_a_valid_manifest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_manifest(bucket_with(json.dumps({**VALID, "files": FILES}).encode(), monkeypatch))
    assert found is not None and (found.store, found.files) == ("a", FILES)

"""A certificate says what has changed since it was written; those of earlier versions stay readable."""

import json
from pathlib import Path
from typing import Any

import pytest

from nowt.store import certificates
from nowt.store.certificates import outdated_certificates, outdated_parts, read_certificate

MODULES = (certificates.CERTIFIER, "nowt.layers.linear", "nowt.rules.base", "nowt.rules.backprop")


def certificate(**changes: Any) -> dict[str, Any]:
    code = {name: certificates.module_digest(name) for name in MODULES}
    versions = {**certificates.certifying_versions(), "python": "3.11.0"}
    return {"rule": "bp", "fields": {}, "code": code, "versions": versions, **changes}


def stored(store: Path, name: str, data: dict[str, Any]) -> None:
    (store / "certificates").mkdir(exist_ok=True)
    (store / "certificates" / name).write_text(json.dumps(data))


def test_a_certificate_of_today_is_not_outdated() -> None:
    assert outdated_parts(certificate()) == []


def test_the_build_of_torch_does_not_matter() -> None:
    versions = certificate()["versions"]
    assert outdated_parts(certificate(versions={**versions, "torch": versions["torch"] + "+cpu"})) == []


def test_versions_that_have_changed_are_named() -> None:
    now = certificates.certifying_versions()
    assert outdated_parts(certificate(versions={**now, "torch": "1.0.0"})) == [f"torch was 1.0.0, now {now['torch']}"]


@pytest.mark.parametrize("edited", ["nowt.rules.backprop", "nowt.layers.linear", certificates.CERTIFIER])
def test_an_edited_module_is_named(edited: str) -> None:
    code = {**certificate()["code"], edited: "another"}
    assert outdated_parts(certificate(code=code)) == [f"the code of {edited} has changed"]


def test_a_rule_that_no_longer_exists_counts_as_edited() -> None:
    code = {**certificate()["code"], "nowt.rules.former": "a"}
    assert outdated_parts(certificate(code=code)) == ["the code of nowt.rules.former has changed"]


def test_of_many_edited_modules_the_first_are_named() -> None:
    code = {**certificate()["code"], **{f"nowt.rules.former{number}": "a" for number in range(5)}}
    named = "nowt.rules.former0, nowt.rules.former1, nowt.rules.former2 and 2 other modules"
    assert outdated_parts(certificate(code=code)) == [f"the code of {named} has changed"]


def test_a_certificate_that_does_not_name_the_code_of_layers_is_outdated_and_readable(tmp_path: Path) -> None:
    code = {"nowt.rules.backprop": certificates.module_digest("nowt.rules.backprop")}
    stored(tmp_path, "certificate-bp-1.json", certificate(code=code, verdict="no weight transport"))
    found = read_certificate(tmp_path, "certificate-bp-1.json")
    assert found["verdict"] == "no weight transport"
    assert outdated_parts(found) == ["an earlier version of nowt wrote it"]


@pytest.mark.parametrize(
    "name", ["nowt.rules.no_such", "nowt.cli.main", "os", "nowt.rules/../cli/main", "nowt.rules..base"]
)
def test_only_modules_that_a_certificate_depends_on_are_read(name: str) -> None:
    assert certificates.module_digest(name) == ""


def test_a_certificate_of_an_earlier_version_is_outdated_and_readable(tmp_path: Path) -> None:
    earlier = {"rule": "bp", "fields": {}, "verdict": "no weight transport", "versions": {"torch": "2.8.0"}}
    stored(tmp_path, "certificate-bp.json", earlier)
    assert read_certificate(tmp_path, "certificate-bp.json")["verdict"] == "no weight transport"
    assert outdated_parts(earlier) == ["an earlier version of nowt wrote it"]


@pytest.mark.parametrize("name", ["", "certificate-bp.json"])
def test_a_missing_certificate_is_empty(name: str, tmp_path: Path) -> None:
    assert read_certificate(tmp_path, name) == {}


def test_outdated_certificates_are_those_of_the_same_rule_and_settings(tmp_path: Path) -> None:
    stored(tmp_path, "certificate-bp-1.json", certificate(versions={"nowt": "0.0.1", "torch": "1.0.0"}))
    stored(tmp_path, "certificate-bp-2.json", certificate(fields={"scale": 2.0}))
    stored(tmp_path, "certificate-bp-3.json", certificate())
    [(name, changes)] = outdated_certificates(tmp_path, "bp", {}, "certificate-bp-3.json")
    assert name == "certificate-bp-1.json"
    assert changes.startswith("nowt was 0.0.1, now ") and "torch was 1.0.0" in changes

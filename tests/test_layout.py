"""The repository's layout: what keeps it importable and readable."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SOURCES = ("platform", "analysis", "searchspaces", "benchmarks", "docs")


def test_the_folder_platform_does_not_shadow_the_standard_librarys_module() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    code = "import platform; print(platform.system())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() in ("Linux", "Darwin", "Windows")


@pytest.mark.parametrize("folder", SOURCES)
def test_no_file_has_300_lines(folder: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: n for path, n in lengths.items() if n >= 300} == {}

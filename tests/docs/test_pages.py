"""README.md, CONTRIBUTING.md and docs/: links lead somewhere, and commands are quoted in full."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def anchors(page: Path) -> Iterator[str]:
    """The anchors that GitHub gives to the headings of a page."""
    seen = Counter[str]()
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1


@every_page
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for file, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", text):
        target = page.parent / file if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


@every_page
def test_no_command_is_named_by_its_position_in_a_list(page: Path) -> None:
    """A later command in the list would make the position wrong."""
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert not re.findall(r"\b(?:first|second|third|fourth|fifth|last) command\b", text)


@every_page
def test_every_ray_up_ignores_cached_ids(page: Path) -> None:
    for block in CODE.findall(page.read_text(encoding="utf-8")):
        for command in re.findall(r"^(?:\$ )?ray up .*$", block, re.MULTILINE):
            assert "--no-config-cache" in command

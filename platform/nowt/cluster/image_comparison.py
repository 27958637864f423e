"""Compares the images of the nodes of a cluster, as ``node_images.describe_images`` reports them."""

from collections.abc import Iterator, Mapping
from typing import Any

from nowt.cluster.findings import Finding, findings
from nowt.core.formatting import counted

Reports = Mapping[str, Mapping[str, Any]]  # what each node reports, by its address

Images = Mapping[str, Mapping[str, Any] | None]  # the same; None if a node did not report in time


def compare_images(nodes: Images, data: str, how_to_copy: str, timeout: float) -> list[Finding]:
    """Return one finding per difference, or one that says how many names and contents are the same."""
    reports = {address: report for address, report in nodes.items() if report and report["files"]}
    read = _read_by_all(reports)
    total = max((report["files"] for report in reports.values()), default=0)
    compared = f"names and sizes of {counted(total, 'file')}, contents of {len(read):,} of them"
    same = f"{data} is the same on every node: {compared}"
    problems = [*_absent(nodes, data, how_to_copy, timeout), *_differences(reports, read, data, how_to_copy)]
    return findings("images", problems, same)


def _absent(nodes: Images, data: str, how_to_copy: str, timeout: float) -> Iterator[str]:
    for address, report in nodes.items():
        if report is None:
            yield f"{address} did not list {data} within {timeout:g} s: it is not compared with the other nodes"
        elif not report["files"]:
            yield f"{address} has no {data}: {how_to_copy}"


def _read_by_all(reports: Reports) -> list[str]:
    """Return the names of the files whose content every node has read."""
    names = [set(report["contents"]) for report in reports.values()]
    return sorted(set.intersection(*names)) if names else []


def _differences(reports: Reports, read: list[str], data: str, how_to_copy: str) -> Iterator[str]:
    folders = sorted({folder for report in reports.values() for folder in report["folders"]})
    yield from _difference(reports, "folders", folders, f"{data}/", how_to_copy)
    yield from _difference(reports, "contents", read, f"the content of {data}/", how_to_copy)


def _difference(reports: Reports, what: str, names: list[str], place: str, how_to_copy: str) -> Iterator[str]:
    """Yield a line that names the first of these folders or files that is not the same on all nodes."""
    differ = [name for name in names if len({report[what].get(name) for report in reports.values()}) > 1]
    if not differ:
        return
    found: dict[str, list[str]] = {}
    for address, report in reports.items():
        found.setdefault(report[what].get(differ[0]) or "missing", []).append(address)
    each = "; ".join(f"{value} on {', '.join(where)}" for value, where in sorted(found.items()))
    others = f", and {len(differ) - 1:,} more differ" if len(differ) > 1 else ""
    yield f"{place}{differ[0]} is not the same on all nodes ({each}){others}: where it is wrong, {how_to_copy}"

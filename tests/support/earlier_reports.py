"""A folder in which an earlier report, of another study, left files."""

import json
from pathlib import Path


def leave(out: Path, *names: str) -> None:
    """Write these files, and the manifest that lists them."""
    out.mkdir(parents=True)
    for name in names:
        (out / name).write_text("of another study")
    manifest = {"schema": 1, "study": "other-00000000", "runs": {}, "nowt": {}, "command": "nowt report"}
    (out / "manifest.json").write_text(json.dumps({**manifest, "files": dict.fromkeys(names, "")}))

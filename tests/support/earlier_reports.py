"""Write the files of an earlier report of another study."""

import json
from pathlib import Path


def write_earlier_report(out: Path, *names: str) -> None:
    """Write files ``names`` into ``out``, and a manifest that lists them."""
    out.mkdir(parents=True)
    for name in names:
        (out / name).write_text("of another study")
    manifest = {"schema": 1, "study": "other-00000000", "runs": {}, "nowt": {}, "command": "nowt report"}
    (out / "manifest.json").write_text(json.dumps({**manifest, "files": dict.fromkeys(names, "")}))

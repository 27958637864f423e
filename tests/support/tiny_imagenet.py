"""A miniature Tiny ImageNet as it is distributed: unpacked, and as a zip file."""

import shutil
import zipfile
from pathlib import Path

from tests.support.synthetic_ilsvrc import tree, wnids
from tests.support.synthetic_images import draw


def tiny_imagenet(path: Path) -> Path:
    """Write an unpacked copy: images below ``images``, and the classes of val in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = tree(path)
    rows = []
    for folder in sorted((root / "train").iterdir()):
        images = folder / "images"
        images.mkdir()
        for path in list(folder.glob("*.JPEG")):
            path.rename(images / path.name)
        (folder / f"{folder.name}_boxes.txt").write_text("n01440764_0.JPEG\t0\t0\t62\t62\n")
    (root / "val/images").mkdir()
    for path in sorted((root / "val").glob("n*/*.JPEG")):
        rows.append(f"{path.name}\t{path.parent.name}\t0\t32\t44\t62\n")
        path.rename(root / "val/images" / path.name)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    (root / "val/val_annotations.txt").write_text("".join(rows))
    (root / "wnids.txt").write_text("\n".join(wnids(3)) + "\n")
    draw(root / "test/images/test_0.JPEG")
    return root


def packed(root: Path) -> Path:
    """Replace an unpacked copy by its zip, with what a Mac adds."""
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root.parent))
        archive.writestr("__MACOSX/tiny-imagenet-200/train/n01440764/images/._n01440764_0.JPEG", b"metadata")
    shutil.rmtree(root)
    return path

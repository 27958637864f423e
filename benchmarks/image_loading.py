"""What it takes to make a normalized training batch of JPEG files on one core, beside what users would pick instead.

Each way takes a random resized crop of every file, flips half of them, and normalizes: 224 px, float32. The ways are
interleaved in rounds, whose ratios count. The pixel difference is the mean absolute
one to Pillow's crop in the same box, of 255 levels.

    OMP_NUM_THREADS=1 python benchmarks/image_loading.py FOLDER [--rounds 21] [--files 200] [--size 224] [--side 256]

FOLDER contains JPEG files, in subfolders as well.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import io as vision_io
from torchvision import transforms as v1
from torchvision.transforms import v2

from nowt.data.datasets import IMAGENET
from nowt.data.decode import decode
from nowt.data.jpeg import decode_crop
from nowt.data.squares import Squares
from nowt.data.transforms import RESIZED_CROP_DRAWS, Box, center_crop, random_resized_crop

Way = Callable[[int], Tensor]  # from the number of a file to its normalized crop


class Files:
    """The files, the numbers drawn for their crops, and each way to load them."""

    def __init__(self, paths: list[Path], size: int, side: int, folder: Path) -> None:
        self.data, self.size = [path.read_bytes() for path in paths], size
        self.draws = np.random.default_rng(0).random((len(paths), RESIZED_CROP_DRAWS))
        squares = [decode(data, side, center_crop) for data in self.data]
        (folder / "squares").write_bytes(b"".join(square.tobytes() for square in squares))
        self.squares = Squares(folder / "squares", len(paths), side)
        normalize = {"mean": list(IMAGENET.mean), "std": list(IMAGENET.std)}
        crop, flip = v1.RandomResizedCrop(size), v1.RandomHorizontalFlip()
        self.reference = v1.Compose([crop, flip, v1.ToTensor(), v1.Normalize(**normalize)])
        self.uint8 = v2.Compose(
            [
                v2.RandomResizedCrop(size, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(**normalize),
            ]
        )

    def box(self, number: int) -> Callable[[int, int], Box]:
        """Return nowt's choice of the crop of a file, by width and height."""
        return lambda width, height: random_resized_crop(width, height, self.draws[number])[0]

    def ways(self) -> dict[str, Way]:
        """Return the ways by name, the reference first."""
        found: dict[str, Way] = {
            "Pillow, torchvision v1 (reference)": lambda i: self.reference(self.opened(i)),
            "Pillow, torchvision v2 on uint8": lambda i: self.uint8(v2.functional.pil_to_tensor(self.opened(i))),
            "torchvision.io, v2 on uint8": lambda i: self.uint8(self.decoded(i)),
            "simplejpeg, v2 on uint8": lambda i: self.uint8(self.whole(i)),
            "nowt, data.augment resized_crop": lambda i: self.normalized(self.cropped(i)),
            "nowt, data.decoded_side": lambda i: self.normalized(self.from_square(i)),
            "limit: Pillow decodes the whole file": lambda i: torch.from_numpy(np.array(self.opened(i))),
            "limit: simplejpeg decodes the whole file": self.whole,
        }
        if find_spec("pyvips"):
            found["pyvips, v2 on uint8"] = lambda i: self.uint8(self.by_vips(i))
        return found

    def opened(self, number: int) -> Image.Image:
        """Return Pillow's image."""
        return Image.open(io.BytesIO(self.data[number])).convert("RGB")

    def decoded(self, number: int) -> Tensor:
        """Return torchvision's image."""
        data = torch.frombuffer(bytearray(self.data[number]), dtype=torch.uint8)
        found: Tensor = vision_io.decode_jpeg(data, vision_io.ImageReadMode.RGB)
        return found

    def whole(self, number: int) -> Tensor:
        """Return simplejpeg's image."""
        return torch.from_numpy(simplejpeg.decode_jpeg(self.data[number], "RGB")).permute(2, 0, 1)

    def by_vips(self, number: int) -> Tensor:
        """Return the image of pyvips."""
        image = import_module("pyvips").Image.new_from_buffer(self.data[number], "", access="sequential")
        return torch.from_numpy(np.asarray(image.colourspace("srgb")[:3]).copy()).permute(2, 0, 1)

    def cropped(self, number: int) -> NDArray[np.uint8]:
        """Return nowt's crop of a file."""
        found = decode_crop(self.data[number], self.size, self.box(number))
        return decode(self.data[number], self.size, self.box(number)) if found is None else found

    def from_square(self, number: int) -> NDArray[np.uint8]:
        """Return nowt's crop of a square that was decoded before."""
        return self.squares.crop(number, self.size, self.box(number))

    def normalized(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return pixels as a batch of one image receives them, every second one flipped."""
        flipped = pixels[:, :, ::-1].copy() if pixels[0, 0, 0] % 2 else pixels
        return IMAGENET(torch.from_numpy(flipped)[None])[0]

    def difference(self) -> float:
        """Return the mean absolute difference between nowt's crops and Pillow's."""
        found = []
        for i, data in enumerate(self.data):
            pillow = decode(data, self.size, self.box(i)).astype(np.float64)
            found.append(float(np.abs(self.cropped(i) - pillow).mean()))
        return sum(found) / len(found)


def measure(ways: dict[str, Way], files: int, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of processor time per image, by way and round."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):  # the first one is not counted
        for name, way in ways.items():
            start = time.process_time()
            for i in range(files):
                way(i)
            if number:
                found[name].append(1000 * (time.process_time() - start) / files)
    return found


def interval_of_median(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, from resampled rounds."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    return float(low), float(high)


def table(times: dict[str, list[float]]) -> str:
    """Return the times as Markdown, with ratios to the reference of the same round, and
    their 95 % intervals."""
    reference = next(iter(times.values()))
    lines = ["| way | ms per image | images/s | faster than the reference |", "| --- | --- | --- | --- |"]
    for name, found in times.items():
        ratios = [one / other for one, other in zip(reference, found, strict=True)]
        low, high = interval_of_median(ratios)
        ratio = f"{median(ratios):.2f} × ({low:.2f} to {high:.2f})"
        lines.append(f"| {name} | {median(found):.2f} | {1000 / median(found):.0f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in {"rounds": 21, "files": 200, "size": 224, "side": 256}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[: args.files]
    with tempfile.TemporaryDirectory() as folder:
        files = Files(paths, args.size, args.side, Path(folder))
        print(table(measure(files.ways(), len(paths), args.rounds)))
        print(f"\n{len(paths)} files; mean difference to Pillow's pixels: {files.difference():.3f} of 255 levels")


if __name__ == "__main__":
    main()

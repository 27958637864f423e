"""How do five rules compare on ImageNet with ResNet-18?

Paper     Akrout et al. (2019), "Deep learning without weight transport", figure on ImageNet. The recipe and its
          sources: recipes.resnet18_imagenet. All steps from the downloaded images to the figures: docs/imagenet.md.
Rules     recipes.IMAGENET_RULES. Five seeds; the paper shows one run of each rule.
Expected  Top-1 test error, %, mean and standard error of the last five points of the published curves, read off the
          authors' poster (each point is 2,048 images, so differences below about 1 are not significant):
          bp 30.3 ± 0.3, kp 29.2 ± 0.4, wm 30.4 ± 0.6, ss 39.2 ± 0.4, fa 97.4 ± 0.2; between epochs 36 and 60, before
          the second milestone: bp 36.5, kp 36.4, wm 36.5, ss 48.1, fa 98.8. Another implementation (BioTorch) has bp
          30.4, ss 35.0 to 37.2, and fa 85.3: for fa, the sources disagree.
Cost      Not measured. Estimate: 1.21e18 floating point operations per run (111 million training images of 10.6 G, 9
          million evaluated images of 3.6 G), 3 % more for wm. At 15 % of an A100's 312 TFLOP/s in bfloat16, a run
          takes 7.2 hours, and the study 180 GPU-hours. At 4,300 images per second, decoding needs 10 cores (2.3 ms
          per image, measured on a server core of the 2020s).
Command   nowt ablate rules_on_imagenet --data-dir DIR --slots 1 --threads 4 --loaders 10
Quick     Add --quick on a GPU; add --quick --data.size 64 on a laptop.
"""

from nowt import Cell, Study
from nowt.config.recipes import IMAGENET_RULES, resnet18_imagenet


def study() -> Study:
    """Compare five rules, five seeds."""
    cells = tuple(Cell(rule.name, resnet18_imagenet(rule)) for rule in IMAGENET_RULES)
    question = "How do five rules compare on ImageNet with ResNet-18?"
    return Study("rules_on_imagenet", question, cells, seeds=(0, 1, 2, 3, 4))

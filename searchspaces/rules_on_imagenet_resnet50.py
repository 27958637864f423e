"""How do five rules compare on ImageNet with ResNet-50?

Paper     Akrout et al. (2019), as rules_on_imagenet, with the deeper network. Kunin et al. (2020): the settings of the
          weight mirror do not transfer to it.
Rules     recipes.IMAGENET_RULES, the same as for ResNet-18. Five seeds.
Expected  Top-1 test error, %, mean and standard error of the last five points of the published curves, read off the
          authors' poster (each point is 2,048 images): bp 23.2 ± 0.1, kp 23.6 ± 0.4, wm 23.6 ± 0.4, ss 33.8 ± 0.3,
          fa 99.0 ± 0.1; between epochs 36 and 60: bp 30.2, kp 29.7, wm 29.9, ss 41.8, fa 99.4. Matrix
          angles at the end: kp at most 0.26°, wm 1.1 to 5.5° in convolutions, 9.2° in the last layer, ss 37 to 70°.
Cost      Not measured. Estimate: 2.77e18 floating point operations per run (111 million training images of 24.3 G, 9
          million evaluated images of 8.2 G), 3 % more for wm. At 15 % of an A100's 312 TFLOP/s in bfloat16, a run
          takes 16.4 hours, and the study 411 GPU-hours. At 1,900 images per second, decoding needs 5 cores.
Command   nowt ablate rules_on_imagenet_resnet50 --data-dir DIR --slots 1 --threads 4 --loaders 5
Quick     Add --quick on a GPU; add --quick --data.size 64 on a laptop.
"""

from nowt import Cell, Study
from nowt.config.recipes import IMAGENET_RULES, resnet50_imagenet


def study() -> Study:
    """Compare five rules, five seeds."""
    cells = tuple(Cell(rule.name, resnet50_imagenet(rule)) for rule in IMAGENET_RULES)
    question = "How do five rules compare on ImageNet with ResNet-50?"
    return Study("rules_on_imagenet_resnet50", question, cells, seeds=(0, 1, 2, 3, 4))

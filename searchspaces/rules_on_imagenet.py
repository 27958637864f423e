"""How do five rules compare on ImageNet with ResNet-18?

Paper     Akrout et al. (2019), "Deep learning without weight transport", figure on ImageNet; recipe and what is known
          of it: recipes.resnet18_imagenet. docs/imagenet.md leads from the downloaded pictures to the figures.
Rules     with the fields of recipes.IMAGENET_RULES. Five seeds; the paper shows one run of each rule.
Expected  top-1 test error, %, mean and standard error of the last five points of the published curves, read off the
          authors' poster (each point is 2,048 pictures, so differences under about 1 say nothing):
          bp 30.3 ± 0.3, kp 29.2 ± 0.4, wm 30.4 ± 0.6, ss 39.2 ± 0.4, fa 97.4 ± 0.2; between epochs 36 and 60, before
          the second fall of η: bp 36.5, kp 36.4, wm 36.5, ss 48.1, fa 98.8. Another implementation (BioTorch) has bp
          30.4, ss 35.0 to 37.2, and fa 85.3: of fa the sources disagree.
Cost      not measured: 1.21e18 floating point operations a run (111 million pictures of 10.6 G, 9 million scored of
          3.6 G), wm 3 % more. At 15 % of an A100's 312 TFLOP/s in bfloat16 that is 7.2 hours a run, 180 GPU-hours in
          all. 4,300 pictures a second then need 10 cores that decode (2.3 ms each on a 2020s server core, measured).
Command   nowt ablate rules_on_imagenet --data-dir DIR --slots 1 --threads 4 --loaders 10
Quick     the same with --quick, on a GPU; on a laptop with --quick --data.size 64, too.
"""

from nowt.config.recipes import IMAGENET_RULES, resnet18_imagenet
from nowt.studies.study import Cell, Study


def study() -> Study:
    """Five rules, five seeds."""
    cells = tuple(Cell(rule.name, resnet18_imagenet(rule)) for rule in IMAGENET_RULES)
    question = "How do five rules compare on ImageNet with ResNet-18?"
    return Study("rules_on_imagenet", question, cells, seeds=(0, 1, 2, 3, 4))

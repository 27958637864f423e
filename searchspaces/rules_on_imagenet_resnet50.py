"""How do five rules compare on ImageNet with ResNet-50?

Paper     Akrout et al. (2019), as rules_on_imagenet, with the deeper net; Kunin et al. (2020) say that the weight
          mirror's tuning does not carry over to it.
Rules     with the fields of recipes.IMAGENET_RULES, the same as for ResNet-18. Five seeds.
Expected  top-1 test error, %, mean and standard error of the last five points of the published curves, read off the
          authors' poster (each point is 2,048 pictures): bp 23.2 ± 0.1, kp 23.6 ± 0.4, wm 23.6 ± 0.4, ss 33.8 ± 0.3,
          fa 99.0 ± 0.1; between epochs 36 and 60: bp 30.2, kp 29.7, wm 29.9, ss 41.8, fa 99.4. Matrix
          angles at the end: kp at most 0.26°, wm 1.1 to 5.5° in convolutions, 9.2° in the last layer, ss 37 to 70°.
Cost      not measured: 2.77e18 floating point operations a run (111 million pictures of 24.3 G, 9 million scored of
          8.2 G), wm 3 % more. At 15 % of an A100's 312 TFLOP/s in bfloat16 that is 16.4 hours a run, 411 GPU-hours in
          all. 1,900 pictures a second then need 5 cores that decode.
Command   nowt ablate rules_on_imagenet_resnet50 --data-dir DIR --slots 1 --threads 4 --loaders 5
Quick     the same with --quick, on a GPU; on a laptop with --quick --data.size 64, too.
"""

from nowt.config.recipes import IMAGENET_RULES, resnet50_imagenet
from nowt.studies.study import Cell, Study


def study() -> Study:
    """Five rules, five seeds."""
    cells = tuple(Cell(rule.name, resnet50_imagenet(rule)) for rule in IMAGENET_RULES)
    question = "How do five rules compare on ImageNet with ResNet-50?"
    return Study("rules_on_imagenet_resnet50", question, cells, seeds=(0, 1, 2, 3, 4))

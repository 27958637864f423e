"""How much alignment does learning need?

Paper     None. Akrout et al. (2019) and Kunin et al. (2020) compare rules whose angles differ, along with much else.
          Here, one rule (wm) is held at five angles by its mirror, and everything else is the same.
Method    A residual network with ten layers on CIFAR-10, 10,000 training images, 8 epochs. Each cell is trained with
          four values of η. The best one by validation error is trained with five new seeds, which decide W, B, the
          order and the choice of images. Test images are scored once, after the last epoch.
Expected  Committed before the first run. The gap to backprop grows with the measured δ angle. It is below one point at
          4° and 8°, below two at 16°, three to six at 32°, and more than eight at 64°. fa has the largest gap.
Cost      7 cells x (4 trials + 5 picks) of 8 epochs, about 3 hours of one core.
Command   nowt search how_much_alignment --data-dir DIR
"""

from dataclasses import replace

from nowt import (
    Backprop,
    Budget,
    Choice,
    Confirm,
    EarlyStopping,
    FeedbackAlignment,
    ModelConfig,
    Rule,
    RunConfig,
    SearchCell,
    SearchSpace,
    WeightMirror,
)
from nowt.config.recipes import cifar10_resnet20

ANGLES = (4.0, 8.0, 16.0, 32.0, 64.0)  # degrees between B and W, root mean square over the layers

# A factor of two apart, around the 0.05 to 0.1 that suit backprop here. At the largest, W forgets 0.2 % of itself per
# step, and a mirror can still keep B within 4°.
ETA = Choice("optim.lr", (0.025, 0.05, 0.1, 0.2))


def config(rule: Rule) -> RunConfig:
    """Return the base config: the recipe with a smaller network, 10,000 images, batches of 32 and 8 epochs."""
    base = cifar10_resnet20(rule)
    return replace(
        base,
        model=ModelConfig("tiny_resnet"),
        data=replace(base.data, train_limit=10_000, split="by_seed"),
        optim=replace(base.optim, warmup=0.5),
        epochs=8,
        batch=32,
        test=False,
    )


def space() -> SearchSpace:
    """Search η for seven cells, and train the best with five seeds."""
    rules: dict[str, Rule] = {"bp": Backprop(), "fa": FeedbackAlignment()}
    rules |= {f"wm {angle:g}°": WeightMirror(target_angle=angle) for angle in ANGLES}
    return SearchSpace(
        name="how_much_alignment",
        question="How much alignment does learning need?",
        cells=tuple(SearchCell(name, config(rule), (ETA,)) for name, rule in rules.items()),
        budget=Budget(4),
        sampler="grid",
        stopping=EarlyStopping("none"),
        confirm=Confirm(1, pick_seeds=5, test="last"),
    )

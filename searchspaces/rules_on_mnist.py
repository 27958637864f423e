"""How do five rules compare on the dense network of Akrout et al.'s published code?

Paper     Akrout et al. (2019), their NumPy code: 784-500-10 on MNIST, sigmoid activations, sigmoid cross-entropy summed
          over classes, batches of 128, no momentum, no decay, a constant learning rate.
Deviates  20 epochs instead of 400; one learning rate, 0.2, for all rules (theirs: 0.3 for kp, 0.05 for wm); a new order
          of images in each epoch; the gradient of the biases is divided by the batch size once, not twice; 5,000 of
          the 60,000 training images are used for validation; nowt's mirror mode (theirs: uniform noise, one mirror
          batch per training batch, no decay of B, sums over a batch, sigmoid and bias not removed).
Expected  All five near 2 % error: with one hidden layer, even fa learns. kp has no decay here, so W − B is constant.
Cost      15 runs of 20 epochs, about 15 minutes on 2 cores.
Command   nowt ablate rules_on_mnist --data-dir DIR        (DIR/MNIST/raw/train-images-idx3-ubyte.gz, ...)
"""

from nowt import Cell, Study
from nowt.config.recipes import mnist_mlp
from searchspaces.five_rules import five_rules


def study() -> Study:
    """Compare five rules, three seeds."""
    cells = tuple(Cell(rule.name, mnist_mlp(rule)) for rule in five_rules())
    return Study("rules_on_mnist", "How do five rules compare on a dense network on MNIST?", cells, seeds=(0, 1, 2))

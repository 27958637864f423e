"""How do five rules compare on the dense net of Akrout et al.'s own code?

Paper     Akrout et al. (2019), their public NumPy code: 784-500-10 on MNIST, sigmoids everywhere, sigmoid cross-entropy
          summed over classes, batches of 128, no momentum, no decay, a constant rate.
Deviates  20 epochs, not 400; one rate, 0.2, for all rules (theirs: 0.3 for kp, 0.05 for wm); pictures in a new order
          each epoch; the biases' gradient not divided by the batch twice; 5,000 of the 60,000
          pictures held out for validation; nowt's own mirror mode (theirs: uniform noise, one mirror batch a training
          batch, no decay of B, sums over a batch, the sigmoid and its bias not taken out).
Expected  all five near 2 % error: with one hidden layer even fa learns. kp has no decay here, so W − B stays as it is.
Cost      15 runs of 20 epochs, about 15 minutes on 2 cores.
Command   nowt ablate rules_on_mnist --data-dir DIR        (DIR/MNIST/raw/train-images-idx3-ubyte.gz, ...)
"""

from nowt.config.recipes import mnist_mlp
from nowt.studies.study import Cell, Study
from searchspaces.five import five_rules


def study() -> Study:
    """Five rules, three seeds."""
    cells = tuple(Cell(rule.name, mnist_mlp(rule)) for rule in five_rules())
    return Study("rules_on_mnist", "How do five rules compare on a dense net on MNIST?", cells, seeds=(0, 1, 2))

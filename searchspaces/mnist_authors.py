"""What do the authors' own settings give on MNIST?

Paper     Akrout et al. (2019), their NumPy code: 784-500-10 with sigmoids on MNIST, with its quirks.
Deviates  As the recipe mnist_mlp_authors says: other random numbers, float32, 100 epochs instead of 400, δ angles of
          128 training images instead of one.
Expected  wm: the angle of the input layer falls from 90° to about 85.6° before learning and 83.1° after one epoch, as
          the mean of the sigmoid's noise predicts. kp has no decay, so W − B is constant and its angle falls only as
          |W| grows.
Cost      4 runs of 100 epochs, about 90 minutes on one core; one seed, so no interval and no test.
Command   nowt ablate mnist_authors --data-dir DIR        (DIR/MNIST/raw/train-images-idx3-ubyte.gz, ...)
"""

from nowt import Cell, Study
from nowt.config.published_recipes import mnist_mlp_authors


def study() -> Study:
    """Train the four rules of the authors' code, each with its own learning rate."""
    cells = tuple(Cell(rule, mnist_mlp_authors(rule)) for rule in ("kp", "wm", "bp", "fa"))
    return Study("mnist_authors", "What do the authors' own settings give on MNIST?", cells, seeds=(0,))

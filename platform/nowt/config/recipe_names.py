"""The names of the recipes, for checks on the command line.

They are listed here, and compared with the recipes by a test, because importing the recipes imports torch, which takes
seconds.
"""

RECIPE_NAMES = (
    "digits",
    "mnist_mlp",
    "mnist_mlp_authors",
    "folder_resnet18",
    "cifar10_resnet20",
    "resnet18_imagenet",
    "resnet50_imagenet",
)

"""``nowt data prepare imagenet SRC DST``: an ILSVRC copy, laid out for training, with every picture looked at once.

SRC is never written to. Each class is one piece of work, whose record in ``DST/.prepare`` is written when it is done:
stopped at any moment and started again, the command goes on with the classes that have none.
"""

from nowt.data.imagenet.prepare import Asked, prepare

__all__ = ["Asked", "prepare"]

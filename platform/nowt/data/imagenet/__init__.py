"""``nowt data prepare NAME SRC DST``: checks a copy of ILSVRC2012 or Tiny ImageNet and arranges it for training.

Every image is verified once, and SRC is never modified. ``source`` and ``tiny_imagenet`` find the images of each class,
``class_folder`` verifies and places the images of one class and records the result in ``DST/.prepare``, ``prepare``
runs all classes in threads, and ``checks`` compares the result with the published data set. An interrupted command can
be run again: it continues with the classes that have no record.
"""

from nowt.data.imagenet.prepare import PrepareOptions, prepare

__all__ = ["PrepareOptions", "prepare"]

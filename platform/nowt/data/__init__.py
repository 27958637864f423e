"""Data sets, their splits and batches.

The path of one batch:

1. ``datasets`` opens a data set through its reader (``builtin``, ``mnist``, ``cifar10``, ``image_folder``) and splits
   it (``subsets``).
2. ``sampler`` chooses the images of the batch.
3. ``splits`` takes their pixels from memory or from the ``cache``; ``stream_split`` reads their files (``decode``).
4. ``transforms`` augments them, with random numbers from ``counter_rng``, and normalizes them.
"""

"""Probes: metrics that are computed on the kept checkpoints of a study.

A metric is a plain function from a network and a batch to numbers. It receives the inputs that it names among its
arguments (see ``registry.INPUTS``), and returns numbers by name: of a layer, or ``all`` for the whole network. A custom
metric is a file with a function ``measure`` (``--metric ./mine.py``), ``FILE.py:FUNCTION``, ``module:FUNCTION``, or an
entry point of the group ``nowt.probes``.
"""

"""Measures on kept checkpoints: functions from a network and a batch to numbers, one file each.

A measure is a plain function. It is given what it names among its arguments (see ``measure.OFFERED``), and returns
numbers by name: a layer's, or ``all`` for the whole network. One of your own is a file with a function ``measure``
(``--metric ./mine.py``), ``FILE.py:FUNCTION``, ``module:FUNCTION``, or an entry point of the group ``nowt.probes``.
"""

"""The columns of a store's frames, and their types.

Errors are shares from 0 to 1, angles degrees, costs sums since the run's start. What was not measured or is not
defined is NaN.
"""

RUNS = {  # one row a run
    "run": "str",  # run key
    "rule": "str",
    "model": "str",
    "data": "str",
    "seed": "int64",
    "state": "str",  # running, finished, diverged, stopped, failed
    "reason": "str",  # why it ended so; empty where it finished
    "epochs": "int64",  # asked for
    "last_epoch": "int64",  # logged; -1 before the first
    "diverged_epoch": "Int64",  # the first epoch without a finite loss; empty for a run that did not diverge
    "classes": "Int64",
    "attempts": "int64",
    "started": "datetime64[ms, UTC]",
    "heard": "datetime64[ms, UTC]",  # the last line of its log
    "fingerprint": "str",  # of the data
    "commit": "str",  # git's, of the code; empty where it is not known
}

SCORES = {
    "train_loss": "float64",
    "train_error": "float64",
    "val_loss": "float64",
    "val_error": "float64",
    "test_loss": "float64",
    "test_error": "float64",
}

EPOCHS = {  # one row an epoch of a run; epoch 0 is the network before learning
    "run": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "epoch": "int64",
    "step": "int64",  # optimiser steps
    "lr": "float64",  # learning rate of the last step
    "presentations": "int64",  # training pictures shown to the network
    "mirror_presentations": "float64",  # mirror samples, in pictures
    "flops": "float64",  # floating point operations of training
    "seconds": "float64",  # in training steps, mirror mode included
    "probe_seconds": "float64",  # in the alignment probe
    **SCORES,
    "logged": "datetime64[ms, UTC]",
}

LAYERS = {  # one row a layer of an epoch; none for a run that measured no alignment
    "run": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "epoch": "int64",
    "layer": "str",
    "depth": "int64",  # 0 is the layer next to the input
    "matrix_angle": "float64",  # degrees between B and W
    "delta_angle": "float64",  # degrees between δ at the layer's output and the δ of backprop
    "norm_ratio": "float64",  # |B| / |W|
}

CELLS = {  # one row a run of a study's cell: a run that two cells share has a row for each
    "study": "str",  # study key
    "name": "str",  # the study's
    "cell": "str",
    "reference": "bool",  # whether the others' gap is taken to this cell
    "seed": "Int64",  # empty for a search
    "trial": "Int64",  # number in its cell; empty for an ablation
    "run": "str",
}

STUDY_TRIALS = {"study": "str", "name": "str"}  # before analysis.frames.store.trial_rows.TRIALS

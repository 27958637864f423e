"""The columns of a store's frames, and their types.

Errors are fractions from 0 to 1, angles are in degrees, and costs are cumulative since the start of the run. A value
that was not measured or is undefined is NaN.
"""

RUNS = {  # one row per run
    "run": "str",  # run key
    "rule": "str",
    "model": "str",
    "data": "str",
    "seed": "int64",
    "state": "str",  # running, finished, diverged, stopped, failed
    "reason": "str",  # why it ended; empty if it finished
    "epochs": "int64",  # configured
    "last_epoch": "int64",  # last one logged; -1 if none
    "diverged_epoch": "Int64",  # first epoch without a finite loss; missing if the run did not diverge
    "classes": "Int64",
    "attempts": "int64",
    "started": "datetime64[ms, UTC]",
    "heard": "datetime64[ms, UTC]",  # time of the last line of its log
    "fingerprint": "str",  # fingerprint of the data
    "commit": "str",  # Git commit of the code; empty if unknown
    "images": "str",  # digest of its images without their split; empty if unknown
    "superseded": "bool",  # whether another run has taken its place, so that it counts in no study
}

SCORES = {
    "train_loss": "float64",
    "train_error": "float64",
    "val_loss": "float64",
    "val_error": "float64",
    "test_loss": "float64",
    "test_error": "float64",
}

EPOCHS = {  # one row per epoch of a run; epoch 0 is the network before training
    "run": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "epoch": "int64",
    "step": "int64",  # optimizer steps
    "lr": "float64",  # learning rate of the last step
    "presentations": "int64",  # training images shown to the network
    "mirror_presentations": "float64",  # mirror samples, counted as images
    "flops": "float64",  # floating-point operations of training
    "seconds": "float64",  # spent in training steps, mirror mode included
    "probe_seconds": "float64",  # spent in the alignment probe
    **SCORES,
    "logged": "datetime64[ms, UTC]",
}

LAYERS = {  # one row per layer and epoch; none for a run without alignment probes
    "run": "str",
    "rule": "str",
    "model": "str",
    "seed": "int64",
    "epoch": "int64",
    "layer": "str",
    "depth": "int64",  # position in the model's definition, from 0; the output layer is the last
    "matrix_angle": "float64",  # degrees between B and W
    "delta_angle": "float64",  # degrees between δ at the layer's output and backprop's δ
    "norm_ratio": "float64",  # |B| / |W|
    "through_feedback": "boolean",  # whether δ depends on the rule; missing in logs of earlier versions
}

CELLS = {  # one row per run of a study's cell; a run that two cells share has one row per cell
    "study": "str",  # study key
    "name": "str",  # name of the study
    "cell": "str",
    "reference": "bool",  # whether the other cells are compared with this one
    "seed": "Int64",  # missing for a search
    "trial": "Int64",  # trial number in its cell; missing for an ablation
    "run": "str",
}

STUDY_TRIALS = {"study": "str", "name": "str"}  # precede the columns analysis.frames.store.trial_rows.TRIALS

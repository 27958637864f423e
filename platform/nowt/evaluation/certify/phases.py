"""The phases of a training step, in the order of ``nowt.training``. Certificates store these words."""

INITIALIZATION = "start"  # the rule prepares its layers

BEFORE_LEARNING = "before learning"

FORWARD = "forward pass"

BACKWARD = "backward pass"

CLIPPING = "clipping"

BEFORE_STEP = "before the step"

OPTIMIZER = "optimizer"

AFTER_STEP = "after the step"

BETWEEN = "between steps"

RULE_PHASES = (BEFORE_LEARNING, AFTER_STEP)  # only the rule's own code runs in these

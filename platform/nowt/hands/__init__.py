"""Who runs a study's runs: this process, Ray Tune, or groups of Ray Train workers. They do; they decide nothing."""

import os

# Seconds after which Ray ends this process where its server does not answer: on a loaded machine, its own 60 are too
# few. Read once, when ray is first imported.
os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "600")

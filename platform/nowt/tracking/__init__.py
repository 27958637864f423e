"""The record: MLflow as a projection of the epoch logs. The only package with mlflow; it imports no torch.

An experiment is a study, its parent run is the study again, and the parent's children are the study's runs,
found again by run key. Everything shown follows from logs, study files and certificates alone, with the
times of the logs, so that sending twice changes nothing and ``rebuild`` writes the same again. Only run ids,
and the times at which experiments were made, are MLflow's own. It lies in the store's mlflow.db or on a server.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read once, when mlflow is first imported

os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # the page needs no job queue beside it

# No connection outlives a call: a mlflow.db that is deleted or rebuilt is then seen at once, by the page too.
os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")

# A request that a server did not answer may have been carried out: nobody but nowt, which asks the server first what it
# has, may send it again. And a server that is gone must not hold up the end of a study.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")  # seconds

os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a run

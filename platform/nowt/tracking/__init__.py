"""Tracking: MLflow as a projection of the epoch logs. Within nowt, only this package imports mlflow; it does not import
torch.

An experiment is a study. Its parent run describes the study, and the children of the parent are the study's runs,
identified by run key. Everything shown follows from epoch logs, study files and certificates alone, with the times of
the logs, so that sending twice changes nothing and ``nowt rebuild`` writes the same again. Only run ids, and the times
at which experiments were created, are MLflow's own. The database is the store's mlflow.db or that of a server.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read once, when mlflow is first imported

os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # the web page needs no job queue

# No connection outlives a call, so that a deleted or rebuilt mlflow.db is noticed at once, by the web page, too.
os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")

# A request that was not answered may have been carried out. Only nowt may repeat it, because nowt first asks the server
# what it has. And an unavailable server must not delay the end of a study.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")  # seconds

os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines per run

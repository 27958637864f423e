"""The record: MLflow as a projection of the epoch logs. The only package with mlflow; it imports no torch.

An experiment is a study, its parent run is the study again, and the parent's children are the study's runs,
found again by run key. Everything shown follows from logs, study sheets and certificates alone, with the
times of the logs, so that sending twice changes nothing and ``rebuild`` writes the same again. Only run ids,
and the times at which experiments were made, are MLflow's own.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read once, when mlflow is first imported
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # the page needs no job queue beside it
# No connection outlives a call: a mlflow.db that is deleted or rebuilt is then seen at once, by the page too.
os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")

from nowt.record.mlflow_record import Record, rebuild
from nowt.record.quiet import QuietRecord, open_quietly

__all__ = ["QuietRecord", "Record", "open_quietly", "rebuild"]

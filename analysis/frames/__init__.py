"""The contents of a store as pandas frames with declared and checked columns (docs/frames.md)."""

from analysis.frames.mlflow import MlflowFrames, read_mlflow
from analysis.frames.probes import Probe, read_probes
from analysis.frames.scored_images import read_test_correct
from analysis.frames.searches import SearchPlan
from analysis.frames.store.store import StoreFrames, read_store, rebuild_frames
from analysis.frames.studies import StudyPlan, find_study
from analysis.frames.study import Frames, read_frames
from analysis.frames.trials import Trials, read_trials

__all__ = [
    "Frames",
    "MlflowFrames",
    "Probe",
    "SearchPlan",
    "StoreFrames",
    "StudyPlan",
    "Trials",
    "find_study",
    "read_frames",
    "read_mlflow",
    "read_probes",
    "read_store",
    "read_test_correct",
    "read_trials",
    "rebuild_frames",
]

"""The definition of the smallest study, as its study file contains it."""

from typing import Any

CONFIG: dict[str, Any] = {
    "rule": {"name": "bp"},
    "model": {"name": "mlp"},
    "data": {"name": "digits"},
    "seed": 0,
    "epochs": 1,
}

CONTENT: dict[str, Any] = {
    "name": "s",
    "question": "?",
    "reference": "bp",
    "seeds": [0],
    "cells": [{"name": "bp", "config": CONFIG}],
}

"""The definition of the smallest study, as its study file contains it."""

from typing import Any

CONTENT: dict[str, Any] = {
    "name": "s",
    "question": "?",
    "reference": "bp",
    "seeds": [0],
    "cells": [{"name": "bp", "config": {}}],
}

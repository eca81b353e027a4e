"""What a model must bring along for this release to use it."""

from routing_model import artefacts

REQUIRED_FILES = (*artefacts.FILES, "calibrator.joblib")

"""Another name of `inputs.dataset`, for code from before the package had rooms."""

from .inputs.dataset import Dialogues, read_dialogues

__all__ = ["Dialogues", "read_dialogues"]

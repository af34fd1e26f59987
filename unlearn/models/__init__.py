"""Models by name: our own, `torchvision:NAME`, and the user's, `module:factory`.

Every model takes images in pixel space [0, 1] and normalises them itself, so that noise can be
added before normalisation and an exported model needs no preprocessing note. That holds for
torchvision's and the user's models too: what they are given is normalised already.
"""

from unlearn.models._architectures import ARCHITECTURES
from unlearn.models._factory import ModelFactory, Normalisation, Normalise

__all__ = ["ARCHITECTURES", "ModelFactory", "Normalisation", "Normalise"]

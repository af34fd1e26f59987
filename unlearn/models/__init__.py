"""Models by name: our own, `torchvision:NAME`, and the user's, `module:factory`.

Every model takes images in pixel space [0, 1] and normalises them itself, so that noise can be
added before normalisation. Inside is the network that the name stands for, which is given what is
normalised already; it is that network's weights that are read and written, with the normalisation
in the file's metadata.
"""

from unlearn.models._architectures import ARCHITECTURES
from unlearn.models._factory import ModelFactory, Normalisation, Normalise

__all__ = ["ARCHITECTURES", "ModelFactory", "Normalisation", "Normalise"]

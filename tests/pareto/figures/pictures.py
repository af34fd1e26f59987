"""Pictures, read back."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pixels(file: Path) -> NDArray[np.uint8]:
    """The picture as height×width×3 of red, green and blue."""
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def shows(picture: NDArray[np.uint8], colour: str) -> bool:
    """Whether a part of a picture has a pixel of this very colour, `#rrggbb`."""
    return bool((picture == np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)).all(axis=2).any())

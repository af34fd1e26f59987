"""Data sets by name, as tensors: `digits`, `folder:PATH`, and some that are downloaded."""

from unlearn.datasets._load import load
from unlearn.datasets._samples import Dataset, Samples, to_unit
from unlearn.datasets._split import stratified_subset

__all__ = ["Dataset", "Samples", "load", "stratified_subset", "to_unit"]

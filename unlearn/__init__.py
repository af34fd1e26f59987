"""What one unlearning request does to one model: tensors in, model out."""

"""The engine of unstructured pruning: scores become masks, masks hold during training."""

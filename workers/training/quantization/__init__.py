"""Quantization: affine and codebook arithmetic, calibration, rounding in training."""

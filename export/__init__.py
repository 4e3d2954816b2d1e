"""Trained designs as files that others use: plain torch, Hugging Face, ONNX; each tried out in a clean process."""

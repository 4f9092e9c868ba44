"""Contestants in torch: the same model without ONNX Runtime, and other people's models."""

"""Logs of other tools read as runs: TensorBoard, W&B, MLflow, Hugging Face, CSV."""

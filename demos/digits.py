"""Loads handwritten digits: 7,000 embedded ones of MNIST, or all through torchvision."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch

EMBEDDED = Path(__file__).parent / "mnist"
MEAN, DEVIATION = 0.1307, 0.3081  # pixel statistics of all of MNIST, 0 to 1


def load_digits(data: Path | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns normalized float32 images, shape (N, 1, 28, 28), and labels, shape (N,).

    Args:
        data: Folder for torchvision's copy of MNIST, which torchvision downloads if it is
            absent; the embedded 6,000 training images if None.
    """
    if data is None:
        pixels = _read_idx(EMBEDDED / "train-images-idx3-ubyte.gz")
        labels = _read_idx(EMBEDDED / "train-labels-idx1-ubyte.gz")
    else:
        try:
            from torchvision.datasets import MNIST
        except ImportError as error:
            raise ImportError(
                "--data needs torchvision: pip install torchvision"
            ) from error
        except RuntimeError as error:  # a build of torchvision fits one torch only
            message = f"--data needs a torchvision that fits torch {torch.__version__}"
            raise ImportError(f"{message}: {error}") from error

        mnist = MNIST(data, train=True, download=True)
        pixels, labels = mnist.data.numpy(), mnist.targets.numpy()
    return _normalize(pixels), torch.from_numpy(labels.astype(np.int64))


def load_test_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the embedded 1,000 test images and their labels, as `load_digits` does."""
    labels = _read_idx(EMBEDDED / "t10k-labels-idx1-ubyte.gz")
    images = load_images(EMBEDDED / "t10k-images-idx3-ubyte.gz")
    return images, torch.from_numpy(labels.astype(np.int64))


def load_images(path: Path) -> torch.Tensor:
    """Returns the first 1,000 images of a compressed IDX file, normalized as digits.

    Raises:
        OSError, EOFError: If the file cannot be read or decompressed.
        ValueError: If it has no images of 28 x 28 bytes.
    """
    pixels = _read_idx(path)
    if pixels.shape[1:] != (28, 28):
        raise ValueError(f"{path} has no images of 28 x 28 pixels: {pixels.shape}")
    return _normalize(pixels[:1000])


def _normalize(pixels: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(pixels.astype(np.float32) / 255)[:, None] - MEAN) / DEVIATION


def _read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file: a magic number, sizes as big-endian 32-bit words, then bytes."""
    with gzip.open(path) as file:
        content = file.read()
    dimensions = content[3]
    sizes = np.frombuffer(content, ">u4", dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes)

"""Pictures to learn from, without a download.

Binary pictures have labels 0 (paper) and 1 (ink); noise flips each pixel with probability ε: x = y XOR noise.
Source: Cornell Tech, Deep Generative Models, lecture 11, "Ising models"; scikit-learn's digits; MNIST.
"""

import gzip
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ebmkit import chance
from ebmkit._checks import as_tensor, check_count

__all__ = [
    "LabelledImages",
    "Restoration",
    "Split",
    "bars_and_stripes",
    "digits",
    "flip",
    "mnist",
    "noisy_picture",
    "slide_image",
]


class Restoration(NamedTuple):
    """A picture and what is seen of it: labels {0, 1}, both `(height, width)`, float64.

    >>> from ebmkit import data
    >>> truth, noisy = data.slide_image()
    >>> int((truth != noisy).sum())
    1
    """

    truth: Tensor
    noisy: Tensor


class LabelledImages(NamedTuple):
    """Images `(n, height, width)` in [0, 1], float32, and their classes `(n,)`, int64.

    >>> import torch
    >>> from ebmkit import data
    >>> data.LabelledImages(torch.zeros(2, 8, 8), torch.tensor([3, 5])).images.shape
    torch.Size([2, 8, 8])
    """

    images: Tensor
    labels: Tensor


class Split(NamedTuple):
    """The images to learn from and the images to be judged by.

    >>> import torch
    >>> from ebmkit import data
    >>> one = data.LabelledImages(torch.zeros(1, 8, 8), torch.tensor([3]))
    >>> data.Split(train=one, test=one).test.labels
    tensor([3])
    """

    train: LabelledImages
    test: LabelledImages


# 5×7 capitals, one string a row; `#` is ink.
_GLYPHS = {
    "E": ("#####", "#....", "#....", "####.", "#....", "#....", "#####"),
    "B": ("####.", "#...#", "#...#", "####.", "#...#", "#...#", "####."),
    "M": ("#...#", "##.##", "#.#.#", "#.#.#", "#...#", "#...#", "#...#"),
}
_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def slide_image() -> Restoration:
    """A 3×3 picture, as on the lecture's slide: ink down one side and along the bottom; noise took the corner.

    Given the noisy picture, the truth is the most probable one for η/2 < J < 3η/4, η = ½ log((1 - ε)/ε).

    >>> from ebmkit import data
    >>> data.slide_image().truth
    tensor([[1., 0., 0.],
            [1., 0., 0.],
            [1., 1., 1.]], dtype=torch.float64)
    """
    truth = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.float64)
    noisy = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 1]], dtype=torch.float64)
    return Restoration(truth, noisy)


def noisy_picture(flip_probability: float, scale: int = 1, *, generator: Generator) -> Restoration:
    """A 64×64 picture, the letters EBM over a disc and a bar, seen through noise that flips each pixel.

    `scale` enlarges every pixel of the truth to a square of that side before the noise: `(64·scale, 64·scale)`.

    Raises `ValueError` for a scale below 1.

    >>> import torch
    >>> from ebmkit import data
    >>> generator = torch.Generator().manual_seed(0)
    >>> truth, noisy = data.noisy_picture(0.1, generator=generator)
    >>> truth.shape, bool((truth != noisy).any())
    (torch.Size([64, 64]), True)
    """
    if scale < 1:
        raise ValueError(f"scale must be at least 1, got {scale}")
    truth = torch.zeros(64, 64, dtype=torch.float64)
    for place, letter in enumerate("EBM"):
        glyph = torch.tensor([[float(mark == "#") for mark in row] for row in _GLYPHS[letter]])
        left = 7 + 18 * place
        truth[6:27, left : left + 15] = torch.kron(glyph, torch.ones(3, 3)).double()
    row, column = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    truth[(row - 44) ** 2 + (column - 18) ** 2 <= 12**2] = 1
    truth[38:50, 36:58] = 1
    truth = torch.kron(truth, torch.ones(scale, scale, dtype=torch.float64))
    return Restoration(truth, flip(truth, flip_probability, generator=generator))


def flip(image: Tensor, probability: float, *, generator: Generator) -> Tensor:
    """Each label of `image` (0 or 1, any shape) flipped with the given probability; the shape of `image`.

    Raises `ValueError` for a probability outside [0, 1] and labels other than 0 and 1.

    >>> import torch
    >>> from ebmkit import data
    >>> generator = torch.Generator().manual_seed(0)
    >>> data.flip(torch.tensor([0.0, 1.0]), 1.0, generator=generator)
    tensor([1., 0.])
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    image = as_tensor(image, name="image")
    if not ((image == 0) | (image == 1)).all():
        raise ValueError("image must hold labels 0 and 1; threshold it first, e.g. (image > 0.5).double()")
    chances = torch.full(image.shape, probability, dtype=torch.float64, device=image.device)
    return torch.where(chance.bernoulli(chances, generator=generator), 1 - image, image)


def bars_and_stripes(n: int) -> Tensor:
    """All 2^(n+1) - 2 pictures made of full columns (bars) or of full rows (stripes), `(2^(n+1) - 2, n, n)`.

    Labels 0 and 1, float32; the empty and the full picture, which are both, appear once. Raises `ValueError`
    unless 1 ≤ n ≤ 15. Source: MacKay, Information Theory, Inference, and Learning Algorithms (2003), ch. 43.

    >>> from ebmkit import data
    >>> data.bars_and_stripes(3).shape
    torch.Size([14, 3, 3])
    """
    check_count("n", n, 0)
    if not 1 <= n <= 15:
        raise ValueError(f"n must lie between 1 and 15, got {n}; there are 2^(n+1) - 2 pictures")
    lines = (torch.arange(2**n)[:, None] >> torch.arange(n) & 1).float()
    bars = lines[:, None, :].expand(-1, n, n)
    stripes = lines[1:-1, :, None].expand(-1, n, n)
    return bars[:2] if n == 1 else torch.cat([bars, stripes])


def digits(binarise: bool = False) -> LabelledImages:
    """scikit-learn's 1,797 handwritten digits, `(1797, 8, 8)` in [0, 1]; 0 or 1 if `binarise`.

    `binarise` calls a pixel ink from 8 of 16 grey levels on. Raises `ImportError` without scikit-learn.

    >>> from ebmkit import data
    >>> data.digits(binarise=True).images.shape  # needs scikit-learn
    torch.Size([1797, 8, 8])
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "digits() needs scikit-learn, which brings the images: install scikit-learn"
        ) from error
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float() / 16
    return LabelledImages(
        (images >= 0.5).float() if binarise else images, torch.from_numpy(bunch.target).long()
    )


def mnist(path: str | Path) -> Split:
    """MNIST, or anything stored as it is (Fashion-MNIST), from disk; images in [0, 1].

    `path` is an `.npz` with `x_train`, `y_train`, `x_test`, `y_test`, or a folder with the four IDX files
    (`train-images-idx3-ubyte`, …), gzipped or not. Raises `FileNotFoundError` and `ValueError` naming what is
    missing or malformed. Source: LeCun, Cortes & Burges, the MNIST database.

    >>> from ebmkit import data
    >>> try:
    ...     data.mnist("nowhere.npz")
    ... except FileNotFoundError as error:
    ...     print(error)
    no MNIST at nowhere.npz; give an .npz file or a folder of IDX files
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no MNIST at {path}; give an .npz file or a folder of IDX files")
    arrays = _idx_folder(path) if path.is_dir() else _npz(path)
    return Split(
        _labelled_images(arrays["x_train"], arrays["y_train"], "train"),
        _labelled_images(arrays["x_test"], arrays["y_test"], "test"),
    )


def _npz(path: Path) -> dict[str, NDArray[np.uint8]]:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz file; mnist reads .npz files and folders of IDX files")
    with np.load(path, allow_pickle=False) as archive:
        missing = [name for name in _IDX_FILES if name not in archive]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)}; it holds {', '.join(archive) or 'nothing'}")
        return {name: archive[name] for name in _IDX_FILES}


def _idx_folder(path: Path) -> dict[str, NDArray[np.uint8]]:
    return {name: _idx(path, stem) for name, stem in _IDX_FILES.items()}


def _idx(folder: Path, stem: str) -> NDArray[np.uint8]:
    """The array in an IDX file: 0, 0, type 8 (uint8), number of axes; their lengths, big-endian; the bytes."""
    plain, zipped = folder / stem, folder / f"{stem}.gz"
    if plain.exists():
        content = plain.read_bytes()
    elif zipped.exists():
        content = gzip.decompress(zipped.read_bytes())
    else:
        raise FileNotFoundError(f"{folder} has neither {stem} nor {stem}.gz")
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{stem} in {folder} is not an IDX file of bytes: it begins with {content[:4]!r}")
    begin = 4 + 4 * content[3]
    shape = tuple(int(length) for length in np.frombuffer(content[4:begin], dtype=">u4"))
    if len(content) - begin != np.prod(shape):
        raise ValueError(f"{stem} in {folder} is cut short: shape {shape}, but {len(content) - begin} bytes")
    return np.frombuffer(content, dtype=np.uint8, offset=begin).reshape(shape)


def _labelled_images(images: NDArray[np.uint8], labels: NDArray[np.uint8], part: str) -> LabelledImages:
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"the {part} images must be (n, height, width) with n labels, got {images.shape} and {labels.shape}"
        )
    if images.dtype != np.uint8:
        raise ValueError(f"the {part} images must be uint8 from 0 to 255, got {images.dtype}")
    return LabelledImages(
        torch.tensor(images, dtype=torch.float32) / 255, torch.tensor(labels.astype(np.int64))
    )

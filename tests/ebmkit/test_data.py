"""The pictures: what they hold, and what reading them refuses."""

import gzip
import math
import struct
import sys

import numpy as np
import pytest
import torch

from ebmkit import data, enumeration, ising


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _arrays():
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (5, 4, 3), dtype=np.uint8),
        "y_train": np.arange(5, dtype=np.uint8),
        "x_test": np.full((2, 4, 3), 255, dtype=np.uint8),
        "y_test": np.array([7, 9], dtype=np.uint8),
    }


def _write_idx(folder, zipped):
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    for name, array in zip(names, _arrays().values()):
        content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
        if zipped:
            (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(content))
        else:
            (folder / f"{name}-ubyte").write_bytes(content)


def _assert_holds_the_arrays(split):
    arrays = _arrays()
    torch.testing.assert_close(split.train.images, torch.from_numpy(arrays["x_train"]).float() / 255)
    assert split.train.labels.tolist() == [0, 1, 2, 3, 4]
    assert split.test.images.unique().tolist() == [1.0]
    assert split.test.labels.tolist() == [7, 9]


def test_the_slides_picture_is_three_by_three_labels_with_some_flipped():
    truth, noisy = data.slide_image()
    assert truth.shape == noisy.shape == (3, 3)
    assert set(truth.unique().tolist()) == set(noisy.unique().tolist()) == {0.0, 1.0}
    assert 0 < (truth != noisy).sum() < 9


@pytest.mark.parametrize(
    ("in_eta", "repaired"), [(0.49, False), (0.51, True), (0.72, True), (0.74, True), (0.76, False)]
)
def test_the_slides_picture_is_repaired_for_couplings_between_a_half_and_three_quarters_of_eta(
    in_eta, repaired
):
    truth, noisy = data.slide_image()
    for flip_probability in (0.1, 0.2):
        eta = 0.5 * math.log((1 - flip_probability) / flip_probability)
        posterior = ising.denoising_model(noisy, flip_probability, in_eta * eta)
        best = enumeration.states(posterior)[enumeration.probabilities(posterior).argmax()]
        assert torch.equal(best, ising.to_spins(truth)) == repaired


def test_the_larger_picture_has_as_much_noise_as_asked_for():
    truth, noisy = data.noisy_picture(0.25, generator=_generator(), scale=2)
    assert truth.shape == noisy.shape == (128, 128)
    assert torch.equal(truth, data.noisy_picture(0.0, generator=_generator(), scale=2).noisy)
    assert torch.equal(truth[::2, ::2], data.noisy_picture(0.1, generator=_generator()).truth)
    # Hoeffding: off by 0.022 with probability below 2·exp(-2·16384·0.022²) < 3e-7.
    assert abs((truth != noisy).double().mean() - 0.25) < 0.022


@pytest.mark.parametrize("image", [torch.tensor([0, 1, 1]), torch.tensor([[0.0, 1.0]])])
def test_flipping_surely_inverts_and_flipping_never_keeps(image):
    assert torch.equal(data.flip(image, 1.0, generator=_generator()), 1 - image)
    assert torch.equal(data.flip(image, 0.0, generator=_generator()), image)


def test_flip_draws_each_pixel_independently_with_its_probability(outcome_probabilities):
    every = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    law = outcome_probabilities(lambda x, generator: data.flip(x, 0.25, generator=generator), every[1], every)
    assert law.tolist() == [3 / 16, 9 / 16, 1 / 16, 3 / 16]


@pytest.mark.parametrize(
    ("image", "probability", "message"),
    [(torch.zeros(2), 1.5, "must lie in"), (torch.tensor([0.5]), 0.1, "labels 0 and 1")],
)
def test_flip_refuses_what_it_cannot_flip(image, probability, message):
    with pytest.raises(ValueError, match=message):
        data.flip(image, probability, generator=_generator())


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_bars_and_stripes_are_all_pictures_whose_rows_or_columns_are_constant(n):
    every = torch.tensor(np.indices((2,) * (n * n)).reshape(n * n, -1).T.reshape(-1, n, n)).float()
    bars = (every == every[:, :1, :]).all((1, 2))
    stripes = (every == every[:, :, :1]).all((1, 2))
    expected = {tuple(picture.flatten().tolist()) for picture in every[bars | stripes]}
    found = [tuple(picture.flatten().tolist()) for picture in data.bars_and_stripes(n)]
    assert len(found) == len(set(found)) == 2 ** (n + 1) - 2
    assert set(found) == expected


def test_the_digits_are_the_1797_of_scikit_learn():
    images, labels = data.digits()
    assert images.shape == (1797, 8, 8)
    assert images.min() == 0
    assert images.max() == 1
    assert labels.unique().tolist() == list(range(10))
    binary = data.digits(binarise=True).images
    assert torch.equal(binary, (images >= 0.5).float())


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="install scikit-learn"):
        data.digits()


def test_mnist_reads_an_npz_file(tmp_path):
    np.savez(tmp_path / "mnist.npz", **_arrays())
    _assert_holds_the_arrays(data.mnist(tmp_path / "mnist.npz"))


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_reads_idx_files_plain_or_zipped(tmp_path, zipped):
    _write_idx(tmp_path, zipped)
    _assert_holds_the_arrays(data.mnist(str(tmp_path)))


def test_mnist_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no MNIST at .*nowhere"):
        data.mnist(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="neither train-images-idx3-ubyte nor"):
        data.mnist(tmp_path)
    np.savez(tmp_path / "half.npz", x_train=_arrays()["x_train"])
    with pytest.raises(ValueError, match="lacks y_train, x_test, y_test; it holds x_train"):
        data.mnist(tmp_path / "half.npz")


def test_mnist_refuses_files_that_are_not_what_they_seem(tmp_path):
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ValueError, match=r"text.npz is not an .npz file"):
        data.mnist(tmp_path / "text.npz")
    np.savez(tmp_path / "short.npz", **{**_arrays(), "y_train": np.zeros(4, dtype=np.uint8)})
    with pytest.raises(ValueError, match="n labels"):
        data.mnist(tmp_path / "short.npz")
    np.savez(tmp_path / "scaled.npz", **{**_arrays(), "x_test": np.ones((2, 4, 3))})
    with pytest.raises(ValueError, match="must be uint8"):
        data.mnist(tmp_path / "scaled.npz")
    _write_idx(tmp_path, zipped=False)
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut short"):
        data.mnist(tmp_path)
    images.write_bytes(b"\x00\x00\x0d\x01")
    with pytest.raises(ValueError, match="not an IDX file of bytes"):
        data.mnist(tmp_path)

"""Folders of images."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from unlearn.datasets import Dataset, load
from unlearn.errors import InputError

RED, GREEN = (255, 0, 0), (0, 255, 0)


def grey(level: int, width: int = 8, height: int = 8) -> Image.Image:
    return Image.new("L", (width, height), level)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with one grey image each, in train and in test."""
    for part in ("train", "test"):
        for level, name in enumerate(("cat", "dog")):
            (tmp_path / part / name).mkdir(parents=True)
            grey(level).save(tmp_path / part / name / "m.png")
    return tmp_path


def loaded(folder: Path, train_limit: int | None = None) -> Dataset:
    return load(f"folder:{folder}", seed=0, train_limit=train_limit)


def random_pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_grey_images_have_one_channel_and_keep_their_pixels(folder: Path) -> None:
    pixels = random_pixels(8, 8)
    Image.fromarray(pixels).save(folder / "train/cat/m.png")
    images = loaded(folder).train.images
    assert images.shape == (2, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert np.array_equal(images[0, 0].numpy(), pixels)


def test_colour_images_have_three_channels_in_the_order_red_green_blue(folder: Path) -> None:
    for file in folder.rglob("m.png"):
        file.unlink()
        Image.new("RGB", (8, 8), (200, 100, 50)).save(file.with_suffix(".jpg"), quality=100)
    images = loaded(folder).train.images
    assert images.shape == (2, 3, 8, 8)
    expected = torch.tensor([200.0, 100.0, 50.0])
    torch.testing.assert_close(images.float().mean(dim=(0, 2, 3)), expected, atol=2, rtol=0)


def test_grey_images_among_coloured_ones_repeat_their_channel(folder: Path) -> None:
    pixels = random_pixels(8, 8)
    Image.fromarray(pixels).save(folder / "train/cat/m.png")
    Image.new("RGB", (8, 8), RED).save(folder / "test/dog/m.png")
    dataset = loaded(folder)
    assert dataset.train.images.shape == (2, 3, 8, 8)
    for channel in dataset.train.images[0]:
        assert np.array_equal(channel.numpy(), pixels)


def test_sixteen_bit_grey_is_scaled_to_eight(folder: Path) -> None:
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(folder / "train/cat/m.png")
    images = loaded(folder).train.images
    assert images.shape == (2, 1, 8, 8)
    assert np.array_equal(images[0, 0].numpy(), np.rint(deep / 257))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_images_of_32_bits_are_refused(folder: Path, dtype: type[np.generic]) -> None:
    Image.fromarray(np.ones((8, 8), dtype)).save(folder / "train/cat/m.tiff")
    with pytest.raises(InputError, match=r"train/cat/m\.tiff has 32 bits per pixel"):
        loaded(folder)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".jp2"])
def test_sixteen_bit_images_are_read_from_every_format(folder: Path, suffix: str) -> None:
    (folder / "train/cat/m.png").unlink()
    deep = np.full((8, 8), 50 * 257, np.uint16)
    Image.fromarray(deep).save(folder / f"train/cat/m{suffix}")
    assert (loaded(folder).train.images[0] == 50).all()


def test_palette_images_show_their_colours(folder: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([*RED, *GREEN])
    image.putpixel((3, 2), 0)
    image.save(folder / "train/cat/m.png")
    decoded = loaded(folder).train.images[0]
    assert decoded[:, 0, 0].tolist() == list(GREEN)
    assert decoded[:, 2, 3].tolist() == list(RED)


def test_black_and_white_images_are_grey(folder: Path) -> None:
    image = Image.new("1", (8, 8), 1)
    image.putpixel((3, 2), 0)
    image.save(folder / "train/cat/m.png")
    decoded = loaded(folder).train.images[0]
    assert decoded.shape == (1, 8, 8)
    assert decoded[0, 0, 0] == 255
    assert decoded[0, 2, 3] == 0


def test_transparency_of_grey_images_is_dropped(folder: Path) -> None:
    Image.new("LA", (8, 8), (90, 10)).save(folder / "train/cat/m.png")
    assert (loaded(folder).train.images[0] == 90).all()


def test_images_need_not_be_square(folder: Path) -> None:
    for file in folder.rglob("m.png"):
        grey(5, width=12, height=9).save(file)
    assert loaded(folder).train.images.shape == (2, 1, 9, 12)


def test_samples_are_sorted_by_class_and_then_by_name(folder: Path) -> None:
    for level, name in ((12, "cat/z.png"), (10, "cat/a.png"), (20, "dog/B.png"), (22, "dog/n.png")):
        grey(level).save(folder / "train" / name)
    train = loaded(folder).train
    assert train.images[:, 0, 0, 0].tolist() == [10, 0, 12, 20, 1, 22]
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_classes_are_the_folders_in_alphabetical_order(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part / "ant").mkdir()
        grey(9).save(folder / part / "ant" / "m.png")
    dataset = loaded(folder)
    assert dataset.classes == ("ant", "cat", "dog")
    assert dataset.train.images[:, 0, 0, 0].tolist() == [9, 0, 1]


def test_hidden_files_are_no_images(folder: Path) -> None:
    (folder / "train/cat/.DS_Store").write_bytes(b"nothing to see")
    assert len(loaded(folder).train) == 2


def test_the_limit_draws_a_stratified_subset_in_order(folder: Path) -> None:
    for i in range(29):
        grey(100 + i).save(folder / "train/cat" / f"{i:02}.png")
    for i in range(9):
        grey(200 + i).save(folder / "train/dog" / f"{i:02}.png")
    train = loaded(folder, train_limit=20).train
    levels = train.images[:, 0, 0, 0].tolist()
    assert Counter(train.labels.tolist()) == {0: 15, 1: 5}
    # Image m.png, of level 0 or 1, is the last of its class.
    key = [
        (label, level if level > 1 else 999)
        for level, label in zip(levels, train.labels.tolist(), strict=True)
    ]
    assert key == sorted(set(key))


@pytest.mark.parametrize("limit", [None, 7])
def test_every_training_sample_is_known_by_its_file(folder: Path, limit: int | None) -> None:
    for level in range(100, 120):
        grey(level).save(folder / "train" / ("cat", "dog")[level % 2] / f"{200 - level} x.png")
    dataset = loaded(folder, limit)
    assert dataset.files is not None
    assert len(set(dataset.files)) == len(dataset.train) == (limit or 22)
    for file, image in zip(dataset.files, dataset.train.images, strict=True):
        assert np.array_equal(np.asarray(Image.open(folder / "train" / file)), image[0].numpy())


def remove_test(folder: Path) -> None:
    (folder / "test").rename(folder / "elsewhere")


def add_class_to_train(folder: Path) -> None:
    (folder / "train/emu").mkdir()
    grey(1).save(folder / "train/emu/m.png")


def add_class_to_test(folder: Path) -> None:
    (folder / "test/emu").mkdir()
    grey(1).save(folder / "test/emu/m.png")


def remove_second_class(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part / "dog" / "m.png").unlink()
        (folder / part / "dog").rmdir()


def empty_a_class(folder: Path) -> None:
    (folder / "test/dog/m.png").unlink()


def add_text(folder: Path) -> None:
    (folder / "train/dog/notes.txt").write_text("not an image")


def truncate(folder: Path) -> None:
    file = folder / "train/dog/m.png"
    Image.fromarray(random_pixels(8, 8)).save(file)
    file.write_bytes(file.read_bytes()[:60])


def damage_header(folder: Path) -> None:
    """A PNG whose header chunk says that it is shorter than a header chunk can be."""
    file = folder / "train/dog/m.png"
    content = bytearray(file.read_bytes())
    content[11] = 5
    file.write_bytes(content)


def damage_ppm(folder: Path) -> None:
    (folder / "train/dog/m.ppm").write_bytes(b"P6 8 eight 255\n")


def damage_dds(folder: Path) -> None:
    """Of a format whose reader knows no such pixels, and says so in its own way."""
    file = folder / "train/dog/m.dds"
    grey(1).save(file)
    content = bytearray(file.read_bytes())
    content[80:84] = (4).to_bytes(4, "little")
    content[84:88] = b"what"
    file.write_bytes(content)


def add_latin_name(folder: Path) -> None:
    os.rename(bytes(folder / "train/dog/m.png"), bytes(folder / "train/dog") + b"/caf\xe9.png")


def add_latin_class(folder: Path) -> None:
    for part in ("train", "test"):
        os.rename(bytes(folder / part / "dog"), bytes(folder / part) + b"/caf\xe9")


def add_subfolder(folder: Path) -> None:
    (folder / "train/dog/more").mkdir()
    grey(1).save(folder / "train/dog/more/m.png")


def add_dangling_link(folder: Path) -> None:
    (folder / "train/dog/n.png").symlink_to("nowhere.png")


def enlarge(folder: Path) -> None:
    grey(1, width=9).save(folder / "test/dog/m.png")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (remove_test, "test"),
        (add_class_to_train, "'emu'"),
        (add_class_to_test, "'emu'"),
        (remove_second_class, "train"),
        (empty_a_class, "test/dog"),
        (add_text, "train/dog/notes.txt"),
        (truncate, "train/dog/m.png"),
        (damage_header, "train/dog/m.png"),
        (damage_ppm, "train/dog/m.ppm"),
        (damage_dds, "train/dog/m.dds"),
        (add_latin_name, r"train/dog: the name 'caf\udce9.png' is not UTF-8"),
        (add_latin_class, r"train: the name 'caf\udce9' is not UTF-8"),
        (enlarge, "test/dog/m.png"),
        (add_subfolder, "train/dog holds a folder, 'more'"),
        (add_dangling_link, "train/dog/n.png"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(
    folder: Path, spoil: Callable[[Path], None], named: str
) -> None:
    spoil(folder)
    with pytest.raises(InputError) as caught:
        loaded(folder)
    assert named in caught.value.problem
    assert caught.value.remedy


def test_a_class_in_one_part_only_is_said_to_be_there(folder: Path) -> None:
    add_class_to_test(folder)
    with pytest.raises(InputError, match=f"{folder / 'test'} only"):
        loaded(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        loaded(tmp_path / "nowhere")


def test_a_path_that_no_folder_can_have_is_told_of() -> None:
    with pytest.raises(InputError, match=r"cannot list x.*: File name too long"):
        load(f"folder:{'x' * 300}", seed=0)

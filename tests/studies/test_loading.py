"""From a built-in name or a TOML file to a definition."""

from importlib import resources
from pathlib import Path

import pytest

from pareto.defaults import STUDY
from studies import builtin_names, load, validate
from unlearn.errors import InputError

STUDY_FILE = """
name = "mine"
model = "{model}"

[data]
name = "{data}"
{more}

[request]
{request}

[recipe]
epochs = 10
learning_rate = 0.1
"""
RANDOM = 'kind = "random"\nfraction = 0.2'


def written(
    file: Path,
    *,
    data: str = "digits",
    more: str = "",
    request: str = RANDOM,
    model: str = "small-cnn",
) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(STUDY_FILE.format(data=data, more=more, request=request, model=model))
    return file


@pytest.mark.parametrize("name", builtin_names())
def test_every_built_in_definition_loads_under_its_name(name: str) -> None:
    assert load(name).name == name


def test_built_in_definitions_are_the_toml_files_of_the_package() -> None:
    folder = Path(__file__).parents[2] / "studies"
    assert builtin_names() == sorted(file.stem for file in folder.glob("*.toml"))


def test_the_default_study_is_built_in() -> None:
    assert STUDY in builtin_names()


def test_built_in_definitions_differ_in_more_than_the_name() -> None:
    contents = [load(name).model_dump(mode="json", exclude={"name"}) for name in builtin_names()]
    assert all(contents.count(content) == 1 for content in contents)


def test_a_file_holds_what_it_says(tmp_path: Path) -> None:
    definition = load(written(tmp_path / "mine.toml"))
    assert definition.name == "mine"
    assert definition.recipe.epochs == 10
    assert definition.request.model_dump() == {"kind": "random", "fraction": 0.2}


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.toml")
    assert load(str(file)) == load(file)


@pytest.mark.parametrize(
    ("data", "folder"),
    [("folder:images", "study/images"), ("folder:../images", "images"), ("folder:.", "study")],
)
def test_a_relative_image_folder_belongs_to_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, folder: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    definition = load(written(tmp_path / "study" / "mine.toml", data=data))
    scheme, _, path = definition.data.name.partition(":")
    assert scheme == "folder"
    assert Path(path).is_absolute()
    assert Path(path).resolve() == (tmp_path / folder).resolve()


def test_a_relative_index_file_belongs_to_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "study" / "mine.toml", request='kind = "indices"\nfile = "forget.csv"')
    monkeypatch.chdir(tmp_path)
    request = load("study/mine.toml").request.model_dump()
    assert Path(request["file"]) == (tmp_path / "study" / "forget.csv").resolve()


def test_a_relative_data_folder_belongs_to_the_folder_of_the_file(tmp_path: Path) -> None:
    file = written(tmp_path / "study" / "mine.toml", data="cifar10", more='dir = "downloads"')
    assert load(file).data.dir == str((tmp_path / "study").resolve() / "downloads")


@pytest.mark.parametrize("model", ["net:net", "net.py:net"])
def test_the_users_own_model_is_looked_for_in_the_folder_of_the_file(
    model: str, tmp_path: Path
) -> None:
    definition = load(written(tmp_path / "study" / "mine.toml", model=model))
    assert definition.model == model
    assert Path(str(definition.model_dir)) == (tmp_path / "study").resolve()


def test_weights_are_looked_for_in_the_folder_of_the_file(tmp_path: Path) -> None:
    model = 'small-cnn"\noriginal = "weights/theirs.pt'
    definition = load(written(tmp_path / "study" / "mine.toml", model=model))
    assert definition.original == str((tmp_path / "study").resolve() / "weights" / "theirs.pt")


def test_a_model_of_ours_is_looked_for_nowhere(tmp_path: Path) -> None:
    assert load(written(tmp_path / "mine.toml")).model_dir is None


def test_absolute_paths_stay(tmp_path: Path) -> None:
    file = written(
        tmp_path / "study" / "mine.toml",
        data="folder:/data/images",
        request='kind = "indices"\nfile = "/data/forget.npy"',
    )
    definition = load(file)
    assert definition.data.name == "folder:/data/images"
    assert definition.request.model_dump()["file"] == "/data/forget.npy"


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    definition = load(written(tmp_path / "mine.toml", data="folder:~/images"))
    assert definition.data.name == f"folder:{tmp_path / 'home' / 'images'}"


def test_the_home_of_an_unknown_user_is_the_users_mistake(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.toml", data="folder:~no-such-user-anywhere/images")
    with pytest.raises(InputError, match="no-such-user-anywhere"):
        load(file)


def test_other_data_sets_are_no_paths(tmp_path: Path) -> None:
    assert load(written(tmp_path / "mine.toml")).data.name == "digits"


def test_an_unknown_name_is_refused_and_the_known_ones_listed() -> None:
    with pytest.raises(InputError, match="no study is called 'mnist'") as caught:
        load("mnist")
    assert all(name in caught.value.remedy for name in builtin_names())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.toml"):
        load(tmp_path / "missing.toml")


def test_a_folder_is_no_definition(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match=r"folder\.toml"):
        load(tmp_path / "folder.toml")


@pytest.mark.parametrize(
    "content",
    [b"name = \xff\xfe", b"name = ", b"[data\n", b"a = 1\na = 2", b"a = 1" + 5000 * b"0"],
)
def test_what_is_no_toml_is_refused_with_the_name_of_the_file(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.toml") as caught:
        load(tmp_path / "mine.toml")
    assert caught.value.remedy


def test_the_line_of_a_toml_mistake_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nmodel = \n')
    with pytest.raises(InputError, match="line 2"):
        load(tmp_path / "mine.toml")


def test_a_wrong_field_is_named_with_its_file(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.toml", request='kind = "random"\nfraction = 2.0')
    with pytest.raises(InputError, match=r"mine\.toml: request\.fraction: "):
        load(file)


def test_a_stored_definition_is_validated_under_the_name_of_its_source() -> None:
    with pytest.raises(InputError, match="the storage: name: Field required"):
        validate({"model": "small-cnn"}, "the storage")


def test_a_file_may_not_take_the_name_of_a_built_in_study(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(resources.files("studies").joinpath("digits.toml").read_text("utf-8"))
    with pytest.raises(InputError, match="'digits' is the name of a built-in study"):
        load(file)

"""Settings that say `auto`: they get values that suit the data, before the config is stored and anything is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from polymodal.config.environment import is_first_process
from polymodal.config.explain import CONFIGS
from polymodal.errors import ConfigError

if TYPE_CHECKING:
    from polymodal.data.preview import Preview

AUTO = "auto"

WITHOUT_DATA: Mapping[str, Any] = {
    "batch_size": 128,
    "cardinalities": [],
    "channels": 3,
    "dropout": 0.0,
    "image_size": 64,
    "numeric": 0,
    "label_smoothing": 0.0,
    "lr": 2e-3,
    "sample_rate": 16_000,
    "max_seconds": 30.0,
    "scale": 0.0,
    "shift": 0.0,
    "vocab_size": 8000,
}
"""Settings that may be `auto`, and what stands for them while the data are looked at, or where nothing is known."""


FOLLOW = {*WITHOUT_DATA, "_target_", "hop", "max_epochs", "mels", "outputs", "window"}
"""Names of settings for which there is a rule; Lightning has an `auto` of its own for others."""


class Chosen(NamedTuple):
    """A setting that followed the data: its key, its value, and why it is that."""

    key: str
    value: Any
    why: str


def is_open(config: DictConfig) -> bool:
    """Whether a setting is still `auto`."""
    return next(_open_keys(config, ""), None) is not None


def _open_keys(node: Any, path: str) -> Iterator[str]:
    """Dotted keys of the settings that are `auto`; references to them follow by themselves."""
    if isinstance(node, DictConfig):
        keys: list[Any] = list(node)  # a number stays one
        for key in keys:
            own = f"{path}.{key}" if path else str(key)
            if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):
                continue
            if node[key] == AUTO and key in FOLLOW:
                yield own.removesuffix("._target_")
            else:
                yield from _open_keys(node[key], own)
    elif isinstance(node, ListConfig):
        for index in range(len(node)):
            if not OmegaConf.is_interpolation(node, index):
                yield from _open_keys(node._get_node(index), f"{path}[{index}]")


def settle(config: DictConfig) -> list[Chosen]:
    """Gives every `auto` of a composed config its value, in place.

    Args:
        config: composed; without an `auto` it stays as it is, and no data are read.

    Raises:
        ConfigError: a setting cannot follow the data.
        DataError: the data cannot be read.
    """
    if not is_open(config):
        return []
    preview = _preview(config)
    with open_dict(config):
        chosen = [*_encoders(config, preview), *_columns(config, preview), *_values(config, preview)]
    if chosen and is_first_process():
        print("Settings that follow the data, and why:")
        for key, value, why in chosen:
            print(f"  {key}={value}  {why}")
    return chosen


def close(config: DictConfig, stored: Mapping[str, Any]) -> None:
    """Gives every `auto` of a config, in place, the value that a stored config has, as other data need for its model.

    Args:
        config: composed; of other data.
        stored: of the training.
    """
    before = OmegaConf.create(dict(stored))
    with open_dict(config):
        for key in list(_open_keys(config, "")):
            name = key.rpartition(".")[2]
            OmegaConf.update(config, key, OmegaConf.select(before, key, default=WITHOUT_DATA.get(name)))
        for name, columns in (OmegaConf.select(before, "data.columns") or {}).items():
            given = OmegaConf.select(config, f"data.columns.{name}")
            if isinstance(given, ListConfig) and sorted(given) == sorted(columns):
                config.data.columns[name] = columns  # numbers first, as the model reads them


def _preview(config: DictConfig) -> Preview:
    """What the data look like; of what is no table, nothing is known."""
    from hydra.utils import get_class, instantiate  # these take seconds: what is refused before does not wait for them

    from polymodal.data.preview import Preview
    from polymodal.data.table_data import TableData

    data = OmegaConf.masked_copy(config, list(config)).data
    source = get_class(data._target_) if "." in str(data.get("_target_")) else None
    if not (isinstance(source, type) and issubclass(source, TableData)):
        return Preview(training=None, kinds={})
    with open_dict(data):
        for key in [key for key, value in data.items() if value == AUTO]:
            data[key] = WITHOUT_DATA[str(key)]
        tables = [
            names
            for name, names in (data.get("columns") or {}).items()
            if (data.get("kinds") or {}).get(name, name) == "tabular"
        ]
        if AUTO in (config.data.get("numeric"), config.data.get("cardinalities")):
            # for this look all columns of a table are numbers
            data.numeric = max((len(names) if isinstance(names, ListConfig) else 1 for names in tables), default=0)
            data.cardinalities = []
    return instantiate(data, _convert_="all").preview()  # type: ignore[no-any-return]


OPTIONS = {"image": "cnn", "audio": "cnn", "video": "mean", "tabular": "mlp"}
"""Kind of modality -> the encoder that is taken where none is chosen; that of text follows the number of samples."""


def _encoders(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """An encoder for each modality that the columns name."""
    from polymodal.data.defaults import text_encoder

    left = [name for name, node in config.encoder.items() if node.get("_target_") == AUTO]
    if not left:
        return
    wanted = list(preview.kinds)
    for name in [*left, *(name for name in wanted if name not in config.encoder)]:
        if name not in wanted:
            del config.encoder[name]
            continue
        kind = preview.kinds[name]
        option, why = OPTIONS.get(kind), f"a column of {kind}"
        if kind == "text":
            option, why = text_encoder(preview)
        if option is None:
            raise ConfigError(f"encoder.{name}: say which one, such as +encoder/tabular@encoder.{name}=features.")
        node = OmegaConf.load(CONFIGS / "encoder" / kind / f"{option}.yaml")
        if kind == "audio":
            node.log_mel.update(dict.fromkeys(("mels", "window", "hop"), AUTO))
        given = {key: value for key, value in config.encoder.get(name, {}).items() if key != "_target_"}
        config.encoder[name] = OmegaConf.merge(node, given)
        yield Chosen(f"encoder/{name}", option, why)


def _columns(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """Columns of a table: first those of numbers, then the others with the number of their categories."""
    if AUTO not in (config.data.get("numeric"), config.data.get("cardinalities")):
        return
    layouts = {(len(numbers), tuple(preview.categories[name].values())) for name, numbers in preview.numeric.items()}
    if len(layouts) > 1:
        raise ConfigError(
            "data.numeric=auto: the tables have different numbers of columns. Give data.numeric and data.cardinalities."
        )
    for name, numbers in preview.numeric.items():
        config.data.columns[name] = [*numbers, *preview.categories[name]]
    numeric, cardinalities = next(iter(layouts), (0, ()))
    config.data.numeric, config.data.cardinalities = numeric, list(cardinalities)
    if layouts:
        yield Chosen("data.numeric", numeric, "columns that hold numbers alone")
        yield Chosen("data.cardinalities", list(cardinalities), "values of the other columns")


ANY = {"image", "video", "audio", "text", "tabular", "vector"}
OF_KIND = dict.fromkeys(("image_size", "channels", "shift", "scale"), {"image", "video"})
OF_KIND |= dict.fromkeys(("max_seconds", "sample_rate", "mels", "window", "hop"), {"audio"}) | {"vocab_size": {"text"}}
"""Settings that matter to some kinds of modality alone, so that they are not spoken of elsewhere."""


def _values(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """All other settings, each by its rule; the epochs last, since they count batches."""
    from polymodal.data import defaults

    rules: dict[str, Callable[[Preview], tuple[Any, str]]] = {
        key: getattr(defaults, key)
        for key in ("vocab_size", "batch_size", "image_size", "channels", "max_seconds", "sample_rate")
    }
    rules |= {key: getattr(defaults, key) for key in ("shift", "scale", "mels", "window", "hop", "outputs")}
    rules |= {key: getattr(defaults, key) for key in ("dropout", "label_smoothing", "lr")}
    rules["max_epochs"] = lambda preview: defaults.max_epochs(preview, config.data.batch_size)
    for key in sorted(_open_keys(config, ""), key=lambda key: key.endswith("max_epochs")):
        name = key.rpartition(".")[2]
        if name not in rules:
            continue
        value, why = rules[name](preview)
        OmegaConf.update(config, key, value)
        if OF_KIND.get(name, ANY) & set(preview.kinds.values()):
            yield Chosen(key, value, why)

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
    "image_size": 64,
    "numeric": 0,
    "sample_rate": 16_000,
    "max_seconds": 30.0,
    "scale": 0.0,
    "shift": 0.0,
    "vocab_size": 8000,
}
"""Settings of data that may be `auto`, and what stands for them while the data are looked at."""


FOLLOW = {*WITHOUT_DATA, "_target_", "max_epochs", "mels", "outputs"}
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
        config: composed, with an `auto` somewhere.

    Raises:
        ConfigError: a setting cannot follow the data.
        DataError: the data cannot be read.
    """
    preview = _preview(config)
    with open_dict(config):
        chosen = [*_encoders(config, preview), *_fusion_and_head(config)]
        chosen += [*_columns(config, preview), *_values(config, preview)]
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


ROLES = {"label", "group", "split", "split_by", "id"}
"""Columns that are no modality."""


def _preview(config: DictConfig) -> Preview:
    """What the data look like: rows of a table are looked at; of other data, what their settings say."""
    from hydra.utils import get_class, instantiate  # these take seconds: what is refused before does not wait for them

    from polymodal.data.preview import Preview
    from polymodal.data.table_data import TableData

    data = OmegaConf.masked_copy(config, list(config)).data
    source = get_class(data._target_) if "." in str(data.get("_target_")) else None
    if not (isinstance(source, type) and issubclass(source, TableData)):
        return Preview(training=data.get("epoch_samples"), kinds=_kinds_by_settings(data))
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


def _kinds_by_settings(data: DictConfig) -> dict[str, str]:
    """Modality -> kind, as the settings of data name them; where they name none, images and texts."""
    kinds = data.get("kinds") or {}
    columns = [str(name) for name in data.get("columns") or {} if name not in ROLES]
    modalities = data.get("modalities")
    if isinstance(modalities, DictConfig):
        return {str(name): str(kind) for name, kind in modalities.items()}
    names = columns or list(modalities or ("image", "text"))
    return {name: kinds.get(name, name) for name in names}


OPTIONS = {"image": "cnn", "audio": "cnn", "video": "mean", "tabular": "mlp"}
"""Kind of modality -> the encoder that is taken where none is chosen; that of text follows the number of samples."""


def _encoders(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """An encoder for each modality that the columns name."""
    from polymodal.data.defaults import text_encoder

    left = [name for name, node in config.encoder.items() if node.get("_target_") == AUTO]
    if not left:
        return
    # one that has another name than its kind is in no group that could be `none`
    own = [name for name, kind in preview.kinds.items() if name not in config.encoder and name != kind]
    for name in [*left, *own]:
        if name not in preview.kinds:
            config.encoder[name] = _settings_of(config.encoder[name])
            if not config.encoder[name]:
                del config.encoder[name]
            continue  # settings of an encoder that there is not are refused by the check
        kind = preview.kinds[name]
        option, why = OPTIONS.get(kind), f"the data have {kind}"
        if kind == "text":
            option, why = text_encoder(preview)
        if option is None:
            raise ConfigError(f"encoder.{name}: say which one, such as +encoder/tabular@encoder.{name}=features.")
        config.encoder[name] = _merged(f"encoder/{kind}", option, config.encoder.get(name, {}))
        yield Chosen(f"encoder/{name}", option, why)


def _merged(group: str, option: str, node: Any) -> Any:
    """An option of a group, with the settings that were given where it was still open which one it would be."""
    chosen: Any = OmegaConf.load(CONFIGS / group / f"{option}.yaml")
    if "log_mel" in chosen:
        chosen.log_mel.mels = AUTO
    return OmegaConf.merge(chosen, _settings_of(node))


def _settings_of(node: Any) -> Any:
    return OmegaConf.masked_copy(node, [key for key in node if key != "_target_"]) if node else {}


def _fusion_and_head(config: DictConfig) -> Iterator[Chosen]:
    """Those that an objective needs which reads Y; none for others."""
    left = [key for key in ("fusion", "head") if (config[key] or {}).get("_target_") == AUTO]
    if not left:
        return
    reads_y = _reads_y(config.objective)
    if "fusion" in left:
        config.fusion = _merged("fusion", "concat", config.fusion) if reads_y else _settings_of(config.fusion)
        if reads_y:
            yield Chosen("fusion", "concat", "the objective reads one vector a sample")
    if "head" in left:
        needs_head = reads_y and "outputs" not in config.fusion
        config.head = _merged("head", "linear", config.head) if needs_head else _settings_of(config.head)
        if needs_head:
            yield Chosen("head", "linear", "and one value an output")


def _reads_y(objective: Any) -> bool:
    """Whether an objective, or one of those that it joins, needs one vector a sample."""
    from hydra.utils import get_class

    joined = objective.get("objectives")
    if joined:
        return any(_reads_y(inner) for inner in joined.values())
    return bool(getattr(get_class(objective._target_), "needs_fusion", False))


def _columns(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """Columns of a table: first those of numbers, then the others with the number of their categories."""
    given = {key: config.data.get(key) for key in ("numeric", "cardinalities")}
    if AUTO not in given.values():
        return
    both = set(given.values()) == {AUTO}
    layouts = set()
    for name, numbers in preview.numeric.items():
        categories = preview.categories[name]
        if both:
            config.data.columns[name] = [*numbers, *categories]
            layouts.add((len(numbers), tuple(categories.values())))
        else:
            layouts.add(_rest_of_layout(config.data, name, categories))
    if len(layouts) > 1:
        raise ConfigError(
            "data.numeric=auto: the tables have different numbers of columns. Give data.numeric and data.cardinalities."
        )
    numeric, cardinalities = next(iter(layouts), (0, ()))
    for key, value, why in (
        ("numeric", numeric, "columns that hold numbers alone"),
        ("cardinalities", list(cardinalities), "values of the other columns"),
    ):
        if config.data.get(key) == AUTO:
            config.data[key] = value
            if layouts:
                yield Chosen(f"data.{key}", value, why)


def _rest_of_layout(data: DictConfig, name: str, categories: Mapping[str, int]) -> tuple[int, tuple[int, ...]]:
    """The number of numeric columns and the cardinalities, of which one is given: the columns keep their order.

    Raises:
        ConfigError: a column of numbers is to be one of categories.
    """
    names = data.columns[name]
    names = list(names) if isinstance(names, ListConfig) else [names]
    if data.numeric == AUTO:
        return max(0, len(names) - len(data.cardinalities)), tuple(data.cardinalities)
    rest = names[data.numeric :]
    if numbers := [column for column in rest if column not in categories]:
        raise ConfigError(
            f"data.numeric={data.numeric}: of the columns of {name}, {numbers[0]} holds numbers too. Leave "
            "data.numeric out, or give data.cardinalities as well."
        )
    return data.numeric, tuple(categories[column] for column in rest)


ANY = {"image", "video", "audio", "text", "tabular", "vector"}
OF_KIND = dict.fromkeys(("image_size", "channels", "shift", "scale"), {"image", "video"})
OF_KIND |= dict.fromkeys(("max_seconds", "sample_rate", "mels"), {"audio"}) | {"vocab_size": {"text"}}
"""Settings that matter to some kinds of modality alone, so that they are not spoken of elsewhere."""


def _values(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """All other settings, each by its rule; the epochs last, since they count batches."""
    from polymodal.data import defaults

    rules: dict[str, Callable[[Preview], tuple[Any, str]]] = {
        key: getattr(defaults, key)
        for key in ("vocab_size", "batch_size", "image_size", "channels", "max_seconds", "sample_rate")
    }
    rules |= {key: getattr(defaults, key) for key in ("shift", "scale", "mels", "outputs")}
    rules["max_epochs"] = lambda preview: defaults.max_epochs(preview, config.data.batch_size)
    for key in sorted(_open_keys(config, ""), key=lambda key: key.endswith("max_epochs")):
        name = key.rpartition(".")[2]
        if name not in rules:
            continue
        value, why = rules[name](preview)
        OmegaConf.update(config, key, value)
        matters = name != "outputs" or _reads_y(config.objective)
        if matters and OF_KIND.get(name, ANY) & set(preview.kinds.values()):
            yield Chosen(key, value, why)

"""Settings that say `auto`: they get values that suit the data, before the config is stored and
anything is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from polymodal.config.auto_parts import (
    AUTO,
    Chosen,
    choose_columns,
    choose_encoders,
    choose_fusion,
    needs_fusion,
)
from polymodal.config.environment import is_first_process
from polymodal.errors import ConfigError, PolymodalError

if TYPE_CHECKING:
    from polymodal.data.auto.preview import Preview

WITHOUT_DATA: Mapping[str, Any] = {
    "batch_size": 128,
    "cardinalities": [],
    "channels": 3,
    "image_size": 64,
    "numeric": 0,
    "label_smoothing": 0.0,
    "lr": 2e-3,
    "monitor": "val/accuracy",
    "monitor_mode": "max",
    "sample_rate": 16_000,
    "max_seconds": 30.0,
    "scale": 0.0,
    "shift": 0.0,
    "token_dropout": 0.0,
    "vocab_size": 8000,
}
"""Settings that may be `auto`, and what stands for them while the data are looked at, or where
nothing is known."""


FOLLOW = {*WITHOUT_DATA, "_target_", "hop", "max_epochs", "mels", "outputs", "window"}
"""Names of settings for which there is a rule; Lightning has an `auto` of its own for others."""


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


def fill_auto(config: DictConfig, look: bool = True) -> list[Chosen]:
    """Gives every `auto` of a composed config its value, in place.

    Args:
        config: composed, with an `auto` somewhere.
        look: whether the data may be looked at.

    Returns:
        what followed the data; nothing where they were not looked at.

    Raises:
        ConfigError: a setting cannot follow the data.
        DataError: the data cannot be read.
    """
    preview = _preview(config, look)
    with open_dict(config):
        chosen = [*choose_encoders(config, preview), *choose_fusion(config)]
        chosen += [*choose_columns(config, preview), *_values(config, preview)]
    return [] if preview.training is None else chosen


def report_chosen(chosen: Sequence[Chosen]) -> None:
    """Prints what followed the data, with the reasons; once in all processes."""
    if chosen and is_first_process():
        print("Settings that follow the data, and why:")
        for key, value, why in chosen:
            print(f"  {key}={value}  {why}")


def close(config: DictConfig, stored: Mapping[str, Any]) -> None:
    """Gives every `auto` of a config, in place, the value that a stored config has, as other data
    need for its model.

    Args:
        config: composed; of other data.
        stored: of the training.
    """
    before = OmegaConf.create(dict(stored))
    with open_dict(config):
        for key in list(_open_keys(config, "")):
            name = key.rpartition(".")[2]
            OmegaConf.update(
                config, key, OmegaConf.select(before, key, default=WITHOUT_DATA.get(name))
            )
        for name, columns in (OmegaConf.select(before, "data.columns") or {}).items():
            given = OmegaConf.select(config, f"data.columns.{name}")
            if isinstance(given, ListConfig) and sorted(given) == sorted(columns):
                config.data.columns[name] = columns  # numbers first, as the model reads them


def _preview(config: DictConfig, look: bool) -> Preview:
    """What the data look like: rows of a table are looked at; of other data, what their settings
    say.

    Raises:
        ConfigError: settings of the data cannot be.
    """
    from hydra.errors import InstantiationException

    # these take seconds: what is refused before does not wait for them
    from hydra.utils import get_class, instantiate

    from polymodal.data.auto.preview import Preview
    from polymodal.data.table.module import TableData

    data = OmegaConf.masked_copy(config, list(config)).data
    source = get_class(data._target_) if "." in str(data.get("_target_")) else None
    if not (look and isinstance(source, type) and issubclass(source, TableData)):
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
            data.numeric = max(
                (len(names) if isinstance(names, ListConfig) else 1 for names in tables), default=0
            )
            data.cardinalities = []
    try:
        table = instantiate(data, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, PolymodalError):
            raise error.__cause__ from None
        raise ConfigError(f"data: {error.__cause__ or error}") from error
    return table.preview()  # type: ignore[no-any-return]


def _kinds_by_settings(data: DictConfig) -> dict[str, str]:
    """Modality -> kind, as the settings of data name them; where they name none, images and
    texts.
    """
    from polymodal.data.loading.columns import ROLES

    kinds = data.get("kinds") or {}
    named = data.get("columns") or {}
    columns = [str(name) for name in named if name not in ROLES and named[name] is not None]
    modalities = data.get("modalities")
    if isinstance(modalities, DictConfig):
        return {str(name): str(kind) for name, kind in modalities.items()}
    names = columns or list(modalities or ("image", "text"))
    return {name: kinds.get(name, name) for name in names}


ANY = {"image", "video", "audio", "text", "tabular", "vector"}
OF_KIND = dict.fromkeys(("image_size", "channels", "shift", "scale"), {"image", "video"})
OF_KIND |= dict.fromkeys(("max_seconds", "sample_rate", "mels", "window", "hop"), {"audio"})
OF_KIND |= dict.fromkeys(("token_dropout", "vocab_size"), {"text"})
"""Settings that matter to some kinds of modality alone, so that they are not spoken of
elsewhere."""


def _values(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """All other settings, each by its rule; the epochs last, since they count batches."""
    from polymodal.data.auto import defaults

    # a part and a column have been chosen by now; every other setting has a rule of its name
    settled = {"_target_", "cardinalities", "max_epochs", "monitor_mode", "numeric"}
    rules: dict[str, Callable[[Preview], tuple[Any, str]]] = {
        name: getattr(defaults, name) for name in FOLLOW - settled
    }
    rules["token_dropout"] = lambda preview: defaults.token_dropout(
        preview, _reads_words_alone(config)
    )
    rules["monitor"] = lambda preview: defaults.monitor(
        preview, str(config.objective.get("_target_"))
    )
    rules["monitor_mode"] = lambda _: defaults.monitor_mode(config.monitor)
    rules["max_epochs"] = lambda preview: defaults.max_epochs(
        preview, config.data.batch_size, all(needs_fusion(config.objective))
    )
    read = {kind for modality, kind in preview.kinds.items() if modality in config.encoder}
    for key in sorted(_open_keys(config, ""), key=lambda key: key.endswith("max_epochs")):
        name = key.rpartition(".")[2]
        if name not in rules:
            continue
        value, why = rules[name](preview)
        OmegaConf.update(config, key, value)
        matters = name != "outputs" or any(needs_fusion(config.objective))
        if matters and OF_KIND.get(name, ANY) & read:
            yield Chosen(key, value, why)


def _reads_words_alone(config: DictConfig) -> bool:
    """Whether a text is a bag of words."""
    return any(
        str(node.get("_target_")).endswith(".BagOfWords") for node in config.encoder.values()
    )

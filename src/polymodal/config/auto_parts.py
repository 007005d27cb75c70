"""Parts that are `auto`: encoders follow the modalities, fusion and head the objective, columns
their kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf

from polymodal.config.messages import CONFIGS
from polymodal.errors import ConfigError, named

if TYPE_CHECKING:
    from polymodal.data.auto.preview import Preview

AUTO = "auto"


class Chosen(NamedTuple):
    """A setting that followed the data: its key, its value, and why it is that."""

    key: str
    value: Any
    why: str


OPTIONS = {"image": "cnn", "audio": "cnn", "video": "mean", "tabular": "mlp"}
"""Kind of modality -> the encoder that is taken where none is chosen; that of text follows the
number of samples."""


def choose_encoders(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """An encoder for each modality that the columns name."""
    from polymodal.data.auto.defaults import text_encoder

    left = [name for name, node in config.encoder.items() if node.get("_target_") == AUTO]
    if not left:
        return
    # one that has another name than its kind is in no group that could be `none`
    own = [
        name for name, kind in preview.kinds.items() if name not in config.encoder and name != kind
    ]
    for name in [*left, *own]:
        if name not in preview.kinds:
            config.encoder[name] = _settings_of(config.encoder[name])
            if not config.encoder[name]:
                del config.encoder[name]
            continue  # settings of an encoder that there is not are refused by the check
        if name in preview.of_label and all(needs_fusion(config.objective)):
            del config.encoder[name]
            yield Chosen(f"encoder/{name}", "none", "it would give the label away")
            continue
        kind = preview.kinds[name]
        option, why = OPTIONS.get(kind), f"the data have {kind}"
        if kind == "text":
            option, why = text_encoder(preview)
        if option is None:
            raise ConfigError(
                f"encoder.{name}: say which one, such as +encoder/tabular@encoder.{name}=features."
            )
        config.encoder[name] = _merged(f"encoder/{kind}", option, config.encoder.get(name, {}))
        yield Chosen(f"encoder/{name}", option, why)


def _merged(group: str, option: str, node: Any) -> Any:
    """An option of a group, with the settings that were given where it was still open which one it
    would be.
    """
    chosen: Any = OmegaConf.load(CONFIGS / group / f"{option}.yaml")
    if "log_mel" in chosen:
        chosen.log_mel.update(dict.fromkeys(("mels", "window", "hop"), AUTO))
    return OmegaConf.merge(chosen, _settings_of(node))


def _settings_of(node: Any) -> Any:
    return OmegaConf.masked_copy(node, [key for key in node if key != "_target_"]) if node else {}


def choose_fusion(config: DictConfig) -> Iterator[Chosen]:
    """Those that an objective needs which reads Y; none for others."""
    left = [key for key in ("fusion", "head") if (config[key] or {}).get("_target_") == AUTO]
    if not left:
        return
    reads_y = any(needs_fusion(config.objective))
    if "fusion" in left:
        config.fusion = (
            _merged("fusion", "concat", config.fusion) if reads_y else _settings_of(config.fusion)
        )
        if reads_y:
            yield Chosen("fusion", "concat", "the objective reads one vector a sample")
    if "head" in left:
        needs_head = reads_y and "outputs" not in config.fusion
        config.head = (
            _merged("head", "linear", config.head) if needs_head else _settings_of(config.head)
        )
        if needs_head:
            yield Chosen("head", "linear", "and one value an output")


def objective_classes(objective: Any) -> Iterator[type[Any]]:
    """The class of an objective; of one that joins others, which says nothing of itself, theirs."""
    from hydra.utils import get_class  # this takes seconds, and most checks do not ask

    joined = objective.get("objectives")
    if joined:
        for inner in joined.values():
            yield from objective_classes(inner)
    else:
        yield get_class(objective["_target_"])


def needs_fusion(objective: Any) -> list[bool]:
    """Whether an objective needs one vector a sample; of one that joins others, for each of
    them.
    """
    return [bool(getattr(kind, "needs_fusion", False)) for kind in objective_classes(objective)]


def choose_columns(config: DictConfig, preview: Preview) -> Iterator[Chosen]:
    """Columns of a table: first those of numbers, then the others with the number of their
    categories.
    """
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
            "data.numeric=auto: the tables have different numbers of columns. Give data.numeric "
            "and data.cardinalities."
        )
    numeric, cardinalities = next(iter(layouts), (0, ()))
    names = [column for name in preview.numeric for column in _columns_of(config.data, name)]
    # of the first table
    numbers, others = (names[:numeric], names[numeric : numeric + len(cardinalities)])
    for key, value, why in (
        ("numeric", numeric, _with_names("columns that hold numbers alone", numbers)),
        ("cardinalities", list(cardinalities), _with_names("values of the other columns", others)),
    ):
        if config.data.get(key) == AUTO:
            config.data[key] = value
            if layouts:
                yield Chosen(f"data.{key}", value, why)


def _columns_of(data: DictConfig, name: str) -> list[str]:
    columns = data.columns[name]
    return list(columns) if isinstance(columns, ListConfig) else [columns]


def _with_names(why: str, columns: Sequence[str]) -> str:
    return f"{why}: {named(columns)}" if columns else why


def _rest_of_layout(
    data: DictConfig, name: str, categories: Mapping[str, int]
) -> tuple[int, tuple[int, ...]]:
    """The number of numeric columns and the cardinalities, of which one is given: the columns keep
    their order.

    Raises:
        ConfigError: a column of numbers is to be one of categories.
    """
    names = _columns_of(data, name)
    if data.numeric == AUTO:
        return max(0, len(names) - len(data.cardinalities)), tuple(data.cardinalities)
    rest = names[data.numeric :]
    if numbers := [column for column in rest if column not in categories]:
        raise ConfigError(
            f"data.numeric={data.numeric}: of the columns of {name}, {numbers[0]} holds numbers "
            "too. Leave data.numeric out, or give data.cardinalities as well."
        )
    return data.numeric, tuple(categories[column] for column in rest)

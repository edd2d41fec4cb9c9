"""The shape of a model between two stages, as far as the server can know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pricetag.recipes.architectures import InvertedBottleneck, format_of
from pricetag.recipes.data import FromScratch


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a stage's input model; None if unknown.

    ``formats`` names how its modules differ from its configuration, as far as known: ``sliced``,
    ``low_rank``, ``shared`` and others of ``FORMAT_FILES``. If they are ``complete``, it has no
    others.

    ``of_run`` is the run's own model, from which a student may start, and ``student`` the trained
    student in the folder that the stage names; ``tied`` is whether input and output embeddings
    are one matrix. None if unknown.
    """

    layers: int | None = None
    hidden_size: int | None = None
    heads: int | None = None
    intermediate_size: int | None = None
    formats: frozenset[str] = frozenset()
    complete: bool = False
    of_run: Shape | None = None
    student: Shape | None = None
    tied: bool | None = None

    def of_format(self, *names: str) -> Shape:
        """The same model with further formats."""
        return replace(self, formats=self.formats | set(names))

    def lacks(self, name: str) -> bool:
        """Whether the model is known not to have a format."""
        return self.complete and name not in self.formats


class MisfitError(ValueError):
    """A stage does not fit its input model; ``option`` is the one to change.

    ``code`` is that of the job's error if only the worker can see the model.
    """

    def __init__(self, option: str, message: str, code: str = "bad-student") -> None:
        super().__init__(message)
        self.option = option
        self.code = code


FORMAT_FILES: Mapping[str, str] = {
    "shared": "shared_layers.json",
    "deq": "deq.json",
    "reformer": "reformer.json",
    "factorized_embedding": "factorized_embedding.json",
    "sliced": "slices.json",
    "low_rank": "low_rank.json",
    "exits": "exits.json",
}
"""Formats that can be trained further, by the file beside the weights that shows each."""

ALL_FORMATS = frozenset(FORMAT_FILES)

FORMATS_WITH_UNITS = frozenset({"sliced", "exits"})
"""Formats whose layers have heads and neurons of their own, as those of a plain model have."""

FORMATS_WITH_STATES = ALL_FORMATS - {"deq", "reformer", "sliced", "exits"}
"""Formats whose layers show the hidden states and the attention of all layers and heads."""


def require_format(
    shape: Shape, allowed: Iterable[str], advice: str, code: str, option: str = "kind"
) -> None:
    """Reject a model of a format that a stage cannot work on.

    Args:
        shape: The model.
        allowed: Formats that the model may have; ``plain`` is always allowed.
        advice: What to do instead, or why.
        code: Code of the job's error if only the worker can see the model.
        option: Option that the error names.

    Raises:
        MisfitError: The model has another format.
    """
    blocking = sorted(shape.formats - set(allowed))
    if blocking:
        names = ", ".join(blocking).replace("_", " ")
        raise MisfitError(option, f"the model of this stage is {names}: {advice}", code)


def require_whole_layers(shape: Shape) -> None:
    """Reject a model whose layers have no heads and neurons of their own to cut out.

    Raises:
        MisfitError: Its layers are shared or factors.
    """
    require_format(
        shape,
        FORMATS_WITH_UNITS,
        "its layers have no heads and neurons of their own; cut them out before",
        "heads-not-removable",
    )


def check_family(params: object, model: object) -> MisfitError | None:
    """Why heads and neurons cannot be cut out of a run's model, by its architecture alone."""
    if not isinstance(model, FromScratch):
        return None
    is_thin = isinstance(model.architecture, InvertedBottleneck)
    family = "mobilebert" if is_thin else model.config.model_type
    if family == "bert":
        return None
    return MisfitError(
        "kind",
        f"the heads of a {family} model cannot be removed; use a BERT-shaped encoder",
        "heads-not-removable",
    )


def require_plain_teacher(shape: Shape, option: str = "kind") -> None:
    """Reject a teacher from which no student can be made.

    Raises:
        MisfitError: The teacher is not plain.
    """
    require_format(
        shape, (), "no student can be made from it; distill before", "bad-student", option
    )


def require_states(
    shape: Shape, who: str, option: str = "kind", *, attention: bool, leaves_early: bool = False
) -> None:
    """Reject a model whose layers do not show what a student and its teacher compare.

    Args:
        shape: The teacher, or the student in a folder.
        who: ``teacher`` or ``student``, for the message.
        option: Option that the error names.
        attention: Whether attention is compared, not only hidden states.
        leaves_early: Whether a model with exits computes only some of its layers.

    Raises:
        MisfitError: Its layers show no such states.
    """
    blocking = ALL_FORMATS - FORMATS_WITH_STATES if attention else frozenset({"deq"})
    blocking |= frozenset({"exits"} if leaves_early else ())
    if formats := sorted(shape.formats & blocking):
        states = "hidden states and attention" if attention else "hidden states"
        raise MisfitError(
            option,
            f"the {who} is {', '.join(formats)}: its layers do not show {states} to compare; "
            "use method: logits, or a plain model",
        )


def require_stated_formats(shape: Shape, kind: str, stated: Iterable[str]) -> None:
    """Reject a model of a format that a stage kind does not state.

    Args:
        shape: The model.
        kind: Name of the kind.
        stated: The formats that it works on, beside plain models.

    Raises:
        MisfitError: The model has another format.
    """
    names = ", ".join(sorted(stated)).replace("_", " ")
    others = f"and those that are {names}" if names else "alone"
    require_format(shape, stated, f"{kind} works on plain models {others}", "bad-model")


def described_shape(model: object) -> Shape:
    """The shape of a run's model, known if it is trained from scratch."""
    if not isinstance(model, FromScratch):
        return Shape()
    config = model.config
    return Shape(
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        frozenset(format_of(model.architecture)),
        complete=True,
    )


SIZE_NAMES: Mapping[str, tuple[str, ...]] = {
    "num_hidden_layers": ("num_hidden_layers", "n_layers", "n_layer", "num_layers"),
    "hidden_size": ("hidden_size", "d_model", "dim", "n_embd"),
    "num_attention_heads": ("num_attention_heads", "n_heads", "n_head"),
    "intermediate_size": (
        *("intermediate_size", "n_inner", "hidden_dim"),
        *("encoder_ffn_dim", "ffn_dim", "d_ff", "d_inner"),
    ),
}
"""Names that architectures have for a size; the first one that a configuration has is its own."""


def stored_shape(config: object) -> Shape:
    """The shape that a model's ``config.json`` states, whatever it calls its sizes."""

    def size(option: str) -> int | None:
        stated = config if isinstance(config, Mapping) else {}
        value = next((stated[name] for name in SIZE_NAMES[option] if name in stated), None)
        return value if type(value) is int and value > 0 else None

    layers, hidden, heads, inner = (size(option) for option in SIZE_NAMES)
    return Shape(layers, hidden, heads, inner)

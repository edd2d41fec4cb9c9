"""Confirmations of actions that cannot be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A confirmation, with the form of the action.

    Attributes:
        title: The question.
        name: Name of the object.
        sentences: What follows from it.
        action: Address that the form posts to.
        button: Label of its button.
        back: Address of the page before.
        keep: Label of the link there.
        fields: Hidden fields of the form.
    """

    title: str
    name: str
    sentences: Sequence[str]
    action: str
    button: str
    back: str
    keep: str
    fields: Sequence[tuple[str, str]] = ()


def cancel_run(
    name: str, *, is_running: bool, is_queues: bool = True, action: str, back: str
) -> Question:
    """The confirmation before a run is canceled."""
    consequence = (
        "It is asked to stop. Its use so far stays on its price tag, and its work since its last"
        " checkpoint is lost."
        if is_running
        else "It leaves the queue and loses its place in it."
    )
    if not is_queues:
        consequence = (
            "It ends as failed, with what has arrived of its journal; no more of it is taken. The"
            " program, if it still runs, is not stopped."
        )
    return Question(
        "Cancel this run?", name, [consequence], action, "Cancel the run", back, "Keep the run"
    )


def cancel_study(name: str, *, action: str, back: str) -> Question:
    """The confirmation before a study is canceled."""
    consequence = (
        "Its queued runs are canceled and its running ones are asked to stop. Their use so far"
        " stays on its price tag."
    )
    return Question(
        "Cancel this study?", name, [consequence], action, "Cancel the study", back, "Keep it"
    )


def delete_view(name: str, project: str | None, *, action: str, back: str) -> Question:
    """The confirmation before a saved view is deleted."""
    sentences = ["Links to it stop working. Its runs stay."]
    if project is not None:
        sentences.append(f"It is shared: everybody in project {project} loses it.")
    title = "Delete this view?"
    return Question(title, name, sentences, action, "Delete the view", back, "Keep the view")


def freeze_paper(name: str, runs: int, *, action: str, back: str) -> Question:
    """The confirmation before a paper is frozen."""
    sentences = [
        f"Its {runs:,} runs and their price tags are fixed, and a report on them is created.",
        "This cannot be undone.",
    ]
    title = "Freeze this paper?"
    return Question(title, name, sentences, action, "Freeze the paper", back, "Keep collecting")


def reprice_run(name: str, as_of: str, *, action: str, back: str) -> Question:
    """The confirmation before a run is re-priced."""
    factors = f"the factors known on {as_of}" if as_of else "the factors known now"
    sentences = [
        f"A new version of its price tag is issued with {factors}. Versions cannot be deleted;"
        " the present one stays.",
    ]
    if not as_of:
        sentences.append("Budgets use the new version from then on.")
    return Question(
        "Re-price this run?",
        name,
        sentences,
        action,
        "Re-price the run",
        back,
        "Keep the present version",
        [("as_of", as_of)],
    )

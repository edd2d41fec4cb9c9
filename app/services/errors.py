"""Errors of the use cases, each with a stable code."""

from __future__ import annotations

from collections.abc import Sequence

from app.schemas.common import FieldProblem


class PricetagError(Exception):
    """Base of the errors that a caller can act on.

    Attributes:
        code: Stable, kebab-case identifier; part of the public interface.
        status: HTTP status of the response.
        message: Description of the problem, for people.
        field: Dotted path of the invalid input, if any.
    """

    code = "error"
    status = 500

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class NotFoundError(PricetagError):
    """The requested object does not exist."""

    code = "not-found"
    status = 404


class InvalidError(PricetagError):
    """The input is well-formed but cannot be accepted."""

    code = "invalid"
    status = 422


class InvalidFieldsError(InvalidError):
    """Several fields of a description may be invalid; the error lists every one."""

    def __init__(self, errors: Sequence[FieldProblem]) -> None:
        first = errors[0]
        text = f"{first.field}: {first.message}" if first.field else first.message
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(text + more, field=first.field)
        self.errors = list(errors)


class ConflictError(PricetagError):
    """The request contradicts the current state."""

    code = "conflict"
    status = 409


class UnauthenticatedError(PricetagError):
    """The token is missing or invalid."""

    code = "unauthenticated"
    status = 401


class ForbiddenError(PricetagError):
    """The token's role does not allow this."""

    code = "forbidden"
    status = 403


class NotYourRunError(ForbiddenError):
    """A member can change only runs that they posted."""

    code = "not-your-run"


class AttemptNotFoundError(NotFoundError):
    """No attempt has this id."""

    code = "attempt-not-found"


class RunNotFoundError(NotFoundError):
    """No run has this id."""

    code = "run-not-found"


class RunFinishedError(ConflictError):
    """The run has reached its final status and can no longer be changed."""

    code = "run-finished"


class PriceTagNotFoundError(NotFoundError):
    """The run has no price tag, or not this version."""

    code = "price-tag-not-found"

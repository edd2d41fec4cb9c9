"""Signing in with the identity provider: there, and back."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api import browsers
from app.api.access import OPEN
from app.api.deps import FOREIGN_QUERY, CurrentSession, ServerResources
from app.services.errors import NotFoundError
from app.services.people import identities, oidc, sign_in_links, web_sessions
from app.services.people.oidc import SignInRejectedError
from app.settings import Settings
from app.web.pages.sign_in import Next, browser_of, require_private, welcome
from app.web.problems import remember_next
from app.web.rendering import page_router

router = page_router()
Text = Annotated[str | None, Query(max_length=4000)]


class ProviderOffError(NotFoundError):
    """No identity provider is set up."""

    code = "identity-provider-off"


def require_provider(settings: Settings) -> None:
    """Requires that an identity provider is set up.

    Raises:
        ProviderOffError: If none is.
    """
    if settings.oidc_issuer is None:
        raise ProviderOffError(
            "No identity provider is set up on this server (PRICETAG_OIDC_ISSUER)."
        )


@router.get("/login/oidc", dependencies=[OPEN])
async def visit_provider(
    request: Request, session: CurrentSession, resources: ServerResources, next: Next = None
) -> Response:
    """Leads to the provider."""
    remember_next(request, next)
    require_provider(resources.settings)
    require_private(request)
    visit = await oidc.begin(resources.settings)
    secret = await sign_in_links.keep_visit(session, {**visit.details, "next": next or "/"})
    response = RedirectResponse(visit.url, 303, headers={"Cache-Control": "no-store"})
    browsers.keep(request, response, secret, suffix=browsers.VISIT)
    return response


@router.get("/login/oidc/return", dependencies=[OPEN], openapi_extra=FOREIGN_QUERY)
async def return_from_provider(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    code: Text = None,
    state: Text = None,
    error: Text = None,
) -> Response:
    """Signs in whom the provider has confirmed."""
    settings = resources.settings
    require_provider(settings)
    require_private(request)
    secret = browsers.kept(request, suffix=browsers.VISIT)
    details = await sign_in_links.take_visit(session, secret)
    if details is None or state != details["state"]:
        raise SignInRejectedError(
            "This sign-in was not begun in this browser, or took longer than ten minutes; sign in"
            " again."
        )
    remember_next(request, details.get("next"))
    if code is None:
        raise SignInRejectedError(
            f"The identity provider did not sign you in ({error or 'it sent no code'})."
        )
    identity = await oidc.finish(settings, details, code)
    user = await identities.user_for(session, identity, settings)
    begun = await web_sessions.begin(session, user, "oidc", browser=browser_of(request))
    response = welcome(request, begun, details.get("next"))
    browsers.forget(request, response, suffix=browsers.VISIT)
    return response

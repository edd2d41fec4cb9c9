"""Checks whether the model hub has a model, with one short request."""

from __future__ import annotations

PATIENCE_S = 5.0


def why_absent(name: str) -> str | None:
    """Reason why the hub has no such model for this worker; None if it has.

    A model in the hub's local cache needs no request. The hub's own loaders would repeat a
    request without a response for half a minute.
    """
    from huggingface_hub import HfApi, errors, try_to_load_from_cache

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return None
        HfApi().model_info(name, timeout=PATIENCE_S)
    except errors.GatedRepoError:
        return "this worker has no access to that model on the hub: its owner must grant it"
    except errors.RepositoryNotFoundError:
        return "the hub has no model of that name that this worker can read"
    except (errors.HTTPError, OSError, ValueError) as error:  # type: ignore[attr-defined]
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"the hub did not respond to a request for that name ({first_line[:200]})"
    return None

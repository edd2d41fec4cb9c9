"""Whether the model hub has a model: asked once, and not for long."""

from __future__ import annotations

PATIENCE_S = 5.0


def why_absent(name: str) -> str | None:
    """Why no model of that name can be had from the hub, or None where it can.

    What an earlier run left in the hub's local cache is not asked for again. The hub's own
    loaders would repeat a question without an answer for half a minute.
    """
    from huggingface_hub import HfApi, errors, try_to_load_from_cache

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return None
        HfApi().model_info(name, timeout=PATIENCE_S)
    except errors.GatedRepoError:
        return "the hub does not give that model to this worker: its owner must grant access"
    except errors.RepositoryNotFoundError:
        return "the hub has no model of that name that this worker may read"
    except (errors.HTTPError, OSError, ValueError) as error:  # type: ignore[attr-defined]
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"the hub gave no answer about that name ({first_line[:200]})"
    return None

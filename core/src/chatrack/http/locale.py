"""The language of a request."""

import re

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,7}")
"""A well-formed tag of BCP 47, such as `de` or `zh-Hant-TW`. Instructions for the model contain it."""


def locale_of(user_locale: str | None, accept_language: str | None) -> str | None:
    """Return the language tag of a request: that of the user, or the first one that the client names.

    Args:
        user_locale: the language of the user, if the credentials say it.
        accept_language: the header `Accept-Language`.

    Returns:
        A well-formed language tag, or None.
    """
    preferred = (accept_language or "").partition(",")[0].partition(";")[0]
    for candidate in (user_locale, preferred):
        # Some identity providers write `en_US`.
        tag = (candidate or "").strip().replace("_", "-")
        if _LANGUAGE_TAG.fullmatch(tag):
            return tag
    return None

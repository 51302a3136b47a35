"""Headers that every response gets unless it sets them itself."""

from chatrack.config import ServerTable

_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",  # what is not said to be for everybody may be a user's
}

_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
"""For a year, browsers use HTTPS for this host only."""


def security_headers(settings: ServerTable) -> dict[bytes, bytes]:
    """Return the headers.

    Args:
        settings: has `public_url`; if that is an `https://` URL, browsers are told to use nothing else.
    """
    if settings.public_url is None or not settings.public_url.startswith("https://"):
        return _HEADERS
    return dict([*_HEADERS.items(), _HTTPS_ONLY])

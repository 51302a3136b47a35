"""`jwt_auth`: users with JSON Web Tokens, such as the access tokens of OAuth 2 and OpenID Connect."""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

import httpx2
import msgspec

import chatrack
from chatrack import Authenticator, Secret, hookimpl
from chatrack.builtin.jwt.authenticator import IssuingAuthenticator, JWTAuthenticator, Rules
from chatrack.builtin.jwt.claims import ClaimNames
from chatrack.builtin.jwt.keys import Key, OneKey, PublishedKeys, public_key, secret_key
from chatrack.settings import ONE_OR_LIST, from_env

_SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
_MIN_SECRET = 32
_MAX_PORT = 65_535

Algorithm = Literal["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class JWTAuthPlugin:
    """Accepts bearer tokens that a shared secret, a public key or an issuer's published keys verify."""

    api = 1

    class Settings(chatrack.Settings):
        """`[plugins.jwt_auth]`. Exactly one of `secret`, `public_key` and `jwks_url` is set.

        Args:
            secret: the shared secret, 32 bytes or more.
            public_key: the issuer's public key, in PEM.
            jwks_url: where the issuer publishes its keys.
            algorithms: the accepted algorithms; HS256 with `secret`, otherwise required.
            issuer: the accepted values of `iss`; any if absent.
            audience: the accepted values of `aud`; any if absent. Set it if the issuer has tokens for other services too.
            leeway: seconds that the issuer's clock may differ by.
            user_claim: the claim with the user's id.
            tenant_claim: the claim with the tenant, which a token must then have. If it is absent, all users are of the
                tenant `default`.
            roles_claim: the claim with the roles: a list, or a text with spaces.
            name_claim: the claim with the display name.
            email_claim: the claim with the email address.
            locale_claim: the claim with the language tag.
        """

        secret: Annotated[Secret | None, from_env("JWT_SECRET")] = None
        public_key: str | None = None
        jwks_url: str | None = None
        algorithms: list[Algorithm] | None = None
        issuer: Annotated[list[Text], ONE_OR_LIST] = []
        audience: Annotated[list[Text], ONE_OR_LIST] = []
        leeway: Annotated[float, msgspec.Meta(ge=0, le=300)] = 0.0
        user_claim: Text = "sub"
        tenant_claim: Text | None = None
        roles_claim: Text = "roles"
        name_claim: Text = "name"
        email_claim: Text = "email"
        locale_claim: Text = "locale"

        def __post_init__(self) -> None:
            self._check_source()
            if self.secret is not None:
                _check_secret(self.secret.reveal())
            if self.jwks_url is not None:
                _check_url(self.jwks_url)
            self._check_algorithms()

        def _check_source(self) -> None:
            sources = [self.secret is not None, self.public_key is not None, self.jwks_url is not None]
            if sum(sources) != 1:
                raise ValueError(
                    "set exactly one of `secret` (or the environment variable JWT_SECRET), `public_key` and `jwks_url`"
                )

        def _check_algorithms(self) -> None:
            if self.algorithms is None:
                if self.secret is None:
                    raise ValueError(
                        "algorithms: required with a public key; name those that the issuer signs with"
                    )
                return
            if not self.algorithms:
                raise ValueError("algorithms: expected one or more")
            # A token that is "signed" with the public key as if it were a secret must never be accepted.
            for algorithm in self.algorithms:
                if (algorithm in _SYMMETRIC) != (self.secret is not None):
                    other = "a `secret`" if self.secret is not None else "a public key"
                    raise ValueError(f"algorithms: {algorithm} does not go with {other}")
            if self.public_key is not None:
                key = _read_public_key(self.public_key)
                for algorithm in self.algorithms:
                    if algorithm not in key.algorithms:
                        raise ValueError(f"algorithms: {algorithm} does not go with this `public_key`")

    def __init__(self, settings: Settings) -> None:
        algorithms: Sequence[str] = settings.algorithms or ["HS256"]
        rules = Rules(
            algorithms=frozenset(algorithms),
            issuers=settings.issuer,
            audiences=settings.audience,
            leeway=settings.leeway,
            names=ClaimNames(
                user=settings.user_claim,
                tenant=settings.tenant_claim,
                roles=settings.roles_claim,
                name=settings.name_claim,
                email=settings.email_claim,
                locale=settings.locale_claim,
            ),
        )
        self.published: PublishedKeys | None = None
        self.authenticator: Authenticator
        if settings.secret is not None:
            secret = settings.secret.reveal()
            self.authenticator = IssuingAuthenticator(secret_key(secret, algorithms), algorithms[0], rules)
        elif settings.public_key is not None:
            self.authenticator = JWTAuthenticator(OneKey(public_key(settings.public_key)), rules)
        else:
            assert settings.jwks_url is not None
            self.published = PublishedKeys(settings.jwks_url)
            self.authenticator = JWTAuthenticator(self.published, rules)

    @hookimpl
    def authenticators(self) -> Sequence[Authenticator]:
        """Return the authenticator."""
        return [self.authenticator]

    @hookimpl
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Load published keys now and then."""
        return contextlib.nullcontext() if self.published is None else self.published.refreshing()


def _read_public_key(pem: str) -> Key:
    try:
        return public_key(pem)
    except ValueError as error:
        raise ValueError(f"public_key: {error}") from error


def _check_secret(secret: str) -> None:
    if len(secret.encode()) < _MIN_SECRET:
        raise ValueError(f"secret: expected {_MIN_SECRET} bytes or more; `openssl rand -hex 32` makes one")
    if "-----BEGIN" in secret:  # anybody could sign with a key that is public
        raise ValueError("secret: expected a shared secret, not a key in PEM, which belongs in `public_key`")


def _check_url(url: str) -> None:
    try:
        parts = httpx2.URL(url)
        known = parts.scheme in {"http", "https"} and parts.host and (parts.port or 0) <= _MAX_PORT
        is_url = known and not parts.userinfo and " " not in url
    except httpx2.InvalidURL:
        is_url = False
    if not is_url:
        raise ValueError(
            'jwks_url: expected a URL such as "https://issuer.example.com/.well-known/jwks.json", without a password'
        )

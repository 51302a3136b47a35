"""Creating models by name: `provider` or `provider/model`."""

from collections.abc import Mapping

import msgspec

from chatrack.errors import ConfigError, StartupError
from chatrack.interfaces import Model, ModelProvider, Transcriber
from chatrack.settings import did_you_mean


class NamedModel(msgspec.Struct, frozen=True):
    """A model and its name.

    Args:
        name: `provider/model`, also if the model is the provider's default; `provider` if the model has no name.
        model: the model.
    """

    name: str
    model: Model


class ModelFactory:
    """A factory of models.

    Args:
        providers: the model providers, by prefix.
        file: the name of the config file, for errors.
    """

    def __init__(self, providers: Mapping[str, ModelProvider], file: str) -> None:
        self.providers = dict(providers)
        self._file = file

    def create(self, name: str, *, key: str) -> NamedModel:
        """Return a new model.

        Args:
            name: `provider` (its default model) or `provider/model`.
            key: the setting that names the model, for errors.

        Raises:
            ConfigError: there is no such provider, or it lacks a setting such as its key.
        """
        prefix, slash, model = name.partition("/")
        provider = self.providers.get(prefix)
        if provider is None or not prefix:
            known = ", ".join(sorted(self.providers)) or "none; enable one"
            raise ConfigError(
                f'{self._file}: {key}: there is no model provider "{prefix}"'
                f"{did_you_mean(prefix, self.providers)}; providers: {known}"
            )
        if slash and not model:
            raise ConfigError(f'{self._file}: {key}: "{name}" has no model after the slash')
        try:
            created = provider.get_model(model or None)
        except StartupError as error:
            raise ConfigError([f'{self._file}: {key} = "{name}": {line}' for line in error.lines]) from error
        except Exception as error:  # a mistake in the plugin
            line = f'{self._file}: {key} = "{name}": {type(error).__name__}: {" ".join(str(error).split())}'
            raise ConfigError(line) from error
        # Models of the Agents SDK have their name in `model`.
        default = getattr(created, "model", None)
        return NamedModel(f"{prefix}/{default}" if not model and isinstance(default, str) else name, created)

    def transcriber(self, name: str, *, key: str) -> "NamedTranscriber":
        """Return the speech-to-text model of a provider.

        Args:
            name: `provider` or `provider/model`.
            key: the setting that names the model, for errors.

        Raises:
            ConfigError: there is no such provider, or it has no speech-to-text.
        """
        self.create(name, key=key)  # raises if the name or the provider's settings are wrong
        prefix, _, model = name.partition("/")
        provider = self.providers[prefix]
        if not isinstance(provider, Transcriber):
            raise ConfigError(f'{self._file}: {key}: the provider "{prefix}" has no speech-to-text')
        return NamedTranscriber(name, model or None, provider)


class NamedTranscriber(msgspec.Struct, frozen=True):
    """A speech-to-text model and its name.

    Args:
        name: `provider` or `provider/model`.
        model: the provider's name of the model; its default if None.
        provider: the provider.
    """

    name: str
    model: str | None
    provider: Transcriber

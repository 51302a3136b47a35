"""The single way to a model: `provider` or `provider/model`."""

from collections.abc import Mapping

import msgspec

from chatrack.errors import ConfigError, StartupError
from chatrack.interfaces import Model, ModelProvider, Transcriber
from chatrack.settings import did_you_mean


class NamedModel(msgspec.Struct, frozen=True):
    """A model and what it is called.

    Args:
        name: `provider/model`, also where the model was the provider's default; of a provider that does not name
            its models, `provider`.
        model: the model.
    """

    name: str
    model: Model


class ModelFactory:
    """Makes models by name.

    Args:
        providers: by prefix.
        file: the name of the config file, for errors.
    """

    def __init__(self, providers: Mapping[str, ModelProvider], file: str) -> None:
        self.providers = dict(providers)
        self._file = file

    def create(self, name: str, *, key: str) -> NamedModel:
        """Make a model.

        Args:
            name: `provider` (its default model) or `provider/model`.
            key: the setting that asked, for errors.

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
            raise ConfigError(f'{self._file}: {key}: "{name}" names no model after the slash')
        try:
            made = provider.get_model(model or None)
        except StartupError as error:
            raise ConfigError([f'{self._file}: {key} = "{name}": {line}' for line in error.lines]) from error
        except Exception as error:  # a provider's own mistake
            line = f'{self._file}: {key} = "{name}": {type(error).__name__}: {" ".join(str(error).split())}'
            raise ConfigError(line) from error
        own = getattr(made, "model", None)
        return NamedModel(f"{prefix}/{own}" if not model and isinstance(own, str) else name, made)

    def transcriber(self, name: str, *, key: str) -> "NamedTranscriber":
        """Find what turns speech into text.

        Args:
            name: `provider` or `provider/model`.
            key: the setting that asked, for errors.

        Raises:
            ConfigError: there is no such provider, or it does not take speech.
        """
        self.create(name, key=key)  # says what is wrong with the name, or with the provider's settings
        prefix, _, model = name.partition("/")
        provider = self.providers[prefix]
        if not isinstance(provider, Transcriber):
            raise ConfigError(f'{self._file}: {key}: the provider "{prefix}" does not turn speech into text')
        return NamedTranscriber(name, model or None, provider)


class NamedTranscriber(msgspec.Struct, frozen=True):
    """What turns speech into text.

    Args:
        name: `provider` or `provider/model`.
        model: the provider's name for the model; its default if None.
        provider: whose model it is.
    """

    name: str
    model: str | None
    provider: Transcriber

"""The single way to a model: `provider` or `provider/model`."""

from collections.abc import Mapping

from chatrack.errors import ConfigError, StartupError
from chatrack.interfaces import Model, ModelProvider
from chatrack.settings import closest


class ModelFactory:
    """Makes models by name.

    Args:
        providers: by prefix.
        file: the name of the config file, for errors.
    """

    def __init__(self, providers: Mapping[str, ModelProvider], file: str) -> None:
        self.providers = dict(providers)
        self._file = file

    def create(self, name: str, *, key: str) -> Model:
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
                f"{closest(prefix, self.providers)}; providers: {known}"
            )
        if slash and not model:
            raise ConfigError(f'{self._file}: {key}: "{name}" names no model after the slash')
        try:
            return provider.get_model(model or None)
        except StartupError as error:
            raise ConfigError([f'{self._file}: {key} = "{name}": {line}' for line in error.lines]) from error

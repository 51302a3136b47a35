"""Settings: tables of config.toml decoded into structs, with references to the environment and to files."""

from chatrack.settings.decode import Problems, decode, did_you_mean
from chatrack.settings.references import Source, load_source
from chatrack.settings.secret import Secret
from chatrack.settings.struct import ONE_OR_LIST, Settings, from_env, variables_of

__all__ = [
    "ONE_OR_LIST",
    "Problems",
    "Secret",
    "Settings",
    "Source",
    "decode",
    "did_you_mean",
    "from_env",
    "load_source",
    "variables_of",
]

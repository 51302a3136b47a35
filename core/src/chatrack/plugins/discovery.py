"""Discovery of installed plugins: entry points of the group `chatrack`. None is imported."""

from collections.abc import Mapping
from importlib.metadata import Distribution, EntryPoint

import msgspec

from chatrack.entry_points import entry_points
from chatrack.errors import PluginError

GROUP = "chatrack"
"""The entry-point group of plugins."""


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """An installed plugin.

    Args:
        name: the name of its entry point.
        distribution: the distribution that installs it.
        version: that distribution's version.
        entry_point: names its class.
    """

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    @property
    def source(self) -> str:
        """The distribution and its version, for errors and tables."""
        return f"{self.distribution} {self.version}"


def discover() -> Mapping[str, Installed]:
    """Return the installed plugins by name.

    Raises:
        PluginError: two distributions install a plugin with the same name.
    """
    installed: dict[str, Installed] = {}
    identities: dict[Distribution | None, tuple[str, str]] = {None: ("unknown", "unknown")}
    for point in entry_points(GROUP):
        if point.dist is not None and point.dist not in identities:
            metadata = point.dist.metadata  # parsed at each access
            identities[point.dist] = metadata["Name"], metadata["Version"]
        distribution, version = identities[point.dist]
        plugin = Installed(name=point.name, distribution=distribution, version=version, entry_point=point)
        other = installed.get(point.name)
        if other is not None and (other.distribution, other.entry_point.value) != (
            plugin.distribution,
            point.value,
        ):
            raise PluginError(
                point.name,
                "install",
                f"installed twice, by {other.source} and by {plugin.source}; uninstall one of them",
            )
        installed[point.name] = plugin
    return installed

"""Which plugins are installed: entry points of the group `chatrack`, none of them imported."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import msgspec

from chatrack.errors import PluginError

GROUP = "chatrack"
"""The entry-point group of plugins."""


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """An installed plugin.

    Args:
        name: the name of its entry point.
        distribution: the distribution that brings it.
        version: that distribution's version.
        entry_point: where its class is.
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
    """List the installed plugins by name.

    Raises:
        PluginError: two distributions bring a plugin of the same name.
    """
    found: dict[str, Installed] = {}
    for point in entry_points(group=GROUP):
        dist = point.dist
        plugin = Installed(
            name=point.name,
            distribution=dist.name if dist else "unknown",
            version=dist.version if dist else "unknown",
            entry_point=point,
        )
        other = found.get(point.name)
        if other is not None and (other.distribution, other.entry_point.value) != (
            plugin.distribution,
            point.value,
        ):
            raise PluginError(
                point.name,
                "install",
                f"installed twice, by {other.source} and by {plugin.source}; uninstall one of them",
            )
        found[point.name] = plugin
    return found

"""Chatrack: a self-hosted ChatKit backend made of plugins. Plugin authors import from here.

`__init__.pyi` lists the names. Each is imported when it is first used, so that `chatrack --help` does not load
ChatKit or the Agents SDK.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

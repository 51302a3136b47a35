"""Every exception that Chatrack raises on purpose.

::

    ChatrackError
    ├── StartupError             the server cannot start as configured: one line per mistake, exit code 2
    │   ├── ConfigError          config.toml, .env or the environment is wrong
    │   └── PluginError          a plugin cannot be used; names its distribution and stage
    ├── RequestError             a request is refused, with an HTTP status
    │   ├── BadRequest           400
    │   ├── Unauthenticated      401
    │   ├── Forbidden            403
    │   ├── NotFound             404, also a `chatkit.store.NotFoundError`
    │   ├── MethodNotAllowed     405
    │   ├── ThreadBusy           409
    │   ├── Conflict             409
    │   ├── PayloadTooLarge      413
    │   ├── UnsupportedMediaType 415
    │   ├── TooManyRequests      429
    │   └── Unavailable          503
    ├── ModelFailure             a model did not answer as it should
    ├── ToolError                a tool cannot do what the model asked for
    ├── TooManyTurns             a user may not run another turn now; nothing was stored
    └── LeaseLost                the turn no longer holds its thread; nothing was written

Which of them a plugin raises:

- any plugin, while it is loaded and started: `StartupError`, `ConfigError`
- an authenticator: `Unauthenticated`, `Forbidden`
- a store: `NotFound`, `ThreadBusy`, `TooManyTurns`, `LeaseLost`, `Unavailable`, `BadRequest`
- a model provider: `StartupError` from `get_model`, `ModelFailure` while the model answers
- a tool: `ToolError`
- an action or a route: any `RequestError`

`__init__.pyi` lists the names. Each is imported when it is first used, because `NotFound` loads ChatKit, which
takes longer than printing a mistake in config.toml.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

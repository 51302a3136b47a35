"""A fake OpenAI upstream: scripted by model name and conversation, strict about what it is sent.

It serves ``POST /v1/responses`` and ``POST /v1/chat/completions`` (streamed or not) with the event
sequences of the real APIs, and refuses with HTTP 400 what the real APIs refuse. Nothing is random
but the ids, and no control call is needed: the request alone decides the answer.

Model names
    ``fake`` followed by any of these options, in any order, e.g. ``fake-n200-d5``:

    ======== ===========================================================================
    -nN      the plain answer has N tokens, ``w0 w1 w2 ...`` (default 8)
    -dMS     pause between two network writes, in milliseconds (default 0)
    -fMS     pause before the first token, in milliseconds (default 0)
    -r       think first: a reasoning item (Responses) or ``reasoning_content`` (Chat)
    -eSTATUS answer with this HTTP status and OpenAI's error body for it;
             429 carries ``Retry-After: 1``
    -xN      cut the connection after N tokens (an answer of fewer tokens is not cut)
    -kN      put N tokens in one network write (default 1)
    ======== ===========================================================================

    A part of two or more letters or digits that is no option (``fake-large-n5``) is a mere label.
    Every other name, and every name that does not begin with ``fake``, is answered 404
    ``model_not_found``. A token is a word of text or a fragment of function arguments; thinking is
    sent before the first pause and is not counted.

Conversation: only the last input item (message) matters
    * tool outputs: the answer is ``Tool said: <outputs joined by "; ">``;
    * a user message with lines ``call NAME {json}``, NAME being an offered tool: those function
      calls, in parallel, with that text as arguments (malformed JSON is passed on as it is);
    * a user message with ``echo: REST``: REST, word by word;
    * a user message with ``history?``: one line that lists the input items in order, e.g.
      ``user:hello | assistant:hi | call:add({"a":1}) | output:2 | user:history?``;
    * a user message with ``instructions?``: the instructions (Chat: the leading system message);
    * anything else: the plain answer.

Keys: ``Authorization`` missing, or a bearer key that ends in ``wrong``, is answered 401.

Bookkeeping: ``GET /__stats``, ``GET /__requests`` (the last 200), ``POST /__reset``; in process, the
same through ``.state`` of the app or of what `serve` yields.
"""

from bench.upstream.app import Upstream, create_app
from bench.upstream.server import Serving, serve

__all__ = ["Serving", "Upstream", "create_app", "serve"]

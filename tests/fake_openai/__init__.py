"""A fake OpenAI upstream: scripted by model name and conversation, strict about what it is sent.

It serves ``POST /v1/responses`` and ``POST /v1/chat/completions`` (streamed or not) with the event
sequences of the real APIs, and refuses with HTTP 400 what the real APIs refuse. The Chat API is also
served as ``POST /v1beta/openai/chat/completions``, as strict as Gemini's endpoint of that path and
with its error bodies (`gemini_checks`), and ``POST /v1/audio/transcriptions`` tells what file it was
sent. Nothing is random but the ids, and no control call is needed: the request alone decides the
answer, but for ``-tN`` and ``-hN``.

Model names
    ``fake`` followed by any of these options, in any order, e.g. ``fake-n200-d5``:

    =========== ==========================================================================
    What is answered
    -nN         the plain answer has N tokens, ``w0 w1 w2 ...`` (default 8)
    -r          think first: a summary in a reasoning item (Responses), which is encrypted if
                asked for, or ``reasoning_content`` (Chat)
    -thinktext  think first, in raw text: ``response.reasoning_text.*`` (Responses) or
                ``reasoning`` (Chat)
    -refuse     a refusal of the plain words, whatever was asked
    -filter     the answer ends by the content filter; with ``-n0`` before it said anything
    -length     the same for the length
    -loop       call the first offered tool with the least arguments, on every request
    -search     a web search before the message, and a citation in it (Chat: the citation)
    -image      the drawing of a PNG before the message (Responses)
    -noenc      no encrypted reasoning: to ask for it is refused (Responses)
    How tool calls come
    -noids      without ids (Responses: ``call_id`` is empty)
    -sameids    all with the id ``call_0``
    -interleave the fragments of parallel calls alternate
    -index0     (Chat) all with the index 0, each whole in one delta
    -noindex    (Chat) without an index, each whole in one delta
    -sig        (Chat) each with a thought signature in ``extra_content``; one of these calls
                that comes back without it is refused. On Gemini's path names with
                ``gemini3`` do so by themselves
    Pace
    -dMS        pause between two network writes, in milliseconds (default 0)
    -fMS        pause before the first token, in milliseconds (default 0)
    -kN         put N tokens in one network write (default 1)
    -hN         hold a streamed answer of more than N tokens back after N, until ``POST
                /__release`` or `State.release`
    Refusals by status
    -eSTATUS    answer with this HTTP status and OpenAI's error body for it
    -quota      answer 429 ``insufficient_quota``
    -aN         ``Retry-After: N`` with these (without it 429 and 503 have 1, -quota none)
    -tN         the first N requests for this very name get the error, later ones are
                answered; without -e and -quota the same for -b, -s, -v, -w, -x and -z
    -iN         a context window of N tokens: bodies of more than 4 * N bytes are refused
    What becomes of the stream after N tokens (not of an answer of fewer tokens)
    -xN         the connection is cut
    -zN         the connection is reset, with an RST
    -sN         nothing more comes until the client goes away
    -vN         the provider reports a failure, and the stream ends: ``response.failed``
                (Responses) or an event with ``error`` (Chat)
    -wN         the same as a bare event ``error`` (Responses)
    -bN         an event with malformed JSON; the stream goes on
    How the stream is written
    -split      in writes that end within characters of several bytes, and within CR LF
    -crlf       with CR LF as line ends
    -comments   with comments and unknown fields between the events
    -noise      the same, with ``id`` and with events without data, either of which OpenAI's
                client does not survive
    =========== ==========================================================================

    A part of two or more letters or digits that is no option (``fake-large-n5``) is a mere label.
    Every other name, and every name that does not begin with ``fake``, is answered 404
    ``model_not_found``. A token is a word of text or a fragment of function arguments; thinking,
    searching and drawing are sent before the first pause and are not counted. An answer that is not
    streamed ends as the stream would, with status 500 for -v and -w; -b and how streams are
    written are nothing to it.

Conversation: only the last input item (message) matters
    * tool outputs: the answer is ``Tool said: <outputs joined by "; ">``;
    * a user message with lines ``call NAME {json}``, NAME being an offered tool: those function
      calls, in parallel, with that text as arguments (malformed JSON is passed on as it is);
    * a user message with ``echo: REST``: REST, word by word;
    * a user message with ``history?``: one line that lists the input items in order, e.g.
      ``user:hello | assistant:hi | call:add({"a":1}) | output:2 | user:history?``;
    * a user message with ``instructions?``: the instructions (Chat: the leading system message);
    * anything else: the plain answer.

Reasoning: the encrypted content of an input item must be the fake's. With ``store: false`` an item
needs it, else it is not found (404). ``history?`` shows such items as ``reasoning:<text>``.

Keys: ``Authorization`` missing, or a bearer key that ends in ``wrong``, is answered 401 (400 on
Gemini's path).

Bookkeeping: ``GET /__stats``, ``GET /__requests`` (the last 200), ``POST /__reset``; in process, the
same through ``.state`` of the app or of what `serve` yields.
"""

from tests.fake_openai.app import Upstream, create_app
from tests.fake_openai.server import Serving, serve

__all__ = ["Serving", "Upstream", "create_app", "serve"]

"""A fake of OpenAI's API: scripted by model name and conversation, and as strict as the real one.

It serves ``POST /v1/responses`` and ``POST /v1/chat/completions`` (streamed or not) with the event
sequences of the real APIs, and refuses with HTTP 400 what the real APIs refuse. The Chat API is also
served as ``POST /v1beta/openai/chat/completions``, as strict as Gemini's endpoint of that path and
with its error bodies (`gemini_checks`), and ``POST /v1/audio/transcriptions`` describes the file that it
received. ``POST /v1/moderations`` flags the categories that its input names as ``flag:CATEGORY``. Only ids are random, and no control call is needed: the request alone determines the
answer, but for ``-tN`` and ``-hN``.

Model names
    ``fake`` followed by any of these options, in any order, e.g. ``fake-n200-d5``:

    =========== ==========================================================================
    The answer
    -nN         the plain answer has N tokens, ``w0 w1 w2 ...`` (default 8)
    -r          reasoning first: a summary in a reasoning item (Responses), encrypted if
                requested, or ``reasoning_content`` (Chat)
    -thinktext  reasoning first, as raw text: ``response.reasoning_text.*`` (Responses) or
                ``reasoning`` (Chat)
    -refuse     a refusal with the plain words, whatever the request
    -filter     the content filter ends the answer; with ``-n0`` before its first word
    -length     the maximum length ends the answer
    -loop       call the first offered tool with the least arguments, on every request
    -gullible   also does what tool outputs say, if they say ``call NAME {json}``, and calls functions
                that were not offered
    -search     a web search before the message, and a citation in it (Chat: the citation)
    -image      a generated PNG before the message (Responses)
    -noenc      a model without reasoning: requests for encrypted reasoning are refused
                (Responses)
    Tool calls
    -noids      without ids (Responses: ``call_id`` is empty)
    -sameids    all with the id ``call_0``
    -interleave the fragments of parallel calls alternate
    -index0     (Chat) all with the index 0, each complete in one delta
    -noindex    (Chat) without an index, each complete in one delta
    -sig        (Chat) each with a thought signature in ``extra_content``; a call that
                is replayed without its signature is refused. On Gemini's path this is
                implied by names with ``gemini3``
    Pace
    -dMS        pause between two network writes, in milliseconds (default 0)
    -fMS        pause before the first token, in milliseconds (default 0)
    -kN         put N tokens in one network write (default 1)
    -hN         hold a streamed answer of more than N tokens back after N, until `State.release`
                or ``POST /__release``, whose body is a text if not all answers are meant
    Refusals by status
    -eSTATUS    answer with this HTTP status and OpenAI's error body for it
    -quota      answer 429 ``insufficient_quota``
    -aN         ``Retry-After: N`` with these (without it 429 and 503 have 1, -quota none)
    -tN         the first N requests for exactly this name get the error, later ones are
                answered; without -e and -quota the same applies to -b, -s, -v, -w, -x and -z
    -iN         a context window of N tokens: bodies of more than 4 * N bytes are refused
    The end of the stream after N tokens (of answers with more tokens)
    -xN         the connection is cut
    -zN         the connection is reset, with an RST
    -sN         nothing more is sent until the client disconnects
    -vN         the provider reports a failure, and the stream ends: ``response.failed``
                (Responses) or an event with ``error`` (Chat)
    -wN         the same as a bare event ``error`` (Responses)
    -bN         an event with malformed JSON; the stream goes on
    The bytes of the stream
    -split      written in chunks that end inside multi-byte characters and inside CR LF
    -crlf       with CR LF as line endings
    -comments   with comments and unknown fields between the events
    -noise      the same, with ``id`` and with events without data, both of which make OpenAI's
                client fail
    =========== ==========================================================================

    A part of two or more letters or digits that is not an option (``fake-large-n5``) is a label
    without effect. Every other name, and every name that does not begin with ``fake``, gets 404
    ``model_not_found``. A token is a word of text or a fragment of function arguments; reasoning,
    searches and images are sent before the first pause and are not counted. An answer that is not
    streamed ends as the stream would, with status 500 for -v and -w; -b and the options for bytes
    have no effect on it.

Conversation: only the last input item (message) counts
    * tool outputs: the answer is ``Tool said: <outputs joined by "; ">``;
    * a user message with lines ``call NAME {json}``, NAME being an offered tool: those function
      calls, in parallel, with that text as arguments (malformed JSON is passed through), after the text of a
      line ``first: TEXT`` if there is one;
    * a user message with ``echo: REST``: REST, word by word;
    * a user message with ``history?``: one line that lists the input items in order, e.g.
      ``user:hello | assistant:hi | call:add({"a":1}) | output:2 | user:history?``;
    * a user message with ``instructions?``: the instructions (Chat: the leading system message);
    * anything else: the plain answer.

Reasoning: encrypted content of an input item must come from the fake. With ``store: false`` an item
without it is not found (404). ``history?`` shows such items as ``reasoning:<text>``.

Keys: a missing ``Authorization``, or a bearer key that ends in ``wrong``, gets 401 (400 on Gemini's
path).

Bookkeeping: ``GET /__stats``, ``GET /__requests`` (the last 200), ``POST /__reset``; in process, the
``.state`` of the app or of the server that `serve` yields.
"""

from tests.fake_openai.app import Upstream, create_app
from tests.fake_openai.server import Serving, serve

__all__ = ["Serving", "Upstream", "create_app", "serve"]

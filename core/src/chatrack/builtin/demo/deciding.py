"""The rules: from a conversation and the tools at hand to the next thing to do."""

import re
from collections.abc import Sequence

from chatrack.builtin.demo import fields, matching, phrases, wording
from chatrack.builtin.demo.conversation import Conversation, Step
from chatrack.builtin.demo.decision import Call, Decision, Say
from chatrack.builtin.demo.entries import Entry, best, entries
from chatrack.builtin.demo.explicit import explicit
from chatrack.builtin.demo.offers import Offer, singular
from chatrack.builtin.demo.wording import Change, Order

MAX_MESSAGE = 4000
"""So many characters of a message are looked at."""

_PAGES = 6
_GREETING = re.compile(r"(?:hi|hello|hey|good (?:morning|afternoon|evening)|help)\b", re.IGNORECASE)


def decide(conversation: Conversation, instructions: str | None, offered: Sequence[Offer]) -> Decision:
    """Decide what comes next. The same conversation and offers always give the same decision.

    Args:
        conversation: the last message of the user, and what was done about it since.
        instructions: the system prompt.
        offered: what can be called.
    """
    message = conversation.message[:MAX_MESSAGE].strip()
    if not offered and not conversation.steps and re.search(r"\btitle\b", instructions or "", re.IGNORECASE):
        return Say(phrases.title(message))
    text = wording.plain(message)
    steps = list(conversation.steps)
    handed = [place for place, step in enumerate(steps) if step.handed_over]
    if handed:
        # This is the agent that was handed the conversation: it does the rest of what was asked, and hands
        # nothing back, so that two agents cannot go on for ever.
        agent = str(steps[handed[-1]].result["assistant"])
        steps = steps[handed[-1] + 1 :]
        offered = [one for one in offered if one.agent is None]
        way = Offer(name="", properties={}, agent=agent)
        text = message = wording.plain(matching.agent_in(text, [way])[1])
    if decision := explicit(conversation, steps, offered):
        return decision
    if handed and not steps:
        opening = f"You are talking to {agent} now."
        return _first(message, text, offered) or Say(phrases.introduction(offered, opening=opening))
    if steps:
        return _next(text, steps, offered)
    return _hand_over(text, offered) or _first(message, text, offered) or _introduce(message, offered)


def _introduce(message: str, offered: Sequence[Offer]) -> Say:
    greeted = not message or _GREETING.match(message)
    return Say(phrases.introduction(offered, opening="Hello!" if greeted else "I did not understand that."))


def _hand_over(text: str, offered: Sequence[Offer]) -> Decision | None:
    way, _, wanted = matching.agent_in(text, offered)
    if way is not None:
        return Call(way.name)
    agents = [one.agent for one in offered if one.agent is not None]
    if wanted and agents:
        return Say(f"There is no such agent here. I can hand you over to: {', '.join(agents)}.")
    return None


def _first(message: str, text: str, offered: Sequence[Offer]) -> Decision | None:
    return matching.named(message, offered) or _ordered(text, offered) or matching.described(text, offered)


def _ordered(text: str, offered: Sequence[Offer]) -> Decision | None:
    order = wording.order(text)
    offer = matching.choose(order.kind, text, offered) if order else None
    if order is None or offer is None:
        return None
    if order.kind == "create":
        return _create(order, offer)
    if order.kind == "list":
        return _list(text, order, offer)
    return _on_one(order, offer, offered)


def _create(order: Order, offer: Offer) -> Decision:
    assert offer.text is not None
    found, rest = fields.take(wording.without_list(order.what, offer.nouns), offer, values=False)
    title = wording.subject(rest, offer.nouns)
    # What stands in quotes is meant as it is, with whatever looks like a date or a list in it.
    quoted = wording.quoted(order.what, offer.nouns)
    if quoted is not None:
        beside, rest = fields.take(quoted[1], offer, values=False)
        if not wording.without_list(f" {rest}", offer.nouns).strip():
            title, found = quoted[0], beside
    if not title:
        return Say("What should I add? For example: add buy milk")
    values = {offer.text.name: title, **found}
    if any(one.name not in values for one in offer.needed):
        return matching.missing(offer)
    return Call(offer.name, values)


def _list(text: str, order: Order, offer: Offer) -> Decision | None:
    found, rest = fields.take(order.what, offer, values=True)
    words = {singular(word) for word in re.findall(r"\w+", rest.lower())}
    meant = bool(words & (offer.nouns | matching.GENERIC)) or "to do" in rest.lower()
    if text.lower().startswith(("what", "which", "do")):
        # "What is the capital of France" begins like "what is on my list".
        meant = meant or (bool(found) and not words)
    else:
        meant = meant or not words or "my" in words
    if not meant:
        return None
    return Call(offer.name, found) if not offer.needed else matching.fill(offer, rest)


def _on_one(order: Order, offer: Offer, offered: Sequence[Offer]) -> Decision | None:
    what = wording.without_list(order.what, offer.nouns)
    if order.kind == "change" and not wording.splits(what):
        return None
    if not what:
        return Say(f"Which one? For example: {order.kind} buy milk")
    if offer.id is None:
        thing = wording.splits(what)[0].thing if order.kind == "change" else what
        return matching.fill(offer, wording.subject(thing, offer.nouns))
    if order.kind == "change":
        for reading in wording.splits(what):
            if said := wording.id_in(reading.thing):
                return _change(offer, _typed(offer, said), reading)
    elif said := wording.id_in(what):
        return _act(offer, _typed(offer, said))
    listing = matching.lister(offer, offered)
    return Call(listing.name) if listing is not None else matching.missing(offer)


def _next(text: str, steps: Sequence[Step], offered: Sequence[Offer]) -> Decision:
    last = steps[-1]
    order = wording.order(text)
    offer = matching.choose(order.kind, text, offered) if order is not None else None
    listing = matching.lister(offer, offered) if offer is not None and offer.id is not None else None
    looking = order is not None and order.kind in {"complete", "delete", "change"}
    if (
        order is None
        or offer is None
        or listing is None
        or not looking
        or last.name != listing.name
        or last.failed
    ):
        return Say(phrases.result(last, offered))
    lookups = [step for step in steps if step.name == listing.name]
    found = [one for step in lookups for one in entries(step.result) or []]
    what = wording.without_list(order.what, offer.nouns)
    changes = wording.splits(what) if order.kind == "change" else []
    readings = changes or [Change(thing=what, new="")]
    unfinished = order.kind == "complete"
    ranked = [(best(wording.unquoted(one.thing), found, unfinished=unfinished), one) for one in readings]
    (_, entry), reading = max(ranked, key=lambda pair: pair[0][0])
    if entry is not None and (value := entry.id_for(_id_name(offer))) is not None:
        return _change(offer, value, reading) if changes else _act(offer, value)
    return _further(listing, lookups, found) or Say(phrases.unknown(readings[0].thing, offer, found))


def _further(listing: Offer, lookups: Sequence[Step], found: Sequence[Entry]) -> Call | None:
    data = lookups[-1].result
    more = isinstance(data, dict) and data.get("has_more") is True and bool(entries(data))
    if not more or "offset" not in listing.properties or len(lookups) >= _PAGES:
        return None
    return Call(listing.name, {"offset": len(found)})


def _change(offer: Offer, value: object, change: Change) -> Decision:
    new = change.new
    found, rest = fields.take(f"{change.part} {new}".strip(), offer, values=True)
    if change.part and (not found or rest not in {"", change.part}):
        return Say(f"I do not understand “{new}” as a {change.part}.")
    if not change.part and (rest or not found):
        if offer.text is None:
            return matching.missing(offer)
        found = {offer.text.name: wording.unquoted(new)}
    return Call(offer.name, {_id_name(offer): value, **found})


def _act(offer: Offer, value: object) -> Decision:
    return Call(offer.name, {_id_name(offer): value}) if len(offer.needed) == 1 else matching.missing(offer)


def _id_name(offer: Offer) -> str:
    assert offer.id is not None
    return offer.id.name


def _typed(offer: Offer, said: str) -> object:
    assert offer.id is not None
    return int(said) if "integer" in offer.id.types and said.isdecimal() and len(said) < 16 else said

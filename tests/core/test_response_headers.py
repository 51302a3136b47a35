"""What the headers of a provider's error say: when to retry, and the id of the request."""

import email.utils
import time

import pytest

from chatrack.models.response_headers import request_id_in, retry_after_in

RETRY_INFO = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13.5s"}]


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, {}, 7.0),
        ({"retry-after": "0.5"}, {}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, {}, 0.25),
        ({"llm_provider-retry-after": "9"}, {}, 9.0),
        ({}, {"details": RETRY_INFO}, 13.5),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, {}, 0.0),
        ({"retry-after": "soon"}, {}, None),
        ({"retry-after": "nan"}, {}, None),
        ({"retry-after": "-4"}, {}, None),
        ({}, {"details": "x"}, None),
        ({}, {"details": [None, {"retryDelay": 5}]}, None),
        ({}, {}, None),
    ],
)
def test_when_to_try_again_is_found_wherever_it_is_said(headers, body, seconds):
    assert retry_after_in(headers, body) == seconds


def test_a_date_says_when_to_try_again_too():
    headers = {"retry-after": email.utils.formatdate(time.time() + 20, usegmt=True)}
    assert 17 < retry_after_in(headers, {}) <= 20


def test_the_id_of_the_request_is_found_behind_a_proxy():
    assert request_id_in({"x-request-id": "req_1"}) == "req_1"
    assert request_id_in({"llm_provider-x-request-id": "req_2"}) == "req_2"
    assert request_id_in({}) is None

"""Dictation: speech is turned into text by the provider, bounded in size and type."""

import base64

import pytest

from chatrack.assembly import assemble
from chatrack.errors import StartupError
from tests.support.serving import serving

SPOKEN = base64.b64encode(b"x" * 1200).decode()


@pytest.fixture
async def dictating(configure):
    chat = 'transcription_model = "openai/fake-whisper"\nmax_audio = 2000'
    async with serving(configure(chat=chat)) as client:
        yield client


async def send(chat, audio=SPOKEN, mime_type="audio/webm;codecs=opus"):
    return await chat.call("input.transcribe", audio_base64=audio, mime_type=mime_type)


async def test_speech_is_turned_into_text_by_the_provider(dictating, upstream):
    answer = await send(dictating)
    assert answer.status_code == 200
    assert answer.json() == {"text": "heard 1200 bytes of speech.webm/audio/webm"}


@pytest.mark.parametrize(
    ("audio", "mime_type", "field"),
    [
        (base64.b64encode(b"x" * 2001).decode(), "audio/webm", "params.audio_base64"),
        ("not base64!", "audio/webm", "params.audio_base64"),
        ("", "audio/webm", "params.audio_base64"),
        (SPOKEN, "text/html", "params.mime_type"),
        (SPOKEN, "", "params.mime_type"),
        (SPOKEN, "audio/../../x", "params.mime_type"),
    ],
)
async def test_recordings_are_bounded(dictating, upstream, audio, mime_type, field):
    answer = await send(dictating, audio, mime_type)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert upstream.state.requests == 0


async def test_a_recording_as_large_as_allowed_is_taken(dictating):
    answer = await send(dictating, base64.b64encode(b"x" * 2000).decode())
    assert answer.status_code == 200


async def test_without_a_model_for_it_dictation_is_refused(chat):
    assert (await send(chat)).status_code == 400


async def test_a_provider_that_fails_is_told_of_in_a_sentence(configure, capsys):
    settings = 'transcription_model = "openai/fake-e500"'
    async with serving(configure(chat=settings, extra="max_retries = 0")) as chat:
        answer = await send(chat)
    assert answer.status_code == 503
    assert "cannot answer right now" in answer.json()["detail"]
    assert "sk-test" not in answer.text + capsys.readouterr().out


def test_a_provider_without_ears_stops_the_start(write_config):
    path = write_config(
        'enabled = ["sqlite_store", "demo_provider"]\n[chat]\nmodel = "demo"\ntranscription_model = "demo"\n'
        '[plugins.sqlite_store]\npath = "x.db"\n'
    )
    with pytest.raises(
        StartupError, match='chat.transcription_model: the provider "demo" has no speech-to-text'
    ):
        assemble(path, environ={})

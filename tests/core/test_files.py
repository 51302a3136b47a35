"""Files that users attach, from the upload to the model and to the last byte that is deleted."""

import asyncio
import json
import re
import struct
import zlib
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from chatrack import RequestContext, User
from chatrack.files import cleanup
from tests.support.serving import Chat, errors_of, message, serving
from tests.support.waiting import until


def png(width=2, height=2):
    """Return a PNG of one colour."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + b"\x20\x40\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


PNG = png()
TEXT = b"Milk, eggs, and a lemon.\n"


class Door:
    """Sends the requests of one user."""

    def __init__(self, chat, user):
        self.http, self.path, self.server = chat.http, chat.path, chat.server
        self.chat = Chat(chat.http, chat.path, chat.server)
        self.headers = {"x-user": user}

    async def upload(self, data=TEXT, name="list.txt", kind="text/plain", field="file"):
        files = {field: (name, data, kind)}
        return await self.http.post(f"{self.path}/upload", files=files, headers=self.headers)

    async def call(self, kind, /, **params):
        body = {"type": kind, "params": params}
        return await self.http.post(self.path, json=body, headers=self.headers)

    async def announce(self, data=TEXT, name="list.txt", kind="text/plain", size=None):
        size = len(data) if size is None else size
        return await self.call("attachments.create", name=name, size=size, mime_type=kind)

    async def begin(self, *attachments, text="see the file"):
        """Begin a thread with attachments; return the response, its events read."""
        return await self.call("threads.create", input=message(text, attachments=list(attachments)))


DOOR = """
from chatrack import Access, Authenticator, User, hookimpl


class Door(Authenticator):
    async def authenticate(self, connection):
        return User(id=connection.headers.get("x-user", "ada"))


class Plugin:
    api = 1

    @hookimpl
    def authenticators(self):
        return [Door()]
"""


@pytest.fixture
def filed(configure, site, tmp_path):
    """Write a config with local files and users who say who they are."""

    def write(files="", **options):
        site.install_source("door", DOOR)
        return configure(
            enabled='["sqlite_store", "local_files", "openai_provider", "door"]',
            extra=f'[files]\n{files}\n[plugins.local_files]\ndirectory = "kept"\n',
            **options,
        )

    return write


def kept_in(tmp_path):
    """Return all files in the folder of the file store."""
    return sorted(path for path in (tmp_path / "kept").rglob("*") if path.is_file())


def events_in(response):
    assert response.status_code == 200, response.text
    return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]


async def test_a_file_comes_back_as_it_was_sent(filed, tmp_path):
    async with serving(filed()) as chat:
        ada = Door(chat, "ada")
        response = await ada.upload(PNG, "cat.png", "image/png")
        assert response.status_code == 200
        attachment = response.json()
        assert attachment["type"] == "image"
        assert attachment["name"] == "cat.png"
        assert attachment["mime_type"] == "image/png"
        assert "metadata" not in attachment
        assert attachment["preview_url"].startswith(
            f"http://127.0.0.1:{chat.http.base_url.port}/chatkit/api/files/"
        )
        served = await chat.http.get(attachment["preview_url"])
        assert served.content == PNG
        assert served.headers["content-type"] == "image/png"
        assert served.headers["access-control-allow-origin"] == "*"
        assert served.headers["cross-origin-resource-policy"] == "cross-origin"
        assert served.headers["x-content-type-options"] == "nosniff"
        events = events_in(await ada.begin(attachment["id"]))
        assert not errors_of(events)
        [sent] = [event["item"] for event in events if event["type"] == "thread.item.done"][:1]
        [shown] = sent["attachments"]
        assert (await chat.http.get(shown["preview_url"])).content == PNG
        thread = events[0]["thread"]["id"]
        for kind, params in (("items.list", {}), ("threads.get_by_id", {})):
            page = (await ada.call(kind, thread_id=thread, **params)).json()
            page = page.get("items", page)
            [item] = [item for item in page["data"] if item["type"] == "user_message"]
            assert (await chat.http.get(item["attachments"][0]["preview_url"])).content == PNG
        assert "files.invalid" not in json.dumps(events)


async def test_a_file_that_is_sent_in_two_steps_is_checked_when_it_is_used(filed, tmp_path):
    async with serving(filed()) as chat:
        ada = Door(chat, "ada")
        attachment = (await ada.announce()).json()
        assert attachment["type"] == "file"
        early = await ada.begin(attachment["id"])
        assert early.status_code == 409
        assert early.json()["field"] == "params.input.attachments"
        descriptor = attachment["upload_descriptor"]
        sent = await chat.http.request(
            descriptor["method"], descriptor["url"], content=TEXT, headers=descriptor["headers"]
        )
        assert sent.status_code == 200, sent.text
        assert not errors_of(events_in(await ada.begin(attachment["id"])))
        again = await chat.http.put(descriptor["url"], content=b"something else")
        assert again.status_code == 409
        [kept] = kept_in(tmp_path)
        assert kept.read_bytes() == TEXT
        assert "files" in kept.parts


@pytest.mark.parametrize(
    ("data", "name", "declared", "status"),
    [
        (b"", "empty.txt", "text/plain", 400),
        (b"x" * 2000, "large.txt", "text/plain", 413),
        (b"<html><script>alert(1)</script>", "page.png", "image/png", 415),
        (PNG, "cat.pdf", "application/pdf", 415),
        (b"PK\x03\x04" + b"\0" * 60, "bomb.pdf", "application/pdf", 415),
    ],
    ids=["empty", "too large", "html as an image", "an image as PDF", "zip as PDF"],
)
@pytest.mark.parametrize("two_steps", [False, True], ids=["at once", "two steps"])
async def test_what_is_refused_leaves_nothing(filed, tmp_path, data, name, declared, status, two_steps):
    async with serving(filed("max_size = 1000")) as chat:
        ada = Door(chat, "ada")
        if two_steps:
            announced = (await ada.announce(data, name, declared, size=max(1, min(1000, len(data))))).json()
            url = announced["upload_descriptor"]["url"]
            refused = await chat.http.put(url, content=data)
        else:
            refused = await ada.upload(data, name, declared)
        assert refused.status_code == status, refused.text
        assert refused.headers["content-type"] == "application/problem+json"
        await chat.server.assembly.files.delete_queued()
        assert kept_in(tmp_path) == []


async def test_a_file_is_stored_while_it_arrives(filed, tmp_path):
    arrived = asyncio.Event()

    async def body():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"a" * 300_000
        await arrived.wait()
        yield b"b\r\n--x--\r\n"

    async with serving(filed()) as chat:
        headers = {"content-type": "multipart/form-data; boundary=x", "x-user": "ada"}
        sending = asyncio.create_task(chat.http.post(f"{chat.path}/upload", content=body(), headers=headers))
        await until(lambda: any(path.stat().st_size for path in kept_in(tmp_path)))
        assert not sending.done()
        arrived.set()
        assert (await sending).status_code == 200
        [kept] = kept_in(tmp_path)
        assert kept.read_bytes() == b"a" * 300_000 + b"b"


async def test_what_is_sent_again_after_its_check_changes_nothing(filed, tmp_path):
    async with serving(filed()) as chat:
        ada = Door(chat, "ada")
        announced = (await ada.announce(PNG, "cat.png", "image/png")).json()
        assert (await chat.http.put(announced["upload_descriptor"]["url"], content=PNG)).status_code == 200
        files, store = chat.server.assembly.files, chat.server.assembly.file_store.value
        events = events_in(await ada.begin(announced["id"]))
        # As somebody who still has a presigned URL would.
        pending = f"pending/{await chat.server.store.installation_id()}/{announced['id']}"

        async def page():
            yield b"<script>alert(1)</script>"

        await store.put(pending, page(), content_type="image/png")
        [sent] = [event["item"] for event in events if event["type"] == "thread.item.done"][:1]
        assert (await chat.http.get(sent["attachments"][0]["preview_url"])).content == PNG
        await files.delete(announced["id"], _context("ada"))
        await files.delete_queued()
        assert kept_in(tmp_path) == []


async def test_a_form_without_the_field_is_refused(filed, tmp_path):
    async with serving(filed()) as chat:
        refused = await Door(chat, "ada").upload(field="document")
        assert refused.status_code == 400
        assert refused.json()["field"] == "file"
        plain = await chat.http.post(f"{chat.path}/upload", json={})
        assert plain.status_code == 415
        assert kept_in(tmp_path) == []


async def test_other_fields_of_a_form_are_bounded(filed, tmp_path):
    async with serving(filed("max_size = 1000")) as chat:
        files = [("note", (None, b"x" * 2_000_000)), ("file", ("list.txt", TEXT, "text/plain"))]
        refused = await chat.http.post(f"{chat.path}/upload", files=files)
        assert refused.status_code == 400
        files[0] = ("note", (None, b"x" * 900))
        assert (await chat.http.post(f"{chat.path}/upload", files=files)).status_code == 200
        many = [(f"note {number}", (None, b"x")) for number in range(20)]
        assert (await chat.http.post(f"{chat.path}/upload", files=many + files)).status_code == 400


async def test_an_upload_that_is_cut_off_leaves_nothing(filed, tmp_path):
    async def body():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"a" * 100_000
        raise ConnectionResetError

    async with serving(filed()) as chat:
        headers = {"content-type": "multipart/form-data; boundary=x", "x-user": "ada"}
        async with httpx.AsyncClient(base_url=chat.http.base_url, trust_env=False) as client:
            with pytest.raises(ConnectionResetError):
                await client.post(f"{chat.path}/upload", content=body(), headers=headers)
        files = chat.server.assembly.files
        await until(lambda: not kept_in(tmp_path))
        incomplete = await chat.http.post(
            f"{chat.path}/upload",
            content=b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
            headers=headers,
        )
        assert incomplete.status_code == 400
        await files.delete_queued()
        assert kept_in(tmp_path) == []


async def test_another_user_neither_attaches_nor_deletes_a_file(filed, tmp_path):
    async with serving(filed()) as chat:
        ada, bob = Door(chat, "ada"), Door(chat, "bob")
        attachment = (await ada.upload()).json()
        for foreign in (attachment["id"], "atc_unknown"):
            attached = await bob.begin(foreign)
            deleted = await bob.call("attachments.delete", attachment_id=foreign)
            assert (attached.status_code, deleted.status_code) == (404, 404)
        assert not errors_of(events_in(await ada.begin(attachment["id"])))
        assert len(kept_in(tmp_path)) == 1


async def test_only_the_signed_url_of_a_file_reads_it(filed, monkeypatch):
    async with serving(filed()) as chat:
        ada, bob = Door(chat, "ada"), Door(chat, "bob")
        url = (await ada.upload(PNG, "cat.png", "image/png")).json()["preview_url"]
        other = (await bob.upload(PNG, "dog.png", "image/png")).json()["preview_url"]
        parts, query = urlsplit(url), dict(parse_qsl(urlsplit(url).query))
        others = dict(parse_qsl(urlsplit(other).query))

        async def status(path=parts.path, **changes):
            changed = {name: value for name, value in {**query, **changes}.items() if value is not None}
            return (await chat.http.get(f"{path}?{urlencode(changed)}")).status_code

        assert await status() == 200
        assert await status(path=urlsplit(other).path) == 403
        assert await status(signature=others["signature"]) == 403
        assert await status(owner=others["owner"]) == 403
        assert await status(expires=str(int(query["expires"]) + 1)) == 403
        assert await status(signature=None) == 403
        assert await status(signature="é") == 403
        assert await status(path=parts.path.replace("/files/", "/upload/")) == 405
        sent = await chat.http.put(url.replace("/files/", "/upload/"), content=PNG)
        assert sent.status_code == 403
        ids = (re.search(r"atc_\w+", url)[0], "atc_unknown")
        deleted = await ada.call("attachments.delete", attachment_id=ids[0])
        assert deleted.status_code == 200
        assert await status() == 404
        monkeypatch.setattr("time.time", lambda: int(query["expires"]) + 1)
        assert await status() == 403


async def test_a_part_of_a_file_can_be_read(filed):
    async with serving(filed()) as chat:
        data = bytes(range(256)) * 40
        ada = Door(chat, "ada")
        url = (await ada.upload(PNG + data, "cat.png", "image/png")).json()["preview_url"]
        whole = PNG + data
        for asked, part in (
            ("bytes=0-9", whole[:10]),
            ("bytes=100-", whole[100:]),
            ("bytes=-5", whole[-5:]),
            (f"bytes=5-{10**9}", whole[5:]),
        ):
            served = await chat.http.get(url, headers={"range": asked})
            assert served.status_code == 206
            assert served.content == part
            assert served.headers["content-range"].endswith(f"/{len(whole)}")
        beyond = await chat.http.get(url, headers={"range": f"bytes={len(whole)}-"})
        assert beyond.status_code == 416
        for ignored in ("bytes=0-1,3-4", "bytes=9-1", "lines=1-2", "bytes=-"):
            assert (await chat.http.get(url, headers={"range": ignored})).content == whole
        etag = (await chat.http.head(url)).headers["etag"]
        assert (await chat.http.get(url, headers={"if-none-match": etag})).status_code == 304
        assert (await chat.http.get(url, headers={"range": "bytes=0-9", "if-range": '"x"'})).content == whole


async def test_what_a_browser_would_run_is_never_shown_inline(filed):
    page = b"<!doctype html><script>alert(1)</script>"
    async with serving(filed()) as chat:
        ada = Door(chat, "ada")
        for data, name, kind in (
            (page, "page.html", "text/html"),
            (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "x.svg", "image/svg+xml"),
        ):
            attachment = (await ada.upload(data, name, kind)).json()
            url = chat.server.assembly.files.links.url("files", attachment["id"], User(id="ada"))
            served = await chat.http.get(url)
            assert served.content == data
            assert served.headers["content-disposition"].startswith("attachment")
            assert served.headers["content-type"] == "application/octet-stream"
            assert "sandbox" in served.headers["content-security-policy"]


def _context(name):
    return RequestContext(user=User(id=name), request_id="req_1")


async def test_files_go_with_their_thread_and_a_crash_loses_none(filed, tmp_path):
    config = filed()
    async with serving(config) as chat:
        ada = Door(chat, "ada")
        attachment = (await ada.upload()).json()
        thread = events_in(await ada.begin(attachment["id"]))[0]["thread"]["id"]
        await ada.call("threads.delete", thread_id=thread)
        assert len(kept_in(tmp_path)) == 1  # as if the server died now
    async with serving(config):
        await until(lambda: kept_in(tmp_path) == [])


async def test_a_file_that_no_message_has_is_deleted_in_time(filed, tmp_path, monkeypatch):
    async with serving(filed("orphan_ttl = 60")) as chat:
        ada = Door(chat, "ada")
        used, unused = (await ada.upload()).json(), (await ada.upload()).json()
        events_in(await ada.begin(used["id"]))
        assembly = chat.server.assembly
        await cleanup.clean_up(assembly.files, assembly.store, 60)
        assert len(kept_in(tmp_path)) == 2
        await cleanup.clean_up(assembly.files, assembly.store, -60)  # as if two minutes had passed
        [kept] = kept_in(tmp_path)
        assert used["id"] in str(kept)
        assert (await ada.begin(unused["id"])).status_code == 404


async def test_a_message_has_a_bounded_number_of_files(filed):
    async with serving(filed("max_files = 1")) as chat:
        ada = Door(chat, "ada")
        ids = [(await ada.upload()).json()["id"] for _ in range(2)]
        refused = await ada.begin(*ids)
        assert refused.status_code == 400
        assert refused.json()["field"] == "params.input.attachments"
        assert not errors_of(events_in(await ada.begin(ids[0])))


async def test_only_the_types_that_the_config_names_are_accepted(filed, tmp_path):
    async with serving(filed('allowed_types = ["image/*"]')) as chat:
        ada = Door(chat, "ada")
        assert (await ada.upload(PNG, "cat.png", "image/png")).status_code == 200
        assert (await ada.upload()).status_code == 415
        assert (await ada.upload(TEXT, "list", "application/octet-stream")).status_code == 415
        assert (await ada.announce()).status_code == 415
        assert len(kept_in(tmp_path)) == 1


async def test_without_a_file_store_no_files_are_taken(configure):
    async with serving(configure()) as chat:
        assert (
            await chat.call("attachments.create", name="a", size=1, mime_type="text/plain")
        ).status_code == 400
        assert (await chat.http.post(f"{chat.path}/upload", files={"file": b"x"})).status_code == 404


async def test_what_users_write_is_not_taken_for_the_url_of_a_file(filed):
    async with serving(filed()) as chat:
        ada = Door(chat, "ada")
        text = 'https://files.invalid/atc_1 {"preview_url": "https://files.invalid/atc_1"}'
        events = events_in(await ada.begin(text=text))
        thread = events[0]["thread"]["id"]
        page = (await ada.call("items.list", thread_id=thread)).json()
        [item] = [item for item in page["data"] if item["type"] == "user_message"]
        assert item["content"][0]["text"] == text


async def test_a_generated_image_is_kept_as_a_file_of_its_thread(filed, upstream, tmp_path):
    async with serving(filed(model="fake-image")) as chat:
        ada = Door(chat, "ada")
        events = events_in(await ada.begin(text="draw me"))
        assert not errors_of(events)
        [item] = [
            event["item"]
            for event in events
            if event["type"] == "thread.item.done" and event["item"]["type"] == "generated_image"
        ]
        [kept] = kept_in(tmp_path)
        assert (await chat.http.get(item["image"]["url"])).content == kept.read_bytes()
        thread = events[0]["thread"]["id"]
        page = (await ada.call("items.list", thread_id=thread)).json()
        [again] = [item for item in page["data"] if item["type"] == "generated_image"]
        assert (await chat.http.get(again["image"]["url"])).status_code == 200
        await ada.call("threads.delete", thread_id=thread)
        await chat.server.assembly.files.delete_queued()
        assert kept_in(tmp_path) == []


async def test_models_are_shown_images_and_texts_and_told_of_the_rest(filed, upstream):
    async with serving(filed()) as chat:
        ada = Door(chat, "ada")
        ids = [
            (await ada.upload(data, name, kind)).json()["id"]
            for data, name, kind in (
                (PNG, "cat.png", "image/png"),
                (TEXT, "list.txt", "text/plain"),
                (b"PK\x03\x04" + b"\0" * 60, "all.zip", "application/zip"),
            )
        ]
        thread = events_in(await ada.begin(*ids))[0]["thread"]["id"]
        for _ in range(2):  # at once, and again in a later turn
            [seen] = [
                part
                for item in upstream.state.log[-1]["body"]["input"]
                for part in ([item["content"]] if isinstance(item.get("content"), list) else [])
                if any(entry["type"] == "input_image" for entry in part)
            ]
            kinds = [entry["type"] for entry in seen]
            assert kinds.count("input_image") == 1
            texts = [entry["text"] for entry in seen if entry["type"] == "input_text"]
            assert any(TEXT.decode() in text and "list.txt" in text for text in texts)
            assert any("all.zip" in text for text in texts)
            [image] = [entry["image_url"] for entry in seen if entry["type"] == "input_image"]
            assert image.startswith("data:image/jpeg;base64,")
            params = {"thread_id": thread, "input": message("go on")}
            events_in(await ada.call("threads.add_user_message", **params))


async def test_a_conversation_goes_on_without_files_that_are_gone(filed, upstream, tmp_path):
    async with serving(filed()) as chat:
        ada = Door(chat, "ada")
        attachment = (await ada.upload()).json()
        thread = events_in(await ada.begin(attachment["id"]))[0]["thread"]["id"]
        for path in kept_in(tmp_path):
            path.unlink()
        params = {"thread_id": thread, "input": message("go on")}
        assert not errors_of(events_in(await ada.call("threads.add_user_message", **params)))
        assert "list.txt" in json.dumps(upstream.state.log[-1]["body"])

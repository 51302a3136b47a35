"""A MariaDB server that accepts TLS only, started by the tests."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatrack.errors import ConfigError
from chatrack.sql import Database


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The URL of a database behind TLS, and its self-signed certificate."""
    programs = {
        name: shutil.which(name, path="/usr/sbin:/usr/bin")
        for name in ("mariadbd", "mariadb-install-db", "openssl")
    }
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("mariadb")
    data, key, certificate = folder / "data", folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [programs["openssl"], "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    user = getpass.getuser()
    subprocess.run(
        [programs["mariadb-install-db"], "--no-defaults", f"--datadir={data}", f"--user={user}",
         "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True,
    )  # fmt: skip
    port = _free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs["mariadbd"], "--no-defaults", f"--datadir={data}", f"--user={user}", f"--port={port}",
             "--bind-address=127.0.0.1", f"--socket={folder / 's'}", f"--ssl-cert={certificate}", f"--ssl-key={key}",
             "--require-secure-transport=ON", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"],
            stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.1)
        yield f"mysql://root@localhost:{port}/mysql", certificate
    finally:
        server.terminate()
        server.wait(60)


async def answers(url: str) -> None:
    database = Database(url, label="url")
    await database.start()
    try:
        await database.health()
    finally:
        await database.stop()


async def test_ssl_mode_means_what_it_means_to_mysqls_own_clients(secured):
    url, certificate = secured
    await answers(f"{url}?ssl-mode=REQUIRED")
    await answers(f"{url}?ssl-mode=VERIFY_CA&ssl-ca={certificate}")
    await answers(f"{url}?ssl_mode=verify_identity&ssl_ca={certificate}")
    for refused in (url, f"{url}?ssl-mode=DISABLED", f"{url}?ssl-mode=VERIFY_CA"):
        with pytest.raises(ConfigError, match="url: cannot connect"):
            await answers(refused)
    with pytest.raises(ConfigError, match="cannot connect"):  # the certificate is another host's
        await answers(
            f"{url.replace('localhost', '127.0.0.1')}?ssl-mode=VERIFY_IDENTITY&ssl-ca={certificate}"
        )


@pytest.mark.parametrize(
    ("query", "named"), [("ssl-mode=maybe", "ssl-mode"), ("ssl-mode=REQUIRED&ssl-ca=/no", "ssl-ca")]
)
def test_a_mistake_in_the_parameters_is_named(query, named):
    with pytest.raises(ConfigError, match=f"url: {named}"):
        Database(f"mysql://root@localhost/mysql?{query}", label="url")

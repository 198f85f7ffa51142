"""`erni-audio doctor` while no service runs: it knows what the store knows, and leaves it as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connectors.dropbox.client import Access
from core.commands.clouds import store
from core.embedded import socket_path
from core.places import Credentials, Keyring, WatchedFolder, WatchedFolders
from core.vault import Vault
from tests.adapters.command_desk import KEY, Operator, Said, calling
from tests.vendors.dropbox_server import serving

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


def finding(said: Said, area: str) -> dict[str, str]:
    (found,) = (each for each in json.loads(said.out)["findings"] if each["area"] == area)
    return dict(found)


async def test_folders_and_the_key_are_looked_up_in_the_store(tmp_path: Path) -> None:
    with calling() as caller:
        async with serving() as server:
            ann = server.add_person("Ann Lee")
            ann.make_folder("/Inbox")
            grant = server.connect(ann, pkce=True)
            assert grant.refresh_token is not None
            me = Operator(
                caller=caller,
                home=tmp_path,
                settings={
                    "ERNI_ADAPTERS": "dropbox",
                    "ERNI_ENCRYPTION_KEY": KEY,
                    "ERNI_DATA_DIR": str(tmp_path / "data"),
                    "DROPBOX_API_BASE_URL": server.origin,
                },
            )
            nothing = finding(await me.call("doctor", "--json"), "front door dropbox")
            assert nothing["state"] == "No folder in Dropbox is watched."
            assert not (tmp_path / "data").exists()

            access = Access(app_key=server.app.key, refresh_token=grant.refresh_token)
            async with store(me.core_settings()) as state:
                await Keyring(state.store, me.core_settings(), "dropbox").save(
                    Credentials(account=grant.account.id, label="ann", secret=access.to_json())
                )
                assert (await me.call("folders", "add", "dropbox", "/Inbox")).code == 0
                (folder,) = await WatchedFolders(state.store, me.core_settings(), "dropbox").all()
                beside = await me.call("doctor", "--json")  # in use: what runs is asked
                assert finding(beside, "front door dropbox")["level"] == "ok"
                await state.redis.ping()
            assert isinstance(folder, WatchedFolder)
            assert not socket_path(tmp_path / "data").exists()

            stopped = await me.call("doctor", "--json")
            assert finding(stopped, "front door dropbox")["level"] == "ok", stopped
            assert stopped.code == 0
            assert not socket_path(tmp_path / "data").exists()  # it is down again

            for key in ("", Vault.new_key()):
                other = await me.call("doctor", "--json", ERNI_ENCRYPTION_KEY=key)
                assert other.code == 1
                assert "encrypted with another key" in finding(other, "encryption")["state"]
                assert "ERNI_ENCRYPTION_KEY" in finding(other, "front door dropbox")["state"]
            assert (await me.call("doctor")).code == 0  # the store is as it was

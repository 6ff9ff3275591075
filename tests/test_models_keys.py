"""Keys of models' servers: each reaches the address it was given for and no other, and is seen nowhere else."""

import asyncio
import json
import logging
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fake_server import Body, FakeServer, Status, choice, completion, error, serve
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.errors import SettingInvalid, Unauthorized
from zoomagent.models.base import Message, Text
from zoomagent.models.loading import load_model
from zoomagent.models.server.keys import key_for
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.reply_bytes import LOOKED
from zoomagent.models.server.retrying import RetryPolicy

QUESTION = [Message("user", (Text("Is it red?"),))]
SECRETS = {
    "ZOOMAGENT_API_KEY": "secret-guard-of-our-servers",
    "OPENAI_API_KEY": "secret-of-openai",
    "OPENAI_ADMIN_KEY": "secret-of-an-admin",
    "OPENAI_ORG_ID": "secret-organisation",
    "OPENAI_PROJECT_ID": "secret-project",
    "OPENAI_CUSTOM_HEADERS": "x-custom: secret-header\nauthorization: Bearer secret-custom",
    "OPENAI_WEBHOOK_SECRET": "secret-hook",
    "HF_TOKEN": "secret-of-the-hub",
    "ZOOMAGENT_MODEL_KEYS": "other.example=secret-of-another,localhost:1=secret-of-another-port",
}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRETS, "ZOOMAGENT_MODEL_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def sent(url: str, server: FakeServer | None = None, **options: Any) -> dict[str, str]:
    """The headers of a question to the server at `url`."""
    server = server or FakeServer()
    model = OpenAIModel(url, "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1), **options)
    asyncio.run(model.generate(QUESTION))
    asyncio.run(model.served())
    assert server.headers[0].get("authorization") == server.headers[1].get("authorization")
    return server.headers[0]


@pytest.mark.parametrize("url", ["http://localhost:9377/v1", "https://models.example/v1", "http://10.0.0.5:8000/v1"])
def test_a_server_sees_no_secret_that_is_not_its_own(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    headers = sent(url)
    assert "secret" not in str(headers).lower() and "authorization" not in headers
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", "own-key")
    headers = sent(url)
    assert headers["authorization"] == "Bearer own-key" and "secret" not in str(headers).lower()


def test_a_real_server_that_prints_its_headers_sees_its_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a real connection, by the name a user types, with every variable set."""

    async def scenario() -> list[dict[str, str]]:
        server = FakeServer()
        async with serve(server) as url:
            port = url.split(":")[2].split("/")[0]
            monkeypatch.setenv("ZOOMAGENT_MODEL_KEYS", f"localhost:{port}=own-key {SECRETS['ZOOMAGENT_MODEL_KEYS']}")
            model = load_model(f"{url}#qwen3-vl")
            await model.generate(QUESTION)
            await model.aclose()
        return server.headers

    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for headers in asyncio.run(scenario()):
        assert headers["authorization"] == "Bearer own-key" and "secret" not in str(headers).lower()


PAIRS = "openrouter.ai=or-key, http://plain.example:8000=plain-key,\nlocalhost:8000=local-key 10.0.0.5:8000=near-key"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://openrouter.ai/api/v1", "or-key"),
        ("https://OpenRouter.AI:443/api/v1", "or-key"),
        ("https://openrouter.ai:8443/api/v1", ""),
        ("http://openrouter.ai/api/v1", ""),
        ("https://evil.openrouter.ai/v1", ""),
        ("https://openrouter.ai.evil.example/v1", ""),
        ("https://openrouter.ai@evil.example/v1", ""),
        ("https://evil.example/openrouter.ai", ""),
        ("http://plain.example:8000/v1", "plain-key"),
        ("https://plain.example:8000/v1", ""),
        ("http://localhost:8000/v1", "local-key"),
        ("http://127.0.0.1:8000/v1", "local-key"),
        ("http://[::1]:8000/v1", "local-key"),
        ("http://localhost:8001/v1", ""),
        ("http://10.0.0.5:8000/v1", "near-key"),
        ("http://10.0.0.6:8000/v1", ""),
        ("https://api.openai.com/v1", "openai-key"),
        ("https://api.openai.com./v1", "openai-key"),
        ("http://api.openai.com/v1", ""),
        ("https://api.openai.com.evil.example/v1", ""),
        ("https://other.openai.com/v1", ""),
    ],
)
def test_a_key_goes_to_its_own_host_and_port_only(url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEYS", PAIRS)
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    assert key_for(url).secret == key


def test_openais_key_follows_the_address_that_was_given_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
    assert key_for("https://gateway.example/v1").secret == "openai-key"
    assert key_for("https://api.openai.com/v1").secret == ""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:8000/v1")
    assert key_for("http://127.0.0.1:8000/v1").secret == "openai-key"


def test_openais_organisation_goes_with_openais_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    headers = sent("https://api.openai.com/v1")
    assert headers["authorization"] == "Bearer secret-of-openai"
    assert headers["openai-organization"] == "secret-organisation" and "x-custom" not in headers


def test_the_one_key_never_travels_in_clear_to_another_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", "own-key")
    for url in ("https://a.example/v1", "http://gpu-box:8000/v1", "http://192.168.1.9/v1", "http://box.local/v1"):
        assert key_for(url).secret == "own-key"
    for url in ("http://a.example/v1", "http://8.8.8.8/v1", "http://134744072/v1", "http://0x8080808/v1"):
        with pytest.raises(SettingInvalid, match="ZOOMAGENT_MODEL_KEY"):
            key_for(url)


def test_the_one_key_gives_way_to_one_for_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", "one")
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEYS", "a.example=for-a")
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    found = [key_for(f"https://{host}/v1").secret for host in ("a.example", "b.example", "api.openai.com")]
    assert found == ["for-a", "one", "openai-key"]
    assert sent("https://a.example/v1", api_key="given")["authorization"] == "Bearer given"


@pytest.mark.parametrize("pairs", ["nothing", "=key", "host=", "a.example=k,b", "http://a:bad=k"])
def test_pairs_that_are_none_are_told_without_the_key(pairs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEYS", pairs)
    with pytest.raises(SettingInvalid, match="ZOOMAGENT_MODEL_KEYS") as caught:
        key_for("https://c.example/v1")
    assert "k,b" not in str(caught.value)


@pytest.mark.parametrize("key", ["ключ", "a\x00b", "two\nlines"])
def test_a_key_that_no_header_can_hold_is_a_setting_that_can_not_be(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingInvalid) as caught:
        sent("http://localhost:1/v1", api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("given", ["", "own-secret-key-of-this-server"])
def test_a_refused_key_names_the_variables_and_has_its_own_code(
    status: int, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", given)
    server = FakeServer()
    server.enqueue([Status(status)] * 3)
    with pytest.raises(Unauthorized) as caught:
        sent("https://models.example/v1", server)
    words = caught.value.public
    assert words.startswith("unauthorized: ") and len(server.requests) == 1
    assert all(name in words for name in ("ZOOMAGENT_MODEL_KEY", "ZOOMAGENT_MODEL_KEYS", "OPENAI_API_KEY"))
    assert (
        ("none was sent" in words) == (not given)
        and "models.example" not in words
        and (not given or given not in words)
    )


def test_a_key_is_hidden_wherever_it_stands_and_however_it_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also across the places where the search through a long reply pauses, and what is left stays JSON."""
    key = "own/key-of-this-server-0123456789"
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", key)
    escaped = "".join(f"\\u{ord(one):04X}" for one in key)
    spelled = (
        key,
        key.replace("/", "\\/"),
        escaped,
        json.dumps(escaped)[1:-1],
        json.dumps(key.replace("/", "\\/"))[1:-1],
    )
    for place, secret in product((0, LOOKED - 300, LOOKED - 60, LOOKED - 37, LOOKED - 1), spelled):
        server = FakeServer()
        start = b'{"choices":[{"message":{"content":"'
        server.enqueue([Body(start + b"a" * place + f'{secret} and {secret}"}}}}]}}'.encode())])
        model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
        [reply] = asyncio.run(model.generate(QUESTION))
        assert reply.text == "a" * place + "(the key) and (the key)", (place, secret)


def test_a_key_that_its_server_repeats_is_neither_told_nor_logged_nor_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "own-key-of-this-server-0123456789"
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", key)
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx2", "httpcore2", "zoomagent"):
        caplog.set_level(logging.DEBUG, name)
    repeated = completion([choice(0, f"your key is {key}")], model=key)
    for answers in ([repeated] * 9, [error(400, f"bad key {key}")] * 9, [repeated] + [error(500, key)] * 9):
        server = FakeServer()
        server.enqueue(answers)
        model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
        with ZoomAgent(model, strategy="dualfocus") as agent:
            answer = agent.ask(Image.new("RGB", (320, 240), "red"), "What is it?")
        assert server.headers[0]["authorization"] == f"Bearer {key}"
        told = answer.model_dump_json() + repr(model._server.key)
        if answer.picture is not None:
            answer.save(tmp_path)
            told += "".join(file.read_text(errors="replace") for file in tmp_path.iterdir() if file.suffix != ".png")
        assert key not in told
    assert key not in caplog.text

"""What the environment says about the network ends as an outcome that names its variable, never as an exception."""

import pytest
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.surroundings import proxy_for

NAMES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("all_proxy", "socks5h://127.0.0.1:1"),
        ("ALL_PROXY", "socks://127.0.0.1:1"),
        ("HTTPS_PROXY", "ftp://proxy:1"),
        ("HTTP_PROXY", "http://[::1"),
        ("SSL_CERT_FILE", "/none"),
        ("ZOOMAGENT_MODEL_KEY", "ключ"),
    ],
)
def test_a_setting_that_can_not_work_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    agent = ZoomAgent("http://127.0.0.1:9/v1#qwen3-vl", strategy="macro")
    answer = agent.ask(Image.new("RGB", (64, 64)), "What colour?")
    assert (answer.outcome.kind, answer.outcome.code) == ("failed", "setting_invalid")
    assert name.upper() in answer.outcome.reasons[0] and value not in answer.outcome.reasons[0]


def test_a_server_of_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert (
        proxy_for("http://127.0.0.1:8000/v1") == proxy_for("http://localhost/v1") == proxy_for("http://[::1]/v1") == ""
    )
    assert proxy_for("http://models.example/v1") == "HTTP_PROXY"
    assert proxy_for("https://models.example/v1") == "HTTPS_PROXY"
    monkeypatch.setenv("NO_PROXY", "models.example")
    assert proxy_for("https://models.example/v1") == ""


def test_a_server_behind_a_proxy_that_is_away_is_told_with_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    model = OpenAIModel("http://models.example/v1", "qwen3-vl", connect=2.0)
    answer = ZoomAgent(model, strategy="macro").ask(Image.new("RGB", (64, 64)), "What colour?")
    assert answer.outcome.code == "model_unavailable" and "HTTP_PROXY" in answer.outcome.reasons[0]

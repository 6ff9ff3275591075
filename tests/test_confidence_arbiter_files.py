"""Arbiter files of any content: an arbiter whose judgements are probabilities, or a setting that cannot be."""

import copy
import json
import math
import os
import random
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from zoomagent.confidence.arbiter import Arbiter, load
from zoomagent.confidence.features import Features
from zoomagent.errors import SettingInvalid

NANO: dict[str, Any] = json.loads((files("zoomagent.confidence") / "arbiters" / "nano.json").read_text())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{",
        b"[" * 100_000,
        b"\x00",
        b"7",
        '{"version": "\ud800"}'.encode("utf-8", "surrogatepass"),
    ],
    ids=repr,
)
def test_files_that_hold_no_arbiter_are_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SettingInvalid):
        load(tmp_path / "a.json")


@pytest.mark.parametrize(
    "name", ["missing.json", "a\0b.json", "x" * 5000 + ".json", "\udcff.json", "folder.json", "pipe.json"]
)
def test_names_that_are_no_files_are_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(SettingInvalid) as caught:
        load(f"{tmp_path}/{name}")
    str(caught.value).encode()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
def test_devices_are_told(tmp_path: Path, device: str) -> None:
    (tmp_path / "a.json").symlink_to(device)
    with pytest.raises(SettingInvalid):
        load(tmp_path / "a.json")


ODD: tuple[object, ...] = (
    1e308,
    -1e308,
    1e999,
    -1e999,
    float("nan"),
    10**400,
    -1,
    0,
    True,
    None,
    "x",
    [],
    {},
    "\ud800",
    [1e308] * 9,
    1e-320,
)
FEATURES = (Features(), Features(agree=True), Features(agree=False, macro_valid=True, micro_valid=True))


def judged(arbiter: Arbiter) -> None:
    for features in FEATURES:
        judgement = arbiter.judge(features)
        assert 0 < judgement.confidence < 1 and 0 < arbiter.gate_confidence(features) < 1
    assert all(math.isfinite(value) for value in arbiter.reference)


def spoilt(source: random.Random) -> dict[str, Any]:
    """nano's arbiter with something else at one to three places."""
    whole = copy.deepcopy(NANO)
    for _ in range(source.randint(1, 3)):
        holder: Any = whole
        while True:
            key = source.choice(list(holder) if isinstance(holder, dict) else list(range(len(holder))))
            if isinstance(holder[key], dict | list) and holder[key] and source.random() < 0.8:
                holder = holder[key]
                continue
            holder[key] = source.choice(ODD)
            break
    return whole


def test_three_hundred_spoilt_arbiters_judge_with_probabilities_or_are_told(tmp_path: Path) -> None:
    source, told = random.Random(4), 0
    for _ in range(300):
        (tmp_path / "a.json").write_text(json.dumps(spoilt(source)))
        try:
            arbiter = load(tmp_path / "a.json")
        except SettingInvalid:
            told += 1
            continue
        assert arbiter is not None
        judged(arbiter)
    assert told > 100


@pytest.mark.parametrize("head", ["gate", "alone", "same", "macro", "micro"])
def test_weights_that_end_in_no_number_are_told(tmp_path: Path, head: str) -> None:
    whole = copy.deepcopy(NANO)
    whole[head]["weights"] = [1e308 if i % 2 else -1e308 for i in range(len(whole[head]["weights"]))]
    (tmp_path / "a.json").write_text(json.dumps(whole))
    with pytest.raises(SettingInvalid):
        load(tmp_path / "a.json")


def test_a_sound_arbiter_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(NANO))
    arbiter = load(tmp_path / "a.json")
    assert arbiter == load("nano") and arbiter is not None
    judged(arbiter)

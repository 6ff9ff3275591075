"""A decoder that hangs, aborts, eats memory or lies costs one refusal; the next picture opens (I23)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from zoo import jpeg

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size, whole
from zoomagent.media import Limits, open_picture
from zoomagent.media.decoding import worker

FAULTS = {
    "hangs": ("import time; time.sleep(60)", "decode_timeout"),
    "spins": ("while True: pass", "decode_timeout"),
    "aborts": ("os.abort()", "decode_crashed"),
    "segfaults": ("os.kill(os.getpid(), 11)", "decode_crashed"),
    "exits": ("os._exit(0)", "decode_crashed"),
    "raises": ("raise RuntimeError('surprise')", "decode_crashed"),
    "eats": ("keep = [bytearray(1 << 26) for _ in range(128)]", "decode_memory"),
    "killed": ("os.kill(os.getpid(), 9)", "decode_memory"),
    "lies": ("return {'notes': []}", "decode_crashed"),
    "lies about notes": ("target.write(bytes(4 * 640 * 480)); return {'notes': 7}", "decode_crashed"),
    "tells nothing": ("return {}", "decode_crashed"),
    "tells a list": ("os.write(int(sys.argv[1]), b'[1]\\n'); os._exit(0)", "decode_crashed"),
    "babbles": ("os.write(int(sys.argv[1]), b'{{{\\n'); os._exit(0)", "decode_crashed"),
    "babbles in another tongue": ("os.write(int(sys.argv[1]), bytes([0xff, 0xfe, 10])); os._exit(0)", "decode_crashed"),
    "nests": ("os.write(int(sys.argv[1]), b'[' * 200_000 + b'\\n'); os._exit(0)", "decode_crashed"),
    "names no error of ours": ("return {'error': 'surprise'}", "decode_crashed"),
    "names what is no error": ("return {'error': ['corrupt_image']}", "decode_crashed"),
    "damaged": ("raise OSError('0x7f00 /home/secret')", "corrupt_image"),
}


def faulty(code: str) -> tuple[str, ...]:
    """A real decoder process whose decoding is replaced by `code`."""
    program = (
        "import os, sys, zoomagent.media.decoding.decoder as d\n"
        f"def fault(job, source, target):\n    {code}\n"
        "d._OPERATIONS['rows'] = fault\n"
        "d.main()"
    )
    return sys.executable, "-c", program


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_decoder_costs_one_refusal(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, expected = FAULTS[fault]
    worker._POOL.close()
    with monkeypatch.context() as patch:
        patch.setattr(worker, "COMMAND", faulty(code))
        with pytest.raises(InputRefused) as refusal:
            open_picture(jpeg(), limits=Limits(decode_seconds=0.6))
        assert refusal.value.code == expected
        assert "secret" not in refusal.value.public
        worker._POOL.close()
    with open_picture(jpeg()) as picture:
        assert picture.view(whole(picture.size), Size(56, 56)).size == (56, 56)


def test_a_worker_killed_while_idle_is_replaced() -> None:
    open_picture(jpeg()).close()
    idle = worker._POOL._idle[-1]
    os.kill(idle._process.pid, signal.SIGKILL)
    idle._process.wait()
    open_picture(jpeg()).close()


def test_a_warm_worker_is_kept() -> None:
    open_picture(jpeg()).close()
    before = list(worker._POOL._idle)
    for _ in range(5):
        open_picture(jpeg()).close()
    assert worker._POOL._idle == before


def test_the_decoder_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "sk-secret" not in str(worker._environment())


def test_the_decoder_imports_no_numpy_and_no_network() -> None:
    """It starts in a tenth of a second because it holds so little."""
    program = (
        "import sys, zoomagent.media.decoding.decoder; print([m for m in ('numpy', 'httpcore2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_no_process_outlives_the_interpreter() -> None:
    program = (
        "from zoomagent.media import open_picture\nfrom zoomagent.media.decoding import worker\n"
        "from PIL import Image\nimport io\n"
        "f = io.BytesIO(); Image.new('RGB', (64, 64)).save(f, 'PNG'); open_picture(f.getvalue())\n"
        "print(worker._POOL._idle[-1]._process.pid)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    with pytest.raises(ProcessLookupError):
        os.kill(int(out), 0)


@pytest.mark.slow
def test_300_faults_cost_300_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        name = ("aborts", "hangs", "eats")[number % 3]
        code, expected = FAULTS[name]
        worker._POOL.close()
        with monkeypatch.context() as patch:
            patch.setattr(worker, "COMMAND", faulty(code))
            with pytest.raises(InputRefused) as refusal:
                open_picture(jpeg(), limits=Limits(decode_seconds=0.3))
            assert refusal.value.code == expected
            worker._POOL.close()
    open_picture(jpeg()).close()


@pytest.mark.skipif(sys.platform != "linux", reason="the flag is Linux's")
def test_the_decoder_can_gain_no_rights() -> None:
    open_picture(jpeg()).close()
    child = worker._POOL._idle[-1]
    status = Path(f"/proc/{child._process.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status

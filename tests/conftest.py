"""What holds for every test: no caller's keys or caches, no network beyond this machine's loopback."""

import atexit
import os
import shutil
import socket
import sys
import tempfile
from typing import Any

import pytest

DEAD_PROXY = (
    "http://127.0.0.1:9"  # nothing listens on the discard port: what would leave the machine ends here
)
FOREIGN = (  # a developer's own settings, which no test may depend on or spend money with
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "DEEPSEEK_API_KEY",
    "FORCE_COLOR",
    "HF_ENDPOINT",
    "HF_HUB_CACHE",
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "PY_COLORS",
)


def _settle() -> None:
    """Set the environment before any test module, and so any library, is imported."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    home = tempfile.mkdtemp(prefix="vlaa-thinking-tests-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    loopback = ["127.0.0.1", "localhost"]
    for name in ("NO_PROXY", "no_proxy"):
        present = [host for host in os.environ.get(name, "").split(",") if host and host != "*"]
        os.environ[name] = ",".join(dict.fromkeys([*present, *loopback]))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ[name] = os.environ[name.lower()] = DEAD_PROXY
    os.environ |= {
        "COLUMNS": "120",
        "DO_NOT_TRACK": "1",
        "HF_DATASETS_CACHE": os.path.join(home, "datasets"),  # noqa: PTH118 - os.environ holds strings
        "HF_HOME": home,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "WANDB_MODE": "disabled",
    }


def _is_here(host: object) -> bool:
    """Whether a host is this machine: loopback, any address to listen on, or its own name."""
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    own = {"", "localhost", "::", "::1", "0.0.0.0", socket.gethostname()}
    return name in own or name.startswith("127.")


def _guard(event: str, args: tuple[Any, ...]) -> None:
    """End a test that talks, in this process, to anything but loopback; no `except Exception` hides it."""
    match event, args:
        case ("socket.connect" | "socket.sendto", (_, (str() as host, int() as port, *_))):
            if not _is_here(host) or port == 9:
                pytest.fail(f"a test may talk to loopback only, not to {host}:{port}")
        case ("socket.getaddrinfo", (host, *_)) if not _is_here(host):
            pytest.fail(f"a test may talk to loopback only, not to {host!r}")


_settle()
sys.addaudithook(_guard)

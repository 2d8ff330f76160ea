"""What the batch endpoints have in common: an official SDK's client, and what its errors mean."""

from __future__ import annotations

import json
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vlaa_thinking.batches import Gone, TooLarge
from vlaa_thinking.errors import ModelError, Transient, Uncharged
from vlaa_thinking.llm.http import CLIENTS, NO_QUOTA, PASSING, RATE, TURNED_DOWN, error_words, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from vlaa_thinking.settings import Model

NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout"})
"""Names of the causes of a connection error that came before anything was sent."""


class Talk:
    """A client of one SDK for one model's account; made at the first call, and with it the SDK is imported."""

    def __init__(self, sdk: str, name: str, model: Model, key: str) -> None:
        """Talk to the provider of the model `name` by the SDK `sdk` (openai or anthropic)."""
        self._sdk = sdk
        self._name = name
        self._model = model
        self._key = key
        self._client: Any = None

    @property
    def client(self) -> Any:  # noqa: ANN401 - one of two SDKs' clients
        """The client; it tries each call once."""
        if self._client is None:
            make = getattr(import_module(self._sdk), CLIENTS[self._sdk])
            self._client = make(
                api_key=self._key, base_url=self._model.url, max_retries=0, timeout=self._model.timeout
            )
        return self._client

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn the SDK's errors into ours."""
        sdk = import_module(self._sdk)
        try:
            yield
        except sdk.APIStatusError as exc:
            raise self._after_status(exc) from exc
        except sdk.APIConnectionError as exc:
            raise _after_cut(exc) from exc
        except sdk.APIError as exc:
            raise Transient(f"{type(exc).__name__}: {exc}"[:300]) from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise Transient(f"the reply is not the API's JSON: {exc}"[:300]) from exc

    def _after_status(self, exc: Any) -> Exception:  # noqa: ANN401 - of one of two SDKs
        status: int = exc.status_code
        detail = error_words(json.dumps(exc.body, default=str).encode())
        detail = detail.replace(self._key, "[key]")
        if any(words in detail for words in NO_QUOTA):
            return ModelError(f'the account of the model "{self._name}" is used up: {detail}')
        if status == 413:
            return TooLarge(f"status 413: {detail}")
        if status in PASSING or status >= 500:
            kind = Uncharged if status in TURNED_DOWN else Transient
            return kind(
                f"status {status}: {detail}",
                retry_after=retry_after(exc.response.headers),
                rate_limited=status in RATE,
            )
        if status in {404, 410} and exc.request.method == "GET":
            return Gone(f"status {status}: {detail}")
        env = self._model.api_key_env
        key = f"; is {env} right?" if status in {401, 403} and env else ""
        return ModelError(
            f'the batch endpoint of the model "{self._name}" answered {status}: {detail}{key}; without one, '
            f'take mode = "batch" out of [model.{self._name}] in generators/models.toml'
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()


def _after_cut(exc: BaseException) -> Exception:
    causes: list[BaseException] = [exc]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    unsent = any(type(cause).__name__ in NEVER_SENT for cause in causes)
    kind = Uncharged if unsent else Transient
    return kind(f"{type(exc).__name__}: {causes[-1]}"[:300])


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    """Read JSON Lines as they come, however they are cut into chunks."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield json.loads(line)
    if rest.strip():
        yield json.loads(rest)


def packed(body: object) -> bytes:
    """Write a body as JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
